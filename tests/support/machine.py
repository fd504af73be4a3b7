"""A fresh Debian, made by debootstrap once and kept under build/; each test writes into an overlay of its own.

`Machine` boots a real systemd in it, in namespaces of its own (processes, mounts, cgroups), with the network of the
host: so a unit there reaches a broker here. Needs root, debootstrap and overlayfs; `why_not()` says what is missing.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from support.mosquitto import wait_until

ROOT = Path(__file__).resolve().parents[2]
BASE = ROOT / "build" / "roots" / "bookworm"
PACKAGES = "systemd,python3,python3-venv,ca-certificates"
CGROUPS = (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))

_BOOT = """
set -e
mount --make-rprivate /
mount -t overlay overlay -o lowerdir={base},upperdir={upper},workdir={work} {root}
mount -t proc proc {root}/proc
mount -t sysfs sysfs {root}/sys
mount -t cgroup2 cgroup2 {root}/sys/fs/cgroup
mount -t tmpfs tmpfs {root}/run
mount -t tmpfs tmpfs {root}/tmp
mount -t tmpfs tmpfs {root}/dev
for node in null zero full random urandom tty; do touch {root}/dev/$node; mount --bind /dev/$node {root}/dev/$node; done
mkdir {root}/dev/shm {root}/dev/pts
ln -s pts/ptmx {root}/dev/ptmx
mkdir {root}/run/shared
mount --rbind {shared} {root}/run/shared
mkdir {root}/run/old
cd {root}
pivot_root . run/old
umount -l /run/old
rmdir /run/old
mount --make-rshared /
export container=chroot
exec chroot . {init}
"""


def why_not() -> str:
    """Why no machine can be made here; empty if one can."""
    if os.geteuid() != 0:
        return "making a fresh machine needs root"
    missing = [name for name in ("unshare", "nsenter", "chroot") if shutil.which(name) is None]
    if not (BASE / "usr").is_dir() and shutil.which("debootstrap") is None:
        missing.append("debootstrap")
    if missing:
        return f"not installed: {', '.join(missing)}"
    probe = ["unshare", "--mount", "--pid", "--cgroup", "--fork", "mount", "--make-rprivate", "/"]
    allowed = subprocess.run(probe, capture_output=True, check=False).returncode == 0
    return "" if allowed else "this machine allows no namespaces of our own"


def make_base() -> None:
    """The base system; takes two minutes once, and needs Debian's mirror."""
    if (BASE / "usr" / "bin" / "python3").exists():
        return
    partial = BASE.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.parent.mkdir(parents=True, exist_ok=True)
    command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(partial)]
    made = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert made.returncode == 0, f"debootstrap failed: {made.stdout[-500:]}"
    partial.rename(BASE)


class Machine:
    """A fresh machine under a real systemd. Ended by its init's process id, which ends all in it.

    Attributes:
        shared: A directory of the host that is `/run/shared` in there.
        written: What was written into the machine: the overlay's upper directory.
    """

    def __init__(self, directory: Path) -> None:
        self.shared, self.written = directory / "shared", directory / "upper"
        self._directory = directory
        for name in ("shared", "upper", "work", "root"):
            (directory / name).mkdir(parents=True)
        self._child: subprocess.Popen[bytes] | None = None
        self._init = 0
        self._cgroup: Path | None = None

    def boot(self) -> None:
        """Start systemd and wait until it has started what it starts."""
        self._start("/lib/systemd/systemd --system --log-target=console")
        wait_until(
            lambda: self.run("systemctl is-system-running", check=False).stdout.strip() in ("running", "degraded"),
            what=f"systemd up; {self.log()[-600:]}",
            deadline_s=30,
        )

    def run(self, command: str, *, check: bool = True, deadline_s: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run a shell command in there, as root."""
        enter = ["nsenter", "-t", str(self._init), "-m", "-p", "-r", "-w"]
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        done = subprocess.run(
            [*enter, "/usr/bin/env", "-i", path, "LANG=C.UTF-8", "TERM=dumb", "HOME=/root", "/bin/sh", "-c", command],
            capture_output=True,
            text=True,
            timeout=deadline_s,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def property(self, unit: str, name: str) -> str:
        """One property of a unit, as `systemctl show` has it."""
        return self.run(f"systemctl show --value -p {name} {unit}").stdout.strip()

    def files(self) -> set[str]:
        """What was written and is still there: paths in the machine, without what systemd and Python keep anyway."""
        kept = ("/run", "/tmp", "/var/log/journal", "/var/lib/systemd", "/var/cache", "/root")
        found = {f"/{p.relative_to(self.written)}" for p in self.written.rglob("*") if _is_file(p)}
        return {name for name in found if not name.startswith(kept) and "__pycache__" not in name}

    def log(self) -> str:
        """What systemd has said on its console."""
        path = self._directory / "console.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def close(self) -> None:
        """End it and everything in it."""
        if self._child is not None:
            if self._init:
                os.kill(self._init, signal.SIGKILL)
            self._child.kill()
            self._child.wait(timeout=20)
        if self._cgroup is not None:
            for folder in sorted(self._cgroup.rglob("*/"), key=lambda p: -len(p.parts)):
                wait_until(partial(_remove, folder), what=f"{folder} empty")
            wait_until(lambda: self._cgroup is not None and _remove(self._cgroup), what="the cgroup empty")

    def _start(self, init: str) -> None:
        names = {
            "base": BASE,
            "upper": self.written,
            "work": self._directory / "work",
            "root": self._directory / "root",
        }
        script = _BOOT.format(init=init, shared=self.shared, **names)
        self._cgroup = _make_cgroup()
        join = f"echo $$ > {self._cgroup}/cgroup.procs && exec " if self._cgroup else "exec "
        spaces = "--mount --pid --ipc --uts --cgroup --fork --kill-child"
        (self._directory / "boot.sh").write_text(script)
        with (self._directory / "console.log").open("wb") as log:
            self._child = subprocess.Popen(
                ["/bin/sh", "-c", f"{join}unshare {spaces} /bin/sh {self._directory / 'boot.sh'}"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._init = int(wait_until(self._find_init, what=f"init; {self.log()}"))

    def _find_init(self) -> int:
        """Process id of the namespace's init, once it has become systemd."""
        assert self._child is not None
        assert self._child.poll() is None, f"unshare ended: {self.log()}"
        children = Path(f"/proc/{self._child.pid}/task/{self._child.pid}/children").read_text().split()
        for child in children:
            if "systemd" in Path(f"/proc/{child}/cmdline").read_text():
                return int(child)
        return 0


def _make_cgroup() -> Path | None:
    """A cgroup of the machine's own, so that its systemd is the master of that and of nothing else."""
    for top in CGROUPS:
        if (top / "cgroup.procs").exists():
            folder = top / f"gaugecast-test-{os.getpid()}"
            folder.mkdir(exist_ok=True)
            return folder
    return None


def _remove(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _is_file(path: Path) -> bool:
    return path.is_symlink() or (path.is_file() and not path.is_char_device())  # a character device: deleted below


@contextmanager
def run_machine(directory: Path) -> Iterator[Machine]:
    """A booted machine, ended on leaving."""
    make_base()
    machine = Machine(directory)
    try:
        machine.boot()
        yield machine
    finally:
        machine.close()
