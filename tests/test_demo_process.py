"""`gaugecast demo` as a process: it ends when it should, and takes everything with it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gaugecast.demo.tanks import (
    TANKS,
)
from support.daemon import gaugecast_command
from support.mosquitto import MOSQUITTO, Mosquitto, run_mosquitto, wait_until

SUMMARY = re.compile(r"(\d+) forecasts of (\d+) readings from (\d+) tanks")


@contextmanager
def demo(directory: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """`gaugecast demo`, its temporary directories below `directory`; killed at the end if it still runs."""
    environ = os.environ | {"TMPDIR": str(directory)}
    child = subprocess.Popen([*gaugecast_command(), "demo", *words], stdout=subprocess.PIPE, text=True, env=environ)
    try:
        yield child
    finally:
        if child.poll() is None:
            child.kill()
        child.communicate()


def processes_of(directory: Path) -> list[int]:
    """Processes that were started with TMPDIR = `directory`."""
    marker = f"TMPDIR={directory}".encode()
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if marker in (place / "environ").read_bytes().split(b"\0"):
                found.append(int(place.name))
        except OSError:  # it has ended meanwhile, or is not ours
            continue
    return found


def test_the_demo_forecasts_with_skill_and_ends_by_itself(tmp_path: Path) -> None:
    """`--for 20`: exit 0, a summary with its forecasts, positive skill in both features, nothing left behind."""
    with demo(tmp_path, "--for", "20") as child:
        said, _ = child.communicate(timeout=90)

    assert child.returncode == 0, said
    summary = SUMMARY.search(said)
    assert summary is not None, said
    forecasts, readings, tanks = map(int, summary.groups())
    assert (tanks, forecasts > 150, readings >= forecasts) == (TANKS, True, True)
    skills = re.search(r"skill over persistence: pressure (\d+) %, temperature (\d+) %", said)
    assert skills is not None, said
    assert min(map(int, skills.groups())) > 20
    assert "metrics at http://127.0.0.1:" in said
    assert (processes_of(tmp_path), list(tmp_path.glob("gaugecast-demo-*"))) == ([], [])


def first_forecasts(child: subprocess.Popen[str]) -> None:
    """Wait until the demo has told of its first forecasts; they come within some seconds."""
    assert child.stdout is not None
    until = time.monotonic() + 60
    for line in child.stdout:
        assert time.monotonic() < until
        if re.search(r"[1-9]\d* forecasts", line):
            return
    raise AssertionError("the demo ended without a forecast")


@pytest.mark.parametrize(
    "number", [signal.SIGINT, *(pytest.param(s, marks=pytest.mark.long) for s in (signal.SIGTERM, signal.SIGHUP))]
)
def test_asked_to_stop_the_demo_takes_its_children_with_it(number: signal.Signals, tmp_path: Path) -> None:
    """Ctrl-C, SIGTERM or a closed terminal: exit 0 and the summary; broker, daemon and temporary directory are gone."""
    with demo(tmp_path, "--tanks", "2") as child:
        first_forecasts(child)
        wait_until(lambda: len(processes_of(tmp_path)) == 4, what="demo, broker, daemon and console", deadline_s=30)
        child.send_signal(number)
        said, _ = child.communicate(timeout=30)

    assert child.returncode == 0
    assert SUMMARY.search(said) is not None, said
    assert (processes_of(tmp_path), list(tmp_path.glob("gaugecast-demo-*"))) == ([], [])


def test_killed_the_demo_leaves_no_process_behind(tmp_path: Path) -> None:
    """kill -9 of the demo itself: the kernel ends the daemon, a closed pipe the broker."""
    with demo(tmp_path, "--tanks", "2") as child:
        first_forecasts(child)
        child.kill()
        child.wait()

        wait_until(lambda: not processes_of(tmp_path), what="broker and daemon end with the demo", deadline_s=30)


@pytest.fixture
def a_broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A mosquitto that runs already."""
    with run_mosquitto(tmp_path / "broker") as broker:
        yield broker


@pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto is not installed")
def test_told_to_the_demo_uses_a_broker_that_runs(a_broker: Mosquitto, tmp_path: Path) -> None:
    """`--broker HOST:PORT`: forecasts, and no broker of its own beside the daemon."""
    own = tmp_path / "own"
    own.mkdir()
    with demo(own, "--tanks", "2", "--broker", f"127.0.0.1:{a_broker.port}") as child:
        first_forecasts(child)
        wait_until(lambda: len(processes_of(own)) == 3, what="demo, daemon and console", deadline_s=30)


@pytest.mark.long
@pytest.mark.skipif(shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin") is None, reason="no mosquitto")
def test_told_to_the_demo_starts_mosquitto(tmp_path: Path) -> None:
    """`--mosquitto`: the same with MQTT 5."""
    with demo(tmp_path, "--tanks", "2", "--mosquitto", "--for", "6") as child:
        said, _ = child.communicate(timeout=60)

    assert child.returncode == 0
    assert "mosquitto" in said
    assert SUMMARY.search(said) is not None, said


def test_a_broker_that_does_not_answer_is_said_in_one_line(tmp_path: Path) -> None:
    """A wrong address ends with the exit code of whoever cannot reach somebody, and no traceback."""
    ended = subprocess.run(
        [*gaugecast_command(), "demo", "--broker", "127.0.0.1:1"],
        capture_output=True,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        timeout=60,
        check=False,
    )

    assert ended.returncode == 69
    assert ended.stderr.startswith("gaugecast: expected a broker at 127.0.0.1:1")
    assert "Traceback" not in ended.stderr
    assert list(tmp_path.iterdir()) == []
