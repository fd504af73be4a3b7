"""deploy/install.sh on a fresh Debian under a real systemd: install, run, watchdog, reload, upgrade, remove."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from support.machine import ROOT, Machine, run_machine, why_not
from support.mosquitto import Mosquitto, RawClient, run_mosquitto, wait_until
from support.wheels import package_wheel, wheelhouse

pytestmark = [pytest.mark.long, pytest.mark.skipif(bool(why_not()), reason=why_not() or "-"), pytest.mark.timeout(600)]

CONFIG = """
[mqtt]
host = "127.0.0.1"
port = {port}
client_id = "installed"
{secret}
[http]
port = 0
[fleet.tanks]
subscribe = ["tanks/{{tank}}"]
time = "$.t"
period = "1s"
stale_after = "1d"
[fleet.tanks.features.pressure]
"""
PASSWORD = 'username = "u"\npassword_file = "$CREDENTIALS_DIRECTORY/mqtt-password"'
#: What a package manager touches, too, when a user comes and goes.
ACCOUNTS = re.compile(r"/etc/(\.pwd\.lock|(group|gshadow|passwd|shadow|subgid|subuid)-?|machine-id)|/var/log/wtmp")


def next_version(directory: Path, wheel: Path, version: str, *, daemon: str | None = None) -> Path:
    """The same wheel under another version; `daemon` replaces the daemon's module."""
    old = wheel.name.split("-")[1]
    place = directory / wheel.name.replace(old, version)
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(place, "w") as target:
        for name in source.namelist():
            body = source.read(name)
            if name == "gaugecast/service/daemon.py" and daemon is not None:
                body = daemon.encode()
            if name in ("gaugecast/__init__.py", f"gaugecast-{old}.dist-info/METADATA"):
                body = body.replace(old.encode(), version.encode())
            target.writestr(name.replace(f"gaugecast-{old}", f"gaugecast-{version}"), body)
    return place


class Site:
    """A fresh machine with gaugecast's files beside it, and a broker on the host."""

    def __init__(self, machine: Machine, broker: Mosquitto, wheel: Path) -> None:
        self.machine, self.broker, self.wheel = machine, broker, wheel
        self.at = 1_700_000_000

    def install_sh(self, words: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run deploy/install.sh there, with wheels from a folder instead of a network."""
        offline = "PIP_NO_INDEX=1 PIP_FIND_LINKS=/run/shared/wheels PIP_NO_COMPILE=1 READY_S=15"
        return self.machine.run(f"{offline} sh /run/shared/deploy/install.sh {words}", check=check, deadline_s=300)

    def configure(self, text: str) -> None:
        """Replace the configuration."""
        (self.machine.shared / "gaugecast.toml").write_text(text)
        self.machine.run("cat /run/shared/gaugecast.toml > /etc/gaugecast/gaugecast.toml")

    def bring(self, wheel: Path) -> str:
        """Copy a wheel into the machine; its path there."""
        shutil.copy(wheel, self.machine.shared / wheel.name)
        return f"/run/shared/{wheel.name}"

    def wait_state(self, state: str, deadline_s: float = 30.0) -> None:
        """Wait until the unit is in a state."""
        what = f"gaugecast {state}; {self.machine.run('journalctl -u gaugecast --no-pager -n 5').stdout}"
        wait_until(lambda: self.unit("ActiveState") == state, what=what, deadline_s=deadline_s)

    def unit(self, name: str) -> str:
        """A property of the unit."""
        return self.machine.property("gaugecast", name)

    def steps(self, client: RawClient) -> list[int]:
        """Of the forecasts that it has heard; `check --online` tries with an empty message whether one may publish."""
        return [int(json.loads(m.payload)["step"]) for m in client.heard if m.payload]

    def exchange(self, client: RawClient) -> int:
        """Send one reading, and wait for its forecast; its step number."""
        wait_until(lambda: "broker" not in self.unit("StatusText"), what="connected and subscribed", deadline_s=30)
        before = max(self.steps(client), default=-1)
        self.at += 1
        client.publish([("tanks/a", json.dumps({"t": self.at, "pressure": 2.0}).encode())])
        wait_until(
            lambda: max(self.steps(client), default=-1) > before,
            what=f"a forecast; {self.machine.run('systemctl status gaugecast --no-pager', check=False).stdout}",
            deadline_s=30,
        )
        return max(self.steps(client))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The machine; the tests below are one life, in their order."""
    directory = tmp_path_factory.mktemp("site")
    with run_mosquitto(directory / "broker") as broker, run_machine(directory / "m") as machine:
        shutil.copytree(ROOT / "deploy", machine.shared / "deploy")
        shutil.copytree(ROOT / "docs", machine.shared / "docs")
        shutil.copytree(wheelhouse(), machine.shared / "wheels", dirs_exist_ok=True)
        yield Site(machine, broker, package_wheel(directory))


@pytest.fixture
def client(site: Site) -> Iterator[RawClient]:
    """Somebody who sends readings and hears forecasts."""
    with RawClient(site.broker, subscribe="gaugecast/tanks/#") as client:
        yield client


def test_1_installed_and_configured_it_forecasts(site: Site, client: RawClient) -> None:
    """Install, configure, run: under its own user, in its sandbox, with the secret that only systemd can read."""
    said = site.install_sh(f"install --wheel {site.bring(site.wheel)}").stdout
    assert "systemctl enable --now gaugecast" in said
    share = {name.removeprefix("/usr/local/share/") for name in site.machine.files() if "/usr/local/share/" in name}
    assert share == {
        "man/man1/gaugecast.1.gz",
        "man/man5/gaugecast.toml.5.gz",
        "bash-completion/completions/gaugecast",
        "fish/vendor_completions.d/gaugecast.fish",
        "zsh/site-functions/_gaugecast",
    }
    site.machine.run("printf secret > /etc/gaugecast/mqtt-password")
    site.configure(CONFIG.format(port=site.broker.port, secret=PASSWORD))
    asked = "CREDENTIALS_DIRECTORY=/etc/gaugecast gaugecast check --online --seconds 1"
    checked = site.machine.run(f"{asked} -c /etc/gaugecast/gaugecast.toml", check=False)
    assert checked.returncode == 1, "expected a no: nobody has sent a reading yet"
    assert "gaugecast.toml is right" in checked.stdout
    assert "nothing to forecast was heard on tanks/{tank}" in checked.stdout
    started = site.machine.run("systemctl enable --now gaugecast", check=False)
    assert started.returncode == 0, site.machine.run("journalctl -u gaugecast --no-pager -n 20").stdout
    assert site.exchange(client) == 1
    pid = site.unit("MainPID")
    assert site.machine.run(f"ps -o user= -p {pid} || stat -c %U /proc/{pid}").stdout.strip() == "gaugecast"
    environment = site.machine.run(f"tr '\\0' '\\n' < /proc/{pid}/environ").stdout
    assert "secret" not in environment
    wait_until(lambda: "1 streams" in site.unit("StatusText"), what="a status line worth reading")


def test_2_a_good_reload_is_taken_and_a_bad_one_refused_by_systemctl(site: Site, client: RawClient) -> None:
    """`systemctl reload` fails with the reason, the process is the same, and it goes on forecasting."""
    pid = site.unit("MainPID")
    good = CONFIG.format(port=site.broker.port, secret=PASSWORD)
    site.configure(good.replace('period = "1s"', 'period = "1s"\nhorizon = 2'))
    reloaded = site.machine.run("systemctl reload gaugecast", check=False)
    assert reloaded.returncode == 0, site.machine.run("journalctl -u gaugecast --no-pager -n 20").stdout
    site.exchange(client)
    wait_until(lambda: site.exchange(client) and len(json.loads(client.heard[-1].payload)["horizons"]) == 2, what="H 2")
    site.configure(good.replace("period", "perriod"))
    assert site.machine.run("systemctl reload gaugecast", check=False).returncode != 0
    assert "perriod" in site.machine.run("journalctl -u gaugecast --no-pager -n 40").stdout
    assert site.unit("MainPID") == pid
    site.exchange(client)
    site.configure(good)


def is_another(site: Site, pid: str) -> bool:
    """Whether a process runs, and not that one."""
    return site.unit("MainPID") not in (pid, "0")


def test_3_what_hangs_is_restarted_and_so_is_what_dies(site: Site, client: RawClient) -> None:
    """SIGSTOP: a new process within 1.5 × WatchdogSec and a second; kill -9: within the restart's second."""
    site.machine.run(
        "mkdir -p /etc/systemd/system/gaugecast.service.d && "
        "printf '[Service]\\nWatchdogSec=4\\n' > /etc/systemd/system/gaugecast.service.d/fast.conf && "
        "systemctl daemon-reload && systemctl restart gaugecast"
    )
    for blow, within_s in (("STOP", 4 * 1.5 + 1 + 5), ("KILL", 10)):
        step = site.exchange(client)
        pid = site.unit("MainPID")
        site.machine.run(f"kill -{blow} {pid}")
        wait_until(
            partial(is_another, site, pid),
            what=f"a new process after {blow}",
            deadline_s=within_s,
        )
        site.wait_state("active")
        assert site.exchange(client) == step + 1
    assert int(site.unit("NRestarts")) == 2


def test_4_a_bad_configuration_is_final(site: Site, client: RawClient) -> None:
    """Exit 78: failed, with the reason in the journal, and not tried again; mended, it starts."""
    good = CONFIG.format(port=site.broker.port, secret=PASSWORD)
    site.configure(good.replace("[fleet.tanks]", "[flet.tanks]"))
    site.machine.run("systemctl restart gaugecast", check=False)
    site.wait_state("failed")
    assert site.unit("ExecMainStatus") == "78"
    assert "flet" in site.machine.run("journalctl -u gaugecast --no-pager -n 10").stdout
    site.configure(good)
    site.machine.run("systemctl start gaugecast")
    site.exchange(client)


def test_5_an_upgrade_keeps_state_and_configuration(site: Site, client: RawClient, tmp_path: Path) -> None:
    """The new version goes on at the next step; the old one's files are gone."""
    step = site.exchange(client)
    before = site.machine.run("cat /etc/gaugecast/gaugecast.toml /etc/gaugecast/mqtt-password").stdout
    site.install_sh(f"upgrade --wheel {site.bring(next_version(tmp_path, site.wheel, '9.0.0'))}")
    assert site.machine.run("gaugecast version").stdout.strip() == "9.0.0"
    assert site.unit("ActiveState") == "active"
    assert site.exchange(client) == step + 1
    assert site.machine.run("cat /etc/gaugecast/gaugecast.toml /etc/gaugecast/mqtt-password").stdout == before
    assert len(site.machine.run("ls /opt/gaugecast/versions").stdout.split()) == 1


def test_6_a_version_that_does_not_get_ready_is_taken_back(site: Site, client: RawClient, tmp_path: Path) -> None:
    """The upgrade fails and says so; the version before runs again, with all of its state."""
    step = site.exchange(client)
    broken = next_version(tmp_path, site.wheel, "9.9.9", daemon="def run(settings):\n    raise SystemExit(70)\n")
    said = site.install_sh(f"upgrade --wheel {site.bring(broken)}", check=False)
    assert said.returncode != 0
    assert "back to the old one" in said.stderr
    assert site.machine.run("gaugecast version").stdout.strip() == "9.0.0"
    site.wait_state("active")
    assert site.exchange(client) == step + 1


def test_7_removal_keeps_what_was_said_and_a_purge_leaves_nothing(site: Site) -> None:
    """Without --purge ledger and configuration stay; with it, no file of ours is left on the machine."""
    site.install_sh("remove")
    left = {name for name in site.machine.files() if not ACCOUNTS.fullmatch(name)}
    assert {name.split("/")[2] for name in left} == {"gaugecast", "lib"}
    assert all(name.startswith(("/etc/gaugecast/", "/var/lib/gaugecast/")) for name in left)
    assert "/var/lib/gaugecast/ledger.sqlite" in left
    site.install_sh("remove --purge")
    assert {name for name in site.machine.files() if not ACCOUNTS.fullmatch(name)} == set()
    assert site.machine.run("getent passwd gaugecast; id -u gaugecast", check=False).stdout == ""
