"""How a sensor sends, by the distances of its readings: at a period, or whenever its value changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

#: Fewer distances say nothing.
FEWEST = 8
#: Shorter distances than this share of the long ones are of readings that come together, such as by two gateways.
_TOGETHER = 0.1
#: A sensor with a period and much jitter stays below; one that reports on change is far above.
_IRREGULAR = 4.0
_MINUTE_NS = 60 * 10**9
_HOUR_NS = 60 * _MINUTE_NS
_ROUND_NS = (
    *(minutes * _MINUTE_NS for minutes in (1, 2, 5, 10, 15, 30)),
    *(hours * _HOUR_NS for hours in (1, 2, 3, 4, 6, 12, 24, 48, 168)),
)


class Habit(NamedTuple):
    """Distances of one stream's readings, ns.

    Attributes:
        irregular: They are those of a sensor that reports on change, not of one with a period.
    """

    shortest_ns: int
    longest_ns: int
    irregular: bool

    @property
    def hold_ns(self) -> int:
        """For how long silence may mean the same value, a round figure: half as long again as it has been silent."""
        wanted = self.longest_ns * 3 // 2
        return next((each for each in _ROUND_NS if each >= wanted), -(-wanted // _ROUND_NS[-1]) * _ROUND_NS[-1])


def habit_of(distances_ns: Sequence[int]) -> Habit | None:
    """The habit of sensors whose readings were so far apart; `None` where they say too little."""
    if len(distances_ns) < FEWEST:
        return None
    ordered = sorted(distances_ns)
    long_ns = ordered[len(ordered) * 9 // 10]
    apart = [each for each in ordered if each >= long_ns * _TOGETHER]
    if len(apart) < FEWEST:
        return Habit(ordered[0], ordered[-1], False)
    return Habit(ordered[0], ordered[-1], long_ns >= _IRREGULAR * apart[len(apart) // 10])
