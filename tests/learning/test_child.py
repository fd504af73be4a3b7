"""The learner as a child: started, started again ever more slowly, ended; and what its silence means."""

from __future__ import annotations

import math
import os
import signal
import sys
from pathlib import Path

import pytest

from gaugecast import logs
from gaugecast.control import LearnerReport
from gaugecast.service.children import Child
from gaugecast.service.learner_monitor import LearnerMonitor
from support.mosquitto import wait_until

LASTING = (sys.executable, "-S", "-c", "import signal; signal.pause()")
BRIEF = (sys.executable, "-S", "-c", "raise SystemExit(3)")
DEAF = (
    sys.executable,
    "-S",
    "-c",
    "import signal, sys; signal.signal(15, signal.SIG_IGN); print(flush=True); [signal.pause() for _ in iter(int, 1)]",
)
FACTS = LearnerReport(fleet="tanks", updates_total=5, failures_total=1, lag_s=0.5)


def ended(child: Child) -> bool:
    """Whether its process has ended (and is still to be noticed)."""
    assert child._child is not None
    return child._child.poll() is not None


def wait_end(child: Child) -> None:
    """Until then."""
    wait_until(lambda: ended(child), what="the child's end")


def test_a_child_that_ends_is_started_again_ever_more_slowly_and_counted() -> None:
    """1 s, 2 s, 4 s … of the loop's own clock."""
    child, now_s = Child(Path(), command=BRIEF), 0.0
    waits: list[float] = []
    child.watch(now_s)
    for _ in range(8):
        wait_end(child)
        child.watch(now_s)
        assert child.pid is None
        before_s = now_s
        while child.pid is None:
            now_s += 0.5
            child.watch(now_s)
        waits.append(now_s - before_s)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert child.failures_total == 8
    wait_end(child)


def test_after_a_long_life_it_is_started_again_soon() -> None:
    """The wait is for what fails at once."""
    child = Child(Path(), command=BRIEF)
    child.watch(0.0)
    for now_s in (0.0, 1.0, 3.0):
        wait_end(child)
        child.watch(now_s)
        child.watch(now_s + 100)
    wait_end(child)
    child.watch(10_000.0)
    child.watch(10_001.0)
    assert child.pid is not None
    wait_end(child)


def test_a_killed_child_is_a_failure_and_another_takes_its_place() -> None:
    """kill -9."""
    child = Child(Path(), command=LASTING)
    child.watch(0.0)
    first = child.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    wait_end(child)
    child.watch(1.0)
    child.watch(2.0)
    assert child.failures_total == 1
    assert child.pid not in (None, first)
    child.close()


def test_a_child_that_hangs_is_killed_and_one_that_speaks_is_not() -> None:
    """Silence is counted from its start or its last word."""
    child = Child(Path(), command=LASTING, silent_s=300)
    child.watch(1000.0, heard_at_s=float("-inf"))
    child.watch(1299.0, heard_at_s=float("-inf"))
    assert not ended(child)
    child.watch(1500.0, heard_at_s=1290.0)
    assert not ended(child)
    child.watch(1590.0, heard_at_s=1290.0)
    wait_end(child)
    child.watch(1591.0)
    assert child.failures_total == 1


def test_a_child_that_hangs_before_its_first_word_is_killed_too() -> None:
    """Nothing was ever heard: that is longer ago than any number says."""
    child = Child(Path(), command=LASTING, silent_s=300)
    child.watch(1000.0, heard_at_s=float("-inf"))
    child.watch(1300.0, heard_at_s=float("-inf"))
    wait_end(child)
    child.watch(1301.0, heard_at_s=float("-inf"))
    assert child.failures_total == 1


def test_one_that_is_slow_to_begin_is_given_longer_the_next_time() -> None:
    """Else a slow device would load TensorFlow for ever; once one has spoken, the ordinary time holds again."""
    never = float("-inf")
    child = Child(Path(), command=LASTING, silent_s=300)
    child.watch(0.0, never)
    child.watch(300.0, never)
    wait_end(child)
    child.watch(301.0, never)
    child.watch(302.0, never)
    child.watch(302.0 + 599, never)
    assert not ended(child)
    child.watch(1000.0, 901.0)
    child.watch(1200.0, 901.0)
    assert not ended(child)
    child.watch(1201.0, 901.0)
    wait_end(child)


def test_what_cannot_be_started_is_a_failure_not_an_end() -> None:
    """The loop goes on."""
    child = Child(Path(), command=("/nonexistent/python",))
    child.watch(0.0)
    assert child.failures_total == 1
    assert child.pid is None


@pytest.mark.parametrize("command", [LASTING, DEAF])
def test_it_ends_when_it_is_closed_even_if_it_does_not_listen(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM, then SIGKILL."""
    monkeypatch.setattr("gaugecast.service.children._STOP_S", 0.5)
    child = Child(Path(), command=command)
    child.watch(0.0)
    child.close()
    assert ended(child)
    child.close()


def test_what_it_said_last_is_what_the_metrics_say_with_our_failures_added() -> None:
    """Its own count begins anew with each process; ours does not."""
    news = LearnerMonitor()
    assert news.state("tanks", 0.0, failures=0) is None
    news.note(FACTS, 10.0)
    state = news.state("tanks", 11.0, failures=2)
    assert state is not None
    assert (state.updates_total, state.failures_total, state.lag_s) == (5, 3, 0.5)


def test_a_learner_that_never_spoke_has_its_failures_counted() -> None:
    """TensorFlow is not installed: it ends at once, for ever."""
    state = LearnerMonitor().state("tanks", 0.0, failures=4)
    assert state is not None
    assert state.failures_total == 4


def test_the_lag_grows_while_it_is_silent() -> None:
    """A process that is stopped says nothing of its lag."""
    news = LearnerMonitor()
    news.note(FACTS, 10.0)
    news.look(100.0)
    state = news.state("tanks", 110.0, failures=0)
    assert state is not None
    assert state.lag_s == 100.5
    news.note(FACTS, 120.0)
    state = news.state("tanks", 121.0, failures=0)
    assert state is not None
    assert state.lag_s == 0.5


def test_a_learner_that_compiles_is_not_called_silent(capsys: pytest.CaptureFixture[str]) -> None:
    """It has said that it will be long; what it has done so far is still told."""
    logs.configure("info", "plain", sys.stdout)
    news = LearnerMonitor()
    news.note(FACTS, 10.0)
    news.note(LearnerReport(fleet="tanks", doing="compiling"), 11.0)
    news.look(200.0)
    assert "silent" not in capsys.readouterr().out
    state = news.state("tanks", 200.0, failures=0)
    assert state is not None
    assert (state.doing, state.updates_total, state.lag_s) == ("compiling", 5, 0.5)
    news.look(311.0)
    assert "learner silent" in capsys.readouterr().out
    news.note(FACTS, 312.0)
    news.look(343.0, runs=False)
    assert "learner silent" not in capsys.readouterr().out, "expected nothing more of one whose end has been told"
    news.look(343.0)
    assert "learner silent" in capsys.readouterr().out


def test_it_is_asked_to_end_before_all_else_and_seen_to_after(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two waits side by side are one: the loop drains while the child ends, and the child's time runs meanwhile."""
    clock = [1000.0]
    monkeypatch.setattr("gaugecast.service.children.time.monotonic", lambda: clock[0])
    child = Child(Path(), command=DEAF)
    child.watch(0.0)
    child.ask_to_end()
    assert not ended(child)
    clock[0] += 10.0  # the loop's own end took so long: nothing is left to wait for
    waited: list[float] = []
    assert child._child is not None
    wait = child._child.wait

    def noting(timeout: float | None = None) -> int:
        waited.append(math.inf if timeout is None else timeout)
        return wait(timeout)

    monkeypatch.setattr(child._child, "wait", noting)
    child.close()
    assert ended(child)
    assert waited[0] == 0.0
