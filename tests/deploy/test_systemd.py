"""The units: held against systemd's own tools, and the daemon against a service manager's real socket."""

from __future__ import annotations

import configparser
import itertools
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gaugecast.cli.init import write_template
from gaugecast.config import load_settings
from support.daemon import DaemonProcess
from support.mosquitto import free_port, wait_until
from support.service_manager import ServiceManager, listen

UNITS = Path(__file__).resolve().parents[2] / "deploy" / "systemd"
CONFIG = """
[mqtt]
host = "127.0.0.1"
port = {port}
[fleet.tanks]
subscribe = ["tanks/{{tank}}"]
period = "1s"
[fleet.tanks.features.pressure]
"""

UNIT_NAMES = ("gaugecast", "gaugecast-learner", "gaugecast-console", "gaugecast@", "gaugecast-learner@")

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def named(name: str) -> str:
    """The file name of a unit; of a template, that of one of its instances."""
    return f"{name}part-1.service" if name.endswith("@") else f"{name}.service"


def unit(name: str) -> configparser.RawConfigParser:
    """A unit file; of keys that come several times, the last."""
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",), comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # keys are case-sensitive
    parser.read(UNITS / f"{name}.service")
    return parser


@needs_systemd
@pytest.mark.parametrize("name", UNIT_NAMES)
def test_the_exposure_stays_below_its_bound(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """systemd's own figure: 0 is walled in, 10 is free; redis ships 1.2, mosquitto 9.6."""
    most = 1.3
    place = shutil.copy(UNITS / f"{name}.service", tmp_path / named(name))
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={int(most * 10)}"]
    said = subprocess.run([*command, place], capture_output=True, text=True, check=False)
    found = re.search(r"Overall exposure level for \S+ ([\d.]+)", said.stdout)
    with capsys.disabled():
        print(f"\n{found[0] if found else said.stdout}")
    assert said.returncode == 0, said.stdout
    assert found is not None
    assert float(found[1]) <= most


@needs_systemd
@pytest.mark.parametrize("name", UNIT_NAMES)
def test_systemd_finds_no_fault_in_the_units(name: str, tmp_path: Path) -> None:
    """`systemd-analyze verify`; only keys of newer versions, which older ones pass over, may be unknown to it."""
    text = (UNITS / f"{name}.service").read_text()
    text = re.sub(r"/opt/gaugecast/current/bin/gaugecast\b", "/bin/true", text)
    (tmp_path / named(name)).write_text(text)
    said = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / named(name)],
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in said.stderr.splitlines() if named(name) in line]
    newer = ("RestartSteps", "RestartMaxDelaySec")
    assert [line for line in ours if not any(key in line for key in newer)] == []


def test_it_is_restarted_for_ever_but_on_a_bad_configuration() -> None:
    """No start limit; 78 is final, and 76 of the daemon; the back-off begins at a second and ends at thirty."""
    for name in UNIT_NAMES:
        codes = "76 78" if name in ("gaugecast", "gaugecast@") else "78"
        service = unit(name)["Service"]
        assert (service["Restart"], service["RestartPreventExitStatus"]) == ("always", codes)
        assert unit(name)["Unit"]["StartLimitIntervalSec"] == "0"
    assert (unit("gaugecast")["Service"]["RestartSec"], unit("gaugecast")["Service"]["RestartMaxDelaySec"]) == (
        "1",
        "30",
    )


@pytest.mark.parametrize("name", ["gaugecast", "gaugecast-learner"])
def test_a_template_says_what_its_unit_says_but_for_the_instance(name: str) -> None:
    """Same walls, same limits; configuration, state and partner by the instance's name, and nothing shared."""
    alone, template = ((UNITS / f"{name}{at}.service").read_text() for at in ("", "@"))
    for file, place in (("gaugecast.toml", "%i.toml"), ("=gaugecast.service", "=gaugecast@%i.service")):
        alone = alone.replace(file, place)
    for key, place in (("StateDirectory=", "gaugecast"), ("WorkingDirectory=", "/var/lib/gaugecast")):
        alone = alone.replace(f"{key}{place}\n", f"{key}{place}/%i\n")
    alone = re.sub(r"(Description=.*)", r"\1: %i", alone)
    said = [[line for line in text.splitlines() if line and line[0] != "#"] for text in (alone, template)]
    assert said[0] == said[1]


def test_the_daemon_may_not_write_code_and_the_learner_must() -> None:
    """MemoryDenyWriteExecute breaks TensorFlow, so it stands in one unit only; the learner has no network instead."""
    daemon, learner = unit("gaugecast")["Service"], unit("gaugecast-learner")["Service"]
    assert daemon["MemoryDenyWriteExecute"] == "yes"
    assert "MemoryDenyWriteExecute" not in learner
    assert learner["PrivateNetwork"] == "yes"


def test_the_console_may_write_nothing_and_speaks_with_this_machine() -> None:
    """The state directory is there to be read; whoever else may look is let in by a drop-in."""
    service = unit("gaugecast-console")["Service"]
    assert "StateDirectory" not in service
    assert (service["ProtectSystem"], service["ReadOnlyPaths"]) == ("strict", "/var/lib/gaugecast")
    assert (service["IPAddressDeny"], service["IPAddressAllow"]) == ("any", "localhost")
    assert service["User"] == unit("gaugecast")["Service"]["User"]


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[ServiceManager]:
    """A service manager with a watchdog of two seconds."""
    with listen(tmp_path, watchdog_s=2.0) as manager:
        yield manager


@pytest.fixture
def daemon(tmp_path: Path, manager: ServiceManager) -> Iterator[DaemonProcess]:
    """A daemon under it whose broker is not there."""
    daemon = DaemonProcess(tmp_path / "d", CONFIG.format(port=free_port()), environment=manager.environment)
    daemon.spawn()
    yield daemon
    if daemon.running:
        daemon.kill()


def test_it_is_ready_without_a_broker_and_says_what_it_waits_for(
    daemon: DaemonProcess, manager: ServiceManager
) -> None:
    """READY=1 means recovered and turning; the broker is a line of STATUS."""
    manager.wait_for("READY=1")
    assert "broker 127.0.0.1" in manager.wait_for("STATUS=")
    assert daemon.get("/readyz")[0] == 503
    assert daemon.get("/healthz")[0] == 200


def test_the_watchdog_is_fed_by_an_idle_and_disconnected_loop(daemon: DaemonProcess, manager: ServiceManager) -> None:
    """No broker, no readings: rounds are finished all the same, and never half an interval goes by without a word."""
    manager.wait_for("WATCHDOG=1")
    since = time.monotonic()
    wait_until(lambda: manager.lines() and time.monotonic() - since > 4.0, what="four seconds of listening")
    beats = [at for at in manager.instants("WATCHDOG=1") if at >= since]
    assert len(beats) >= 4
    assert max(b - a for a, b in itertools.pairwise(beats)) < 1.5
    assert daemon.running


def test_a_loop_that_stands_still_does_not_feed_the_watchdog(daemon: DaemonProcess, manager: ServiceManager) -> None:
    """SIGSTOP: not one beat for longer than WatchdogSec, which is when systemd acts; then it goes on."""
    manager.wait_for("WATCHDOG=1")
    daemon.send(signal.SIGSTOP)
    manager.forget()
    since = time.monotonic()
    wait_until(lambda: manager.lines() or time.monotonic() - since > 2.5, what="silence")
    assert manager.instants("WATCHDOG=1") == []
    daemon.send(signal.SIGCONT)
    manager.wait_for("WATCHDOG=1")


def test_sigterm_is_told_and_ends_with_zero(daemon: DaemonProcess, manager: ServiceManager) -> None:
    """STOPPING=1, the drain, exit 0."""
    manager.wait_for("READY=1")
    assert daemon.stop() == 0
    assert "STOPPING=1" in manager.lines()


def test_a_bad_configuration_ends_with_the_code_that_is_not_restarted(tmp_path: Path, manager: ServiceManager) -> None:
    """78, with the fault on stderr, and READY never said."""
    daemon = DaemonProcess(tmp_path / "bad", "[mqtt]\nhots = 1\n", environment=manager.environment)
    daemon.spawn()
    assert daemon.wait_exit() == 78
    assert "hots" in daemon.log_text()
    assert "READY=1" not in manager.lines()


def test_the_installer_s_configuration_learns_in_the_unit_where_it_installs_a_learner(tmp_path: Path) -> None:
    """Its edit finds the line that `init` writes; without a learner the file says nothing of it."""
    script = (UNITS.parent / "install.sh").read_text()
    edit = re.search(r"""if \[ "\$LEARNER" = yes \]; then sed -i '([^']+)' "\$CONF/gaugecast.toml"; fi""", script)
    assert edit is not None
    file = tmp_path / "gaugecast.toml"
    write_template(file)
    assert load_settings(file, {}).learning.mode == "auto"
    subprocess.run(["sed", "-i", edit[1], str(file)], check=True)
    assert load_settings(file, {}).learning.mode == "unit"
