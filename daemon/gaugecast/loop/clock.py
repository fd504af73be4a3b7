"""Arrival time: stamps that follow the wall clock forwards, and back only as far as it had run ahead.

Nobody can tell from one look whether a clock that was set is right now or was right before. But time does pass: what
the elapsed time and the ledger say is the least that the time can be (`floor`). A wall clock that is set forward is
followed, and what it is ahead of the floor is owed; set back, it is followed as far as that, so that one wrong tick
does no harm once it is over. A clock that goes below the floor is not followed, but for one that is set back by days to
a moment that the ledger has seen. Stamps then go on at the pace of the elapsed time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple, Self

from gaugecast.loop.ports import History
from gaugecast.records import LAST_NS

#: A step of more than this is told to the pipeline; less is the ordinary work of NTP.
STEP_NS = 10 * 10**9
#: More than this below the floor is no mistake of an hour or a time zone.
FAR_NS = 86_400 * 10**9
#: 2026-01-01, before the first release: no machine that runs this code is older.
EARLIEST_NS = 1_767_225_600 * 10**9


def elapsed_ns() -> int:
    """Counts on while the machine is suspended, which `monotonic` does not."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Past(NamedTuple):
    """What earlier processes say of the time.

    Attributes:
        newest_ns: The newest stamp; 0 = none.
        ahead_ns: How far it was set forward and may be taken back.
        oldest_ns: No moment before this can be now.
    """

    newest_ns: int = 0
    ahead_ns: int = 0
    oldest_ns: int = EARLIEST_NS

    @classmethod
    def of(cls, ledger: History, ahead_ns: int) -> Self:
        """Read it off the first and the last input of a ledger.

        A ledger that was never pruned may have begun under a wrong clock; its first input says nothing.

        Raises:
            StorageError: The ledger cannot be read.
        """
        first = ledger.first_seq
        oldest = _stamp_after(ledger, first - 1) if first > 1 else 0
        return cls(_stamp_after(ledger, ledger.last_seq - 1), ahead_ns, oldest or EARLIEST_NS)


def _stamp_after(ledger: History, seq: int) -> int:
    batch = next(ledger.replay(max(0, seq), most=1), None)
    return 0 if batch is None else batch.inputs[0].received_at_ns


class ArrivalClock:
    """Stamps polls. Owned by the loop's thread.

    Args:
        past: What earlier processes say.
        wall: Unix nanoseconds.
        elapsed: Nanoseconds of a clock that is never set.

    Attributes:
        stepped_ns: By how much the last stamp lies beside what the elapsed time says, where that is a step; mostly 0.
    """

    def __init__(
        self, past: Past, *, wall: Callable[[], int] = time.time_ns, elapsed: Callable[[], int] = elapsed_ns
    ) -> None:
        self._wall, self._elapsed, self._oldest = wall, elapsed, past.oldest_ns
        now = wall()
        # Time that passed while nobody ran is silence, not a step; only later can it turn out to be wrong.
        self._stamp = now if past.newest_ns <= now <= LAST_NS else past.newest_ns
        self._floor = past.newest_ns - past.ahead_ns if past.newest_ns else min(past.oldest_ns, now)
        self._at = elapsed()
        self.stepped_ns = 0

    @property
    def latest(self) -> int:
        """The newest stamp."""
        return self._stamp

    def stamp(self) -> int:
        """Unix nanoseconds now; less than the stamp before only where `stepped_ns` says so."""
        elapsed = self._elapsed()
        passed = max(0, elapsed - self._at)
        self._at = elapsed
        expected = self._stamp + passed
        self._floor += passed
        self._stamp = self._corrected(expected)
        step = self._stamp - expected
        self.stepped_ns = step if abs(step) > STEP_NS else 0
        return self._stamp

    def _corrected(self, expected: int) -> int:
        wall = self._wall()
        if wall > LAST_NS:  # later than any event time can be: not a time
            return expected
        if wall >= expected:
            return wall
        if wall < self._floor - FAR_NS:
            if wall < self._oldest:
                return expected
            self._floor = wall  # nobody sets a clock back so far, to a moment that may be, unless it was wrong
        back = max(wall, self._floor)
        return back if expected - back > STEP_NS else expected
