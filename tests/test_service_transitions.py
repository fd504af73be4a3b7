"""What the log tells of the daemon's fortunes, and how often."""

from __future__ import annotations

import io
from collections.abc import Iterator

import msgspec
import pytest
import structlog

from gaugecast import logs
from gaugecast.service.transitions import TransitionLog
from gaugecast.status import BrokerStatus, PublishingStatus, Status, StorageStatus

PLANT = BrokerStatus(address="plant:1883", connected=True)
OUT = PublishingStatus(address="site:1883", connected=True)
WELL = Status(recovered=1.0, broker=PLANT, publishing=OUT)


def broker(**changes: object) -> Status:
    """A well daemon but for its broker."""
    return msgspec.structs.replace(WELL, broker=msgspec.structs.replace(PLANT, **changes))


def away(why: str, **changes: object) -> Status:
    """A daemon without its broker."""
    return broker(connected=False, error=why, **changes)


def storage(**changes: object) -> Status:
    """A well daemon but for its disk."""
    return msgspec.structs.replace(WELL, storage=StorageStatus(**changes))  # type: ignore[arg-type]


def degraded(*reasons: str, **parts: object) -> Status:
    """A daemon that works with less than it should."""
    return msgspec.structs.replace(WELL, degraded=list(reasons), **parts)


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
    diary = TransitionLog()
    diary.look(WELL)
    line, out = events(lines)
    assert "broker connected" in line
    assert "connected for publishing" in out
    for _ in range(60):
        diary.look(away("connection refused"))
    (line,) = events(lines)
    assert "broker not connected" in line
    assert "connection refused" in line
    diary.look(away("timed out"))
    assert len(events(lines)) == 1
    diary.look(broker(reconnects_total=1, session_lost_total=1))
    connected, lost = events(lines)
    assert "reconnects=1" in connected
    assert "session lost" in lost
    diary.look(away("connection refused", reconnects_total=1, session_lost_total=1))
    assert len(events(lines)) == 1


def test_a_reconnect_between_two_looks_is_not_missed(lines: io.StringIO) -> None:
    """Connected before, connected now, and yet another connection."""
    diary = TransitionLog()
    diary.look(WELL)
    events(lines)
    diary.look(broker(reconnects_total=1))
    (line,) = events(lines)
    assert "broker connected" in line


def test_the_connection_that_publishes_has_lines_of_its_own(lines: io.StringIO) -> None:
    """It goes and comes while the other stays: told once each, and the other is not spoken of."""
    diary = TransitionLog()
    diary.look(WELL)
    events(lines)
    for _ in range(60):
        diary.look(msgspec.structs.replace(WELL, publishing=PublishingStatus(address="site:1883", error="timed out")))
    (line,) = events(lines)
    assert "broker not connected for publishing" in line
    assert "site:1883" in line
    assert "timed out" in line
    diary.look(msgspec.structs.replace(WELL, publishing=msgspec.structs.replace(OUT, reconnects_total=1)))
    (line,) = events(lines)
    assert "connected for publishing" in line


def test_what_the_broker_does_not_grant_is_told_while_connected(lines: io.StringIO) -> None:
    """A subscription that its ACL denies, and a publish."""
    diary = TransitionLog()
    for _ in range(2):
        diary.look(broker(deaf="plant/# was not granted"))
    _, line, _ = events(lines)
    assert "broker refuses" in line
    assert "plant/# was not granted" in line
    diary.look(msgspec.structs.replace(WELL, publishing=msgspec.structs.replace(OUT, mute="not authorized")))
    (line,) = events(lines)
    assert "broker refuses" in line


def test_degradation_has_a_beginning_and_an_end(lines: io.StringIO) -> None:
    """One line each, with the reason."""
    diary = TransitionLog()
    for status in (WELL, degraded("lag"), degraded("lag"), WELL):
        diary.look(status)
    _, _, begins, ends = events(lines)
    assert "degraded" in begins
    assert "lag" in begins
    assert "no longer degraded" in ends


def test_what_degrades_is_told_with_its_reason_where_there_is_one(lines: io.StringIO) -> None:
    """Which subscription was lowered, what of the disk cannot be known."""
    diary = TransitionLog()
    diary.look(WELL)
    lowered = msgspec.structs.replace(PLANT, lowered="plant/# granted at QoS 0 instead of 1")
    diary.look(degraded("qos", "storage_fault", broker=lowered, storage=StorageStatus(fault="checkpoints: gone")))
    _, _, qos, fault = events(lines)
    assert "plant/# granted at QoS 0 instead of 1" in qos
    assert "checkpoints: gone" in fault


def test_a_broker_that_retains_nothing_is_told_once(lines: io.StringIO) -> None:
    """It is no trouble of forecasts; who looks at the status topic must know."""
    diary = TransitionLog()
    unkept = msgspec.structs.replace(WELL.publishing, unkept="nothing is kept")
    for _ in range(2):
        diary.look(msgspec.structs.replace(WELL, publishing=unkept))
    *_, told = events(lines)
    assert "nothing is retained" in told
    assert "nothing is kept" in told


def test_a_failed_checkpoint_says_why(lines: io.StringIO) -> None:
    """The runbook sends people to the journal for it."""
    diary = TransitionLog()
    diary.look(storage(checkpoint_failures_total=1, checkpoint_failure="no space left"))
    assert "no space left" in events(lines)[2]


def test_damage_says_where_each_time_more_is_found(lines: io.StringIO) -> None:
    """The runbook sends people to it."""
    diary = TransitionLog()
    for total in (0, 1, 1, 2):
        diary.look(storage(damaged_total=total, damage=f"place {total}" if total else None))
    told = [line for line in events(lines) if "ledger damaged" in line]
    assert ["place 1" in told[0], "place 2" in told[1]] == [True, True]
    assert len(told) == 2


def test_a_log_that_cannot_be_copied_is_told_ever_more_rarely(lines: io.StringIO) -> None:
    """It is tried each second: a line at the first, second, fourth, … failure, with the reason."""
    diary = TransitionLog()
    for failures in (0, 1, 2, 3, 4, 5, 6, 7):
        diary.look(storage(wal_copy_failures_total=failures, wal_failure="disk I/O error"))
    told = [line for line in events(lines) if "write-ahead log not copied" in line]
    assert ["failures=1" in told[0], "failures=2" in told[1], "failures=4" in told[2]] == [True] * 3
    assert len(told) == 3
    assert "disk I/O error" in told[0]


def test_growth_of_the_brokers_drops_is_told_and_its_first_count_is_not(lines: io.StringIO) -> None:
    """It counts since its own start, for all its clients."""
    diary = TransitionLog()
    for total in (None, 40, 40, 45):
        diary.look(broker(dropped_total=total))
    (line,) = events(lines)[2:]
    assert "more=5" in line
