"""Arrival time: a clock that never runs backwards, whatever is done to the machine's."""

from __future__ import annotations

import time
from collections.abc import Callable

#: A step forward of more than this is told to the pipeline; less is the ordinary work of NTP.
STEP_NS = 10 * 10**9


def elapsed_ns() -> int:
    """Counts on while the machine is suspended, which `monotonic` does not."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class ArrivalClock:
    """Stamps polls. Owned by the loop's thread.

    Follows the wall clock forwards. Where that is set back, it goes on at the pace of the elapsed time.

    Args:
        after_ns: The newest stamp of the last run; stamps are never less.
        wall: Unix nanoseconds.
        elapsed: Nanoseconds of a clock that is never set.
    """

    def __init__(
        self, after_ns: int, *, wall: Callable[[], int] = time.time_ns, elapsed: Callable[[], int] = elapsed_ns
    ) -> None:
        self._wall, self._elapsed = wall, elapsed
        self._stamp = max(after_ns, wall())
        self._at = elapsed()
        self.stepped_ns = 0

    @property
    def latest(self) -> int:
        """The newest stamp."""
        return self._stamp

    def stamp(self) -> int:
        """Unix nanoseconds now. `stepped_ns` is then how far the wall clock was set forward since, mostly 0."""
        elapsed = self._elapsed()
        expected = self._stamp + max(0, elapsed - self._at)
        self._at = elapsed
        self._stamp = max(expected, self._wall())
        ahead = self._stamp - expected
        self.stepped_ns = ahead if ahead > STEP_NS else 0
        return self._stamp
