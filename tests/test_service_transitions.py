"""What the log tells of the daemon's fortunes, and how often."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace

import pytest
import structlog

from gaugecast import logs
from gaugecast.metrics.facts import State
from gaugecast.service.transitions import TransitionLog

WELL = State(ready=True, recovered=1.0, mqtt_connected=True)
AWAY = replace(WELL, ready=False, mqtt_connected=False)


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Where the log goes."""
    stream = io.StringIO()
    logs.configure("info", "plain", stream)
    yield stream
    structlog.reset_defaults()


def events(stream: io.StringIO) -> list[str]:
    """What was written since the last call, without times."""
    found = [line.split(" ", 1)[1].strip() for line in stream.getvalue().splitlines()]
    stream.seek(0)
    stream.truncate()
    return found


def test_a_broker_that_goes_and_comes_is_told_once_each(lines: io.StringIO) -> None:
    """An hour without a broker is two lines; another reason is a line more."""
    diary = TransitionLog("localhost:1883")
    diary.look(WELL, fault=None)
    (line,) = events(lines)
    assert "broker connected" in line
    for _ in range(60):
        diary.look(AWAY, fault="connection refused")
    (line,) = events(lines)
    assert "broker not connected" in line
    assert "connection refused" in line
    diary.look(AWAY, fault="timed out")
    assert len(events(lines)) == 1
    diary.look(replace(WELL, mqtt_reconnects_total=1, mqtt_session_lost_total=1), fault=None)
    connected, lost = events(lines)
    assert "reconnects=1" in connected
    assert "session lost" in lost
    diary.look(replace(AWAY, mqtt_reconnects_total=1, mqtt_session_lost_total=1), fault="connection refused")
    assert len(events(lines)) == 1


def test_a_reconnect_between_two_looks_is_not_missed(lines: io.StringIO) -> None:
    """Connected before, connected now, and yet another connection."""
    diary = TransitionLog("localhost:1883")
    diary.look(WELL, fault=None)
    events(lines)
    diary.look(replace(WELL, mqtt_reconnects_total=1), fault=None)
    (line,) = events(lines)
    assert "broker connected" in line


def test_what_the_broker_does_not_grant_is_told_while_connected(lines: io.StringIO) -> None:
    """A subscription that its ACL denies."""
    diary = TransitionLog("localhost:1883")
    diary.look(WELL, fault="plant/# was not granted")
    diary.look(WELL, fault="plant/# was not granted")
    _, line = events(lines)
    assert "broker refuses" in line


def test_degradation_has_a_beginning_and_an_end(lines: io.StringIO) -> None:
    """One line each, with the reason."""
    diary = TransitionLog("localhost:1883")
    for state in (WELL, replace(WELL, degraded=frozenset({"lag"})), replace(WELL, degraded=frozenset({"lag"})), WELL):
        diary.look(state, fault=None)
    _, begins, ends = events(lines)
    assert "degraded" in begins
    assert "lag" in begins
    assert "no longer degraded" in ends


def test_a_failed_checkpoint_says_why(lines: io.StringIO) -> None:
    """The runbook sends people to the journal for it."""
    diary = TransitionLog("localhost:1883")
    diary.look(replace(WELL, checkpoint_failures_total=1), fault=None, checkpoint_failure=OSError("no space left"))
    assert "no space left" in events(lines)[1]


def test_a_log_that_cannot_be_copied_is_told_ever_more_rarely(lines: io.StringIO) -> None:
    """It is tried each second: a line at the first, second, fourth, … failure, with the reason."""
    diary = TransitionLog("localhost:1883")
    for failures in (0, 1, 2, 3, 4, 5, 6, 7):
        state = replace(WELL, wal_copy_failures_total=failures)
        diary.look(state, fault=None, wal_failure=OSError("disk I/O error"))
    told = [line for line in events(lines) if "write-ahead log not copied" in line]
    assert ["failures=1" in told[0], "failures=2" in told[1], "failures=4" in told[2]] == [True] * 3
    assert len(told) == 3
    assert "disk I/O error" in told[0]


def test_growth_of_the_brokers_drops_is_told_and_its_first_count_is_not(lines: io.StringIO) -> None:
    """It counts since its own start, for all its clients."""
    diary = TransitionLog("localhost:1883")
    for total in (None, 40, 40, 45):
        diary.look(replace(WELL, broker_dropped_total=total), fault=None)
    (line,) = events(lines)[1:]
    assert "more=5" in line
