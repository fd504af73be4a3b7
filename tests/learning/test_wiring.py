"""The learner's process, wired to a state directory: what it waits for, what it takes, when it ends."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gaugecast.cli.learn import learn_command
from gaugecast.config import load_settings, resolve_fleets
from gaugecast.config.schema import Settings
from gaugecast.errors import ConfigError, Defect
from gaugecast.learn.online.process import LearnerProcess
from gaugecast.service import learning
from gaugecast.storage.lock import LEARNER_FILE_NAME, StateLock
from gaugecast.testing import random_model
from support.mosquitto import wait_until
from support.seeding import seed_state

pytestmark = pytest.mark.keras  # a learner's process begins with TensorFlow


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a daemon with one fleet."""
    path = tmp_path / "gaugecast.toml"
    path.write_text(
        f'[storage]\ndirectory = "{tmp_path / "state"}"\n[learning]\nmode = "unit"\n'
        '[fleet.tanks]\nsubscribe = ["plant/{tank}"]\nperiod = "1s"\n[fleet.tanks.features.level]\n'
    )
    return load_settings(path, {})


class Learner:
    """`learn` in a thread, without its signals."""

    def __init__(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stopping: learning.Stopping | None = None
        monkeypatch.setattr(learning, "_watch_signals", self._watch)
        monkeypatch.setattr(learning, "_NICE", 0)
        self.thread = threading.Thread(target=learning.learn, args=(settings,))
        self.thread.start()
        wait_until(lambda: self.stopping is not None, what="a learner that listens")

    def _watch(self, stopping: learning.Stopping) -> None:
        self.stopping = stopping

    def end(self) -> None:
        """As SIGTERM does."""
        assert self.stopping is not None
        self.stopping.ask()
        self.thread.join(90)  # it may be importing TensorFlow, which on a busy machine takes long
        assert not self.thread.is_alive()


def seed(settings: Settings) -> None:
    """What a daemon has made: a ledger with a fleet and weights in force."""
    (fleet,) = resolve_fleets(settings)
    model = random_model("tanks", [("level", "forecast")], fleet.rows, units=(4,), seed=1)
    seed_state(settings.storage.directory, fleet, model)


def test_it_waits_for_a_ledger_and_ends_when_asked(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Started before the daemon it has nothing to learn from; that is no failure."""
    one = Learner(settings, monkeypatch)
    assert one.thread.is_alive()
    one.end()


def test_it_follows_the_ledger_under_a_lock_of_its_own(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second learner waits until the first has ended; the daemon's lock is another."""
    seed(settings)
    with StateLock(settings.storage.directory), StateLock(settings.storage.directory, LEARNER_FILE_NAME):
        one = Learner(settings, monkeypatch)
        assert one.stopping is not None
        assert one.stopping.process is None
    wait_until(lambda: one.stopping is not None and one.stopping.process is not None, what="a learner at work")
    process = one.stopping.process
    assert process is not None
    wait_until(lambda: process.follower.seq == 2, what="the two events to be followed")
    one.end()


def test_it_does_not_outlive_a_daemon_that_has_gone(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose child it is not, it does not serve: the daemon died before it could say so."""
    monkeypatch.setattr(ctypes, "CDLL", lambda _: pytest)  # must not end with our parent
    monkeypatch.setattr(pytest, "prctl", lambda *_: 0, raising=False)
    monkeypatch.setattr(learning, "_watch_signals", lambda _: None)
    learning.learn(settings, parent=os.getppid() + 1)


def test_asked_twice_to_end_it_ends_whatever_it_does(tmp_path: Path) -> None:
    """A compilation holds the main thread for seconds: the process is gone all the same."""
    program = (
        "import sys, threading; from gaugecast.service import learning; learning._END_S = 0.2\n"
        "learning._watch_signals(learning.Stopping()); print('up', flush=True); threading.Event().wait()"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    child = subprocess.Popen([sys.executable, "-c", program], env=env, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"up\n"
    child.send_signal(signal.SIGTERM)
    assert child.wait(20) == 0


def test_without_tensorflow_it_says_so_in_one_line(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration that cannot be used: its unit is not started again and again."""
    monkeypatch.setattr(learning, "has_tensorflow", lambda: False)
    with pytest.raises(ConfigError, match="TensorFlow is not installed") as told:
        learning.learn(settings)
    assert "\n" not in str(told.value)


def test_where_it_dies_it_says_what_and_where_in_one_line(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow's own traces have sixty lines and more."""
    seed(settings)

    def run(_self: object) -> None:
        raise ValueError("Exception encountered when calling LSTM.call()\n" + 60 * "a line\n")

    monkeypatch.setattr(LearnerProcess, "run", run)
    monkeypatch.setattr(learning, "_watch_signals", lambda _: None)
    monkeypatch.setattr(os, "nice", lambda _: 0)
    with pytest.raises(
        Defect, match=r"ValueError: Exception encountered when calling LSTM.call\(\) \(.*\.py:\d+"
    ) as told:
        learning.learn(settings)
    assert "\n" not in str(told.value)


def test_the_command_ends_at_once_when_it_has_stopped(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow takes seconds to be taken down, for which a daemon that stops would wait."""
    ended: list[int] = []
    monkeypatch.setattr(learning, "learn", lambda _settings, parent: ended.append(-1))
    monkeypatch.setattr(os, "_exit", ended.append)
    learn_command(Path(settings.source))
    assert ended == [-1, 0]
