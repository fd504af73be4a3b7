"""What has come due is learned from: by the horizons of each group, of the rows of which one is due."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gaugecast.forecast.horizons import direct
from gaugecast.forecast.horizons.layout import HorizonLayout
from gaugecast.forecast.horizons.past import Past, regressors
from gaugecast.records import Bool, Float64, Int64


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """Targets of R rows at H horizons that have come.

    Attributes:
        base: Values that the forecasts were made from (R, H).
        origin: Ticks of them (R, H).
        came: Moves since then (R, H), in the row's unit.
        own: What the network had said of them (R, H), NaN = nothing.
        due: Which there are (R, H).
        s: Scales of the rows' moves (R,); where 0, nothing is learned.
        level: Their long-run means (R,).
        tick: Now (R,).
    """

    base: Float64
    origin: Int64
    came: Float64
    own: Float64
    due: Bool
    s: Float64
    level: Float64
    tick: Int64


def learn(theta: Float64, p: Float64, past: Past, lesson: Lesson, layout: HorizonLayout) -> None:
    """Let the linear expert learn; in place.

    Args:
        theta: Coefficients (D, R, H).
        p: Inverse Hessians of all rows there are (C, Q, D, D).
        past: Where the R rows are, and their rings.
        lesson: What came.
        layout: Of the horizons.
    """
    for q, of in enumerate(layout.groups_of):
        due = lesson.due[:, of]
        some = np.flatnonzero(due.any(axis=1))
        if not len(some):
            continue
        rows: Int64 | slice = slice(None) if len(some) == len(due) else some
        here, s = Past(past.points, past.rows[rows]), lesson.s[rows]
        phi = regressors(
            here, lesson.base[rows, of], lesson.origin[rows, of], level=lesson.level[rows], s=s,
            own=lesson.own[rows, of], layout=layout, of=of,
        )  # fmt: skip
        moving = due[rows] & (s > 0.0)[:, None]
        target = np.divide(lesson.came[rows, of], s[:, None], out=np.zeros(moving.shape), where=moving)
        coefficients, inverse = theta[:, rows, of], p[here.rows, q]
        direct.learn(coefficients, inverse, phi, target, moving, tick=lesson.tick[rows], root=layout.root[of])
        theta[:, rows, of], p[here.rows, q] = coefficients, inverse
