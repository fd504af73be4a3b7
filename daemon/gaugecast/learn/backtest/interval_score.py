"""How honest intervals were, and how narrow: coverage, width, Winkler score and pinball loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gaugecast.learn.backtest.ahead import Told
from gaugecast.learn.score.course import Course
from gaugecast.records import Bool, Float64

#: Targets in a window of the worst coverage: so many at the next step, and so many times the horizon beyond.
WINDOW = 500
WINDOW_AHEAD = 100


@dataclass(frozen=True, slots=True)
class IntervalScore:
    """Figures of one level at one horizon; widths and scores in the deviations that errors are in.

    Attributes:
        coverage: Share of targets within, over all features.
        worst: The least share over whole windows of one feature in which it moves at most steps; `None` without any.
        width: Mean width.
        winkler: Mean width plus 2/α times how far outside targets fell (Gneiting & Raftery 2007).
        pinball: Mean pinball loss of the two bounds.
    """

    horizon: int
    nominal: float
    count: int
    coverage: float
    worst: float | None
    width: float
    winkler: float
    pinball: float


def interval_scores(
    courses: Sequence[Course], told: Sequence[Told], *, place: int, deviation: Float64, rows: slice = slice(None)
) -> list[IntervalScore]:
    """Figures of each level at one horizon.

    Args:
        courses: The streams.
        told: What was said of each.
        place: Of the horizon among those told.
        deviation: Unit of each feature's errors (G,).
        rows: Targets that count, as rows of each course.
    """
    return [
        _score([_held(c, t, place, k, rows) for c, t in zip(courses, told, strict=True)], told[0], place, k, deviation)
        for k in range(len(told[0].levels))
    ]


def _held(course: Course, told: Told, place: int, level: int, rows: slice) -> tuple[Float64, Float64, Float64, Bool]:
    """Errors, reach below and above (N, G), and whether the feature moved at the target (N, G)."""
    origins, ahead = course.origins(int(told.horizons[place]), rows)
    target = course.observed[ahead]
    moved = np.diff(course.observed, axis=0, prepend=course.observed[:1])[ahead] != 0.0
    below, above = (reach[origins, place, :, level].astype(np.float64) for reach in (told.below, told.above))
    return target - told.forecast[origins, place], below, above, moved


def _score(
    held: Sequence[tuple[Float64, Float64, Float64, Bool]], told: Told, place: int, level: int, deviation: Float64
) -> IntervalScore:
    error, below, above = (np.concatenate([one[k] for one in held]) / deviation for k in range(3))
    known = np.isfinite(error) & np.isfinite(below) & np.isfinite(above)
    nominal, horizon = float(told.levels[level]), int(told.horizons[place])
    tail = 0.5 * (1.0 - nominal)
    error, below, above = error[known], below[known], above[known]
    under, over = np.maximum(-below - error, 0.0), np.maximum(error - above, 0.0)
    inside = (under == 0.0) & (over == 0.0)
    width = below + above
    # Both bounds' pinball losses: tail·(error + below) where the target lies above the bound, and so on.
    pinball = 0.5 * (tail * (error + below) + under + tail * (above - error) + over)
    return IntervalScore(
        horizon=horizon,
        nominal=nominal,
        count=int(known.sum()),
        coverage=_mean(inside),
        worst=_worst(held, WINDOW if horizon == 1 else WINDOW_AHEAD * horizon),
        width=_mean(width),
        winkler=_mean(width + (under + over) / tail),
        pinball=_mean(pinball),
    )


def _worst(held: Sequence[tuple[Float64, Float64, Float64, Bool]], window: int) -> float | None:
    shares = []
    for error, below, above, moved in held:
        inside = ((error >= -below) & (error <= above)).astype(np.float64)
        for begin in range(0, len(error) - window + 1, window):
            part = slice(begin, begin + window)
            moving = moved[part].mean(axis=0) > 0.5
            whole = np.isfinite(below[part]).all(axis=0) & np.isfinite(error[part]).all(axis=0)
            shares += inside[part].mean(axis=0)[moving & whole].tolist()
    return min(shares) if shares else None


def _mean(figure: Float64 | Bool) -> float:
    return float(figure.mean()) if len(figure) else float("nan")
