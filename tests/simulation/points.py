"""Named points at which a story may end a process, and what the disk refuses."""

from __future__ import annotations

from collections import Counter

from gaugecast.errors import StorageBusy, StorageFull
from gaugecast.faults import FAULT_POINTS

#: Points of the loop itself, passed by the made link, decoder and pipeline.
LOOP_POINTS = (
    "poll:before",
    "poll:after",
    "decode:before",
    "decode:after",
    "advance:before",
    "advance:after",
    "ack:before",
    "ack:half",
    "ack:after",
    "publish:before",
    "publish:after",
    "confirmed:taken",
)

#: All points of the loop, a commit, a checkpoint and a prune.
ALL_POINTS = (*LOOP_POINTS, *FAULT_POINTS)


class Crash(BaseException):
    """`kill -9` at a point; a BaseException, so that no `except Exception` of ours can live through it."""


class Violation(AssertionError):
    """An invariant of the design does not hold."""


class Points:
    """Passed by everything that calls them; owned by the world, lives through crashes.

    Attributes:
        reached, crashed: How often each point was passed, and how often a process died there.
        full, busy, broken: What the disk answers to the next so many commits.
    """

    def __init__(self) -> None:
        self.reached: Counter[str] = Counter()
        self.full = self.busy = 0
        self.checkpoint_fails = False
        self.crashed: Counter[str] = Counter()
        self._armed = ""
        self._passes = 0

    def arm(self, point: str, passes: int = 1) -> None:
        """Crash when `point` is passed for the `passes`-th time from now on."""
        self._armed, self._passes = point, passes

    @property
    def armed(self) -> bool:
        """Whether a crash is still to come."""
        return bool(self._armed)

    def disarm(self) -> None:
        """No crash after all."""
        self._armed = ""

    def __call__(self, point: str) -> None:
        self.reached[point] += 1
        if point == "commit:inserted":
            self.refuse()
        if self.checkpoint_fails and point == "checkpoint:chunk":
            raise OSError(28, "No space left on device")
        if point == self._armed:
            self._passes -= 1
            if self._passes <= 0:
                self._armed = ""
                self.crashed[point] += 1
                raise Crash(point)

    def refuse(self) -> None:
        """Raise what the disk has to say to a transaction, if anything."""
        if self.busy:
            self.busy -= 1
            raise StorageBusy("another process holds the lock")
        if self.full:
            self.full -= 1
            raise StorageFull("no space left")

    def heal(self) -> None:
        """The disk is well again, and nothing is armed."""
        self.full = self.busy = 0
        self.checkpoint_fails = False
        self.disarm()
