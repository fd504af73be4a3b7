"""Thresholds over history: what would have been foretold at each step, as the loop does it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gaugecast.fleet import Fleet
from gaugecast.forecast.expert import Steps
from gaugecast.learn.score.course import Course, last_measured
from gaugecast.pipeline.crossings import Crossings
from gaugecast.records import Bool, Float64


@dataclass(frozen=True, slots=True, eq=False)
class Foretold:
    """What was foretold at each step of one stream, of K thresholds.

    Attributes:
        likely: Probability of a crossing within the threshold's reach (T, K); NaN while it is not known.
        median: Ticks until the median instant (T, K).
        open: Whether a crossing was told of (T, K).
        crossed: Whether the last value lay beyond (T, K).
    """

    likely: Float64
    median: Float64
    open: Bool
    crossed: Bool


def foretell(
    fleet: Fleet,
    courses: Sequence[Course],
    network: Sequence[Float64] | None,
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Foretold]:
    """Step the thresholds of `fleet` over courses, all streams together.

    Args:
        fleet: With its horizons and thresholds.
        courses: The streams.
        network: Forecasts of 1 … K ticks ahead made at each step of each (T, K, G), or `None`.
        progress: Told how many steps were taken.
    """
    crossings = Crossings(fleet, len(courses))
    longest = max(len(course.tick) for course in courses)
    shape = (len(courses), longest, len(fleet.thresholds))
    names = ("likely", "median", "open", "crossed")
    told = {name: np.zeros(shape, float if name in names[:2] else bool) for name in names}
    xs = [last_measured(course.observed) for course in courses]
    gaps = [course.gaps for course in courses]
    for t in range(longest):
        slots = np.array([i for i, course in enumerate(courses) if t < len(course.tick)])
        values, x = (np.stack([rows[i][t] for i in slots.tolist()]) for rows in ([c.observed for c in courses], xs))
        last = np.stack([courses[i].observed[t - 1] for i in slots.tolist()]) if t else np.full_like(values, np.nan)
        at = np.array([courses[i].at[t] for i in slots.tolist()])
        gap = np.array([gaps[i][t] for i in slots.tolist()])
        steps = Steps(slots, values, last, ~np.isnan(last), at, at, gap, np.zeros(len(slots), bool))
        path = None if network is None else np.stack([network[i][t] for i in slots.tolist()])
        crossings.step(steps, values, x=x, last=last, path=path)
        for name in ("likely", "open", "crossed"):
            told[name][slots, t] = crossings.columns[name][slots]
        told["median"][slots, t] = crossings.columns["instants"][slots, :, 1]
        progress(len(slots))
    return [Foretold(*(told[name][i, : len(course.tick)] for name in names)) for i, course in enumerate(courses)]
