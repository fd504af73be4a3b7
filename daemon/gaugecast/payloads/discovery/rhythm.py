"""How often readings come: a period, how even it is, or that a sensor reports when something changes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

#: Periods that people choose, s.
_STEPS_S = (
    0.1, 0.2, 0.25, 0.5, 1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60, 120, 180, 240, 300, 360, 600, 720, 900, 1200, 1800,
    3600, 7200, 10_800, 14_400, 21_600, 43_200, 86_400,
)  # fmt: skip
_NEAR = 0.15  # a share of the period
#: Fewer distances tell nothing of how even they are; nor does less than half as many that lie apart.
_FEW = 8
#: Shorter distances than this share of the long ones are of readings that come together, such as by two gateways.
_TOGETHER = 0.1
#: Of distances sorted by size that nine tenths on is so many times that one tenth on: a timer with much jitter stays
#: below, a sensor that reports on change is above.
_UNEVEN = 4.0
#: A hold is so much longer than the longest silence that was seen.
_SPARE = 1.5
#: Ticks that a hold spans at most.
_MOST_HELD = 1000
_LEAST_S = 0.05


class Rhythm(NamedTuple):
    """Of one stream, or of several alike.

    Attributes:
        period_s: To be configured; `None` = nothing came twice.
        jitter: Half the width of nine tenths of the distances, as a share of the period.
        shortest_s, longest_s: Distances seen.
        irregular: No period, but reports on change.
    """

    period_s: float | None = None
    jitter: float = 0.0
    shortest_s: float = 0.0
    longest_s: float = 0.0
    irregular: bool = False

    @property
    def hold_s(self) -> float:
        """How long silence is to mean the same value."""
        wanted = self.longest_s * _SPARE
        return next((step for step in _STEPS_S if step >= wanted), math.ceil(wanted / 86_400) * 86_400.0)

    @property
    def hold_text(self) -> str:
        """The same as the configuration takes it."""
        return text_of(self.hold_s)

    @property
    def apart(self) -> str:
        """`1 to 90 min between readings`."""
        return f"{_span(self.shortest_s, self.longest_s)} between readings"

    def __str__(self) -> str:
        if self.period_s is None:
            return "?"
        if self.irregular:
            return f'irregular: {self.apart}; hold = "{self.hold_text}"'
        return text_of(self.period_s) + (f" ± {self.jitter:.0%}" if self.jitter >= 0.01 else "")


def rhythm_of(streams: Iterable[Sequence[int]]) -> Rhythm:
    """The rhythm of streams alike.

    Args:
        streams: Of each the instants of its readings, ns.
    """
    return rhythm_of_distances(
        (b - a) / 1e9 for instants in streams for a, b in pairwise(sorted(set(instants))) if b - a >= _LEAST_S * 1e9
    )


def rhythm_of_distances(between_s: Iterable[float]) -> Rhythm:
    """The same, of distances between successive readings, s."""
    distances = sorted(between_s)
    if not distances:
        return Rhythm()
    if _is_uneven(distances):
        period_s = _at_most(max(_at(distances, 0.25), _at(distances, 0.9) * _SPARE / _MOST_HELD))
        return Rhythm(period_s, 0.0, distances[0], distances[-1], irregular=True)
    median = _at(distances, 0.5)
    jitter = (_at(distances, 0.95) - _at(distances, 0.05)) / 2 / median if len(distances) >= _FEW else 0.0
    return Rhythm(_nice(median), jitter, distances[0], distances[-1])


def _is_uneven(ordered: Sequence[float]) -> bool:
    """Whether a sensor that reports on change makes such distances, and no timer."""
    high = _at(ordered, 0.9)
    apart = [each for each in ordered if each >= _TOGETHER * high]
    return len(ordered) >= _FEW and len(apart) >= _FEW / 2 and high >= _UNEVEN * _at(apart, 0.1)


def text_of(seconds: float) -> str:
    """A duration as the configuration takes it: `500ms`, `10s`, `5m`, `2h`, `1d`."""
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s" if seconds >= 1 else f"{round(seconds * 1000)}ms"


def _at(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _nice(seconds: float) -> float:
    near = min(_STEPS_S, key=lambda step: abs(step - seconds))
    if abs(near - seconds) <= _NEAR * near:
        return near
    return round(seconds, 2 if seconds < 10 else 1 if seconds < 100 else 0)


def _at_most(seconds: float) -> float:
    return max((step for step in _STEPS_S if step <= seconds), default=_STEPS_S[0])


def _span(shortest_s: float, longest_s: float) -> str:
    unit, size = _unit_of(longest_s)
    if shortest_s >= 0.1 * size:
        return f"{_short(shortest_s / size)} to {_short(longest_s / size)} {unit}"
    own, small = _unit_of(shortest_s)
    return f"{_short(shortest_s / small)} {own} to {_short(longest_s / size)} {unit}"


def _unit_of(seconds: float) -> tuple[str, int]:
    return next((found for found in (("h", 3600), ("min", 60)) if seconds >= 2 * found[1]), ("s", 1))


def _short(number: float) -> str:
    return f"{number:.0f}" if number >= 10 else f"{number:.1f}".removesuffix(".0")
