"""Errors of forecasts against what came, so that they can be held against figures from papers.

T steps of a stream, H horizons, G forecast features. A forecast for h ticks ahead of a step is held against the
step at that tick, if there is one and the feature was measured then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gaugecast.records import Bool, Float64, Int64


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """What was measured of one stream, step by step.

    Attributes:
        at: Event time of each step, ns (T,).
        tick: Whole number of periods since the first step (T,), rising.
        observed: Forecast features as measured (T, G), NaN = absent.
    """

    stream: str
    at: Int64
    tick: Int64
    observed: Float64

    def ahead(self, h: int) -> tuple[Int64, Bool]:
        """For each step the row of the step `h` ticks later (T,), and whether there is one (T,)."""
        rows = np.searchsorted(self.tick, self.tick + h)
        inside = np.minimum(rows, len(self.tick) - 1)
        return inside, (rows < len(self.tick)) & (self.tick[inside] == self.tick + h)

    def origins(self, h: int, rows: slice) -> tuple[Int64, Int64]:
        """Steps whose step `h` ticks later is among `rows` (N,), and the rows of these (N,)."""
        ahead, exists = self.ahead(h)
        counted = np.zeros(len(self.tick), bool)
        counted[rows] = True
        origins = np.flatnonzero(exists & counted[ahead])
        return origins, ahead[origins]

    @property
    def gaps(self) -> Int64:
        """Ticks without a step before each (T,)."""
        return np.diff(self.tick, prepend=self.tick[:1] - 1) - 1


def deviations(courses: Sequence[Course], rows: slice) -> Float64:
    """Standard deviation of each feature over `rows` of each stream, pooled (G,); 1 where it never moved."""
    parts = [course.observed[rows] for course in courses]
    counts = np.array([(~np.isnan(part)).sum(axis=0) for part in parts])
    with np.errstate(all="ignore"):
        variances = np.array([np.nanvar(part, axis=0) if len(part) else np.zeros(part.shape[1]) for part in parts])
    total = np.maximum(counts.sum(axis=0), 1)
    pooled = np.sqrt((counts * np.nan_to_num(variances)).sum(axis=0) / total)
    return np.where(pooled > 0.0, pooled, 1.0)


def errors_ahead(course: Course, forecast: Float64, h: int, rows: slice) -> tuple[Float64, Float64]:
    """Forecast minus measured `h` ticks later, and the same of the last measured value; both (N, G), NaN = none.

    Args:
        course: The stream.
        forecast: Made at each step (T, H, G).
        h: From 1.
        rows: Targets that count, as rows of the course.
    """
    origins, ahead = course.origins(h, rows)
    target = course.observed[ahead]
    return forecast[origins, h - 1] - target, last_measured(course.observed)[origins] - target


def last_measured(observed: Float64) -> Float64:
    """The newest measured value at each step (T, G); NaN before the first."""
    rows = np.where(np.isnan(observed), 0, np.arange(len(observed))[:, None])
    newest = np.maximum.accumulate(rows, axis=0)
    return np.take_along_axis(observed, newest, axis=0)
