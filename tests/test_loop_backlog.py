"""What waits before it is decoded: how much is polled, how much of it is one batch."""

from __future__ import annotations

from pathlib import Path

from gaugecast.config.schema import Loop
from gaugecast.loop.backlog import MOST_BYTES, Backlog
from gaugecast.loop.poison_guard import PoisonGuard
from gaugecast.records import Message
from gaugecast.storage.crash_note import CrashNote


def messages(count: int, size: int) -> list[Message]:
    """Of so many bytes each."""
    return [Message("t/a", b"x" * size, 1, False, False, 1 + i, 1) for i in range(count)]


def backlog(directory: Path, **limits: int) -> Backlog:
    """Empty; no process died before it."""
    return Backlog(PoisonGuard(CrashNote(directory), over=True), Loop(**limits))


def test_small_messages_are_polled_and_taken_by_their_number(tmp_path: Path) -> None:
    """As `batch_messages` says; none waits."""
    waiting = backlog(tmp_path, batch_messages=100)
    assert waiting.room == 100
    waiting.add(messages(100, 200), 5.0)
    assert (waiting.room, waiting.arrived_s, len(waiting.first())) == (100, 5.0, 100)
    waiting.drop(100)
    assert not waiting
    assert waiting.first() == []


def test_large_messages_are_polled_and_taken_by_their_bytes(tmp_path: Path) -> None:
    """Up to the one that crosses the bound; the next polls ask for fewer, and small ones are believed by and by."""
    waiting, large = backlog(tmp_path), messages(50, MOST_BYTES // 4)
    waiting.add(large, 0.0)
    assert waiting.room == 4
    for first in range(0, 48, 4):
        assert waiting.first() == large[first : first + 4]
        waiting.drop(4)
    rooms = []
    for _ in range(12):
        waiting.add(messages(1, 10), 0.0)
        rooms.append(waiting.room)
    assert rooms == sorted(rooms)
    assert (rooms[0], rooms[-1]) == (8, 1000)


def test_a_message_beyond_the_bound_is_taken_alone(tmp_path: Path) -> None:
    """Nothing waits for ever."""
    waiting = backlog(tmp_path)
    waiting.add(messages(2, 3 * MOST_BYTES), 0.0)
    assert waiting.room == 1
    assert len(waiting.first()) == 1


def test_no_more_is_looked_at_than_one_batch_may_have_readings(tmp_path: Path) -> None:
    """Each message is one at least."""
    waiting = backlog(tmp_path, batch_messages=100, batch_readings=7)
    waiting.add(messages(100, 10), 0.0)
    assert len(waiting.first()) == 7
    waiting.drop(3)
    assert len(waiting) == 97
