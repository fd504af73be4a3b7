"""A learner that crashes, hangs, is stopped, or has no room on its disk: the loop goes on, and counts and says it."""

from __future__ import annotations

import os
import re
import resource
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from e2e.launcher import command
from e2e.scenes import Listener, check_books, check_tanks, seed_model, send_tanks, tanks_config
from learning.stage import is_alive, learner_pids
from support.daemon import DaemonProcess, run_command
from support.mosquitto import Mosquitto, wait_until

CHILD = 'mode = "child"\ncpu = 1.0\nevery_s = 1.0'


class Scene:
    """A daemon with a model in force and a learner that is in trouble; tanks that go on speaking; a consumer."""

    def __init__(self, daemon: DaemonProcess, broker: Mosquitto, listener: Listener) -> None:
        self.daemon, self.listener = daemon, listener
        self.sent = 0
        self._broker = broker

    def speak(self, readings: int = 16) -> None:
        """Two readings of each tank, and their forecasts."""
        send_tanks(self._broker, readings, first=self.sent)
        self.sent += readings
        self.listener.wait_distinct(self.sent)

    def speak_until(self, condition: Callable[[], object], what: str, *, deadline_s: float = 60.0) -> None:
        """Go on speaking while waiting: that every forecast comes is part of it."""

        def spoken() -> object:
            threading.Event().wait(0.1)  # TensorFlow needs the processor more than we do
            self.speak()
            return condition()

        wait_until(spoken, what=f"{what}; log:\n{self.daemon.log_tail(20)}", deadline_s=deadline_s)

    def metric(self, name: str) -> float:
        """Of the only fleet."""
        return self.daemon.metrics().total(f"gaugecast_{name}")

    def check(self) -> None:
        """Every reading stepped once, every forecast heard once, and nothing else happened to the daemon."""
        check_tanks(self.listener.lines, self.sent)
        check_books(self.daemon, stepped=self.sent, late=0, duplicate=0, rejected=0)
        assert self.daemon.stop() == 0


@contextmanager
def playing(directory: Path, broker: Mosquitto, change: str) -> Iterator[Scene]:
    """Started and ready."""
    daemon = DaemonProcess(directory / "d", tanks_config(broker.port, learning=CHILD), command=command(change))
    seed_model(daemon, units=(64,))
    try:
        with Listener(broker, directory) as listener:
            daemon.start()
            yield Scene(daemon, broker, listener)
    finally:
        if daemon.running:
            daemon.kill()


def test_a_learner_that_crashes_at_its_start_is_started_ever_more_slowly_and_counted(
    tmp_path: Path, broker: Mosquitto
) -> None:
    """What the alert looks at moves: failures without a single update."""
    with playing(tmp_path, broker, "crashing_learner") as scene:
        scene.speak_until(lambda: scene.metric("learner_failures_total") >= 3, "three failures")
        assert scene.metric("learner_updates_total") == 0
        scene.check()
        waits = re.findall(r"learner ended.*again_in_s=([0-9.]+)", scene.daemon.log_text())
    assert [float(wait) for wait in waits[:3]] == [1.0, 2.0, 4.0]


def test_a_learner_that_never_says_a_word_is_killed_and_counted(tmp_path: Path, broker: Mosquitto) -> None:
    """It does not even listen to SIGTERM; the daemon's own end does not wait for it."""
    with playing(tmp_path, broker, "hanging_learner") as scene:
        scene.speak_until(lambda: len(learner_pids(scene.daemon)) >= 2, "a second learner")
        first, *_ = learner_pids(scene.daemon)
        assert not is_alive(first)
        assert scene.metric("learner_failures_total") >= 1
        scene.check()
        assert "learner hangs" in scene.daemon.log_text()
        assert not any(is_alive(pid) for pid in learner_pids(scene.daemon))


@contextmanager
def no_room(pid: int) -> Iterator[None]:
    """No file of the process may grow beyond what a log has: weights end in the middle, as on a full disk."""
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (60_000, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


@pytest.mark.keras
@pytest.mark.long
def test_a_stopped_learner_and_one_without_room_cost_lessons_not_forecasts(tmp_path: Path, broker: Mosquitto) -> None:
    """SIGSTOP: its lag grows until it goes on. No room: hand-overs fail, are counted, and come when there is some."""
    with playing(tmp_path, broker, "plain_learner") as scene:
        daemon = scene.daemon
        scene.speak_until(lambda: scene.metric("learner_handovers_total") >= 1, "a hand-over", deadline_s=120)
        (pid,) = learner_pids(daemon)

        os.kill(pid, signal.SIGSTOP)
        scene.speak_until(lambda: scene.metric("learner_lag_seconds") > 2, "a lag that grows")
        scene.speak_until(lambda: "learner silent" in daemon.log_text(), "a word about it")
        os.kill(pid, signal.SIGCONT)
        scene.speak_until(lambda: "learner speaks again" in daemon.log_text(), "its next word")
        scene.speak_until(lambda: scene.metric("learner_lag_seconds") < 2, "the end of its lag")

        with no_room(pid):
            failures, handed = scene.metric("learner_failures_total"), scene.metric("learner_handovers_total")
            scene.speak_until(lambda: scene.metric("learner_failures_total") >= failures + 2, "two failures")
            assert scene.metric("learner_handovers_total") <= handed + 1, "expected none but one that was under way"
            assert "hand-over failed" in daemon.log_text()
        handed = scene.metric("learner_handovers_total")
        scene.speak_until(lambda: scene.metric("learner_handovers_total") > handed, "a hand-over again")

        assert learner_pids(daemon) == [pid], "expected the learner to live through it"
        scene.check()
    found = run_command("replay", "-c", str(daemon.config_path))
    assert found.returncode == 0, found.stdout + found.stderr
