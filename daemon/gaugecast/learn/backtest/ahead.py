"""Forecasts of listed horizons over history: the experts of `forecast/horizons`, stepped as the loop steps them.

The network's own forecasts come from the pipeline's run over the same history. Everything is prequential: each step is
forecast before it is learned from, and a horizon learns when its target is there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gaugecast.forecast.horizons.experts import Ahead, HorizonExperts
from gaugecast.forecast.horizons.rows import EXPERTS, LEADS
from gaugecast.learn.score.course import Course, last_measured
from gaugecast.records import Float32, Float64, Int64


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """What was said at each step of one stream.

    Attributes:
        horizons: In ticks (H,).
        levels: Of the intervals (L,).
        x: What forecasts move from (T, G).
        forecast: The mixture (T, H, G).
        moves: Each expert's move from there (T, H, G, E), in the order of `EXPERTS`.
        below, above: How far the intervals reach from the forecast (T, H, G, L); NaN while warming.
        leads: Share of steps at which each expert had the most weight, in the order of `LEADS` (H, L).
    """

    horizons: Int64
    levels: Float64
    x: Float64
    forecast: Float64
    moves: Float32
    below: Float32
    above: Float32
    leads: Float64

    def expert(self, name: str) -> Float64:
        """One expert's forecasts (T, H, G)."""
        return self.x[:, None] + self.moves[..., EXPERTS.index(name)]


def tell(
    courses: Sequence[Course],
    network: Sequence[Float64] | None,
    period_ns: int,
    *,
    horizons: Sequence[int],
    levels: Sequence[float],
    progress: Callable[[int], None] = lambda _: None,
) -> list[Told]:
    """Step the experts over courses, all streams together.

    Args:
        courses: The streams.
        network: Forecasts of 1 … K ticks ahead made at each step of each (T, K, G); horizons beyond K have none.
        period_ns: Distance of two ticks.
        horizons: In ticks; the next step is added.
        levels: Of the intervals.
        progress: Told how many steps were taken.
    """
    features = courses[0].observed.shape[1]
    experts = HorizonExperts(period_ns, features, horizons, levels=levels, capacity=len(courses))
    tapes = [_Tape(course, None if network is None else network[i], experts) for i, course in enumerate(courses)]
    for t in range(max(len(course.tick) for course in courses)):
        slots = np.array([i for i, course in enumerate(courses) if t < len(course.tick)])
        fed = [tapes[i].fed(t) for i in slots.tolist()]
        values, x, last, own = (np.stack([one[k] for one in fed]) for k in range(4))
        gap = np.array([tapes[i].gap[t] for i in slots.tolist()])
        ahead = experts.step(slots, values, x=x, last=last, gap=gap, own=own)
        for row, i in enumerate(slots.tolist()):
            tapes[i].keep(t, row, ahead)
        progress(len(slots))
    return [tape.told() for tape in tapes]


class _Tape:
    """One stream's course on its way through the experts, and what they say of it."""

    def __init__(self, course: Course, network: Float64 | None, experts: HorizonExperts) -> None:
        steps, features = course.observed.shape
        self._experts, self._network = experts, network
        self._values, self._x = course.observed, last_measured(course.observed)
        self.gap = course.gaps
        shape = (steps, experts.layout.count, features)
        self._forecast, self._leads = np.empty(shape), np.empty(shape, np.int8)
        self._moves = np.empty((*shape, len(EXPERTS)), np.float32)
        self._below, self._above = (np.empty((*shape, len(experts.levels)), np.float32) for _ in range(2))

    def fed(self, t: int) -> tuple[Float64, Float64, Float64, Float64]:
        """Values, what forecasts move from, values before, and the network's forecasts (H, G)."""
        places = self._experts.layout.horizons
        own = np.full((len(places), self._values.shape[1]), np.nan)
        if self._network is not None:
            known = places <= self._network.shape[1]
            own[known] = self._network[t, places[known] - 1]
        before = self._values[t - 1] if t else np.full(self._values.shape[1], np.nan)
        return self._values[t], self._x[t], before, own

    def keep(self, t: int, row: int, ahead: Ahead) -> None:
        """What was said at a step."""
        self._forecast[t], self._leads[t] = ahead.forecast[row], ahead.leads[row]
        self._moves[t] = ahead.experts[row] - self._x[t, :, None]
        at = ahead.forecast[row][..., None]
        self._below[t], self._above[t] = at - ahead.lower[row], ahead.upper[row] - at

    def told(self) -> Told:
        """All of it."""
        share = [(self._leads == k).mean(axis=(0, 2)) for k in range(len(LEADS))]
        lay = self._experts.layout
        return Told(
            lay.horizons, self._experts.levels, self._x, self._forecast, self._moves, self._below, self._above,
            np.stack(share, axis=1),
        )  # fmt: skip
