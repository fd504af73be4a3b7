"""Which forecasts come due at a tick, and where those wait that do not yet."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gaugecast.forecast.horizons.layout import HorizonLayout
from gaugecast.records import Bool, Float64, Int64


class Due(NamedTuple):
    """Forecasts of R rows at H horizons whose target is now.

    Attributes:
        origin: Tick that each was made at (R, H).
        there: Whether one was kept (R, H).
        place: Where it waits (R, H).
    """

    origin: Int64
    there: Bool
    place: Int64


def due_at(ticks: Int64, layout: HorizonLayout) -> Due:
    """What comes due at ticks (R,)."""
    origin = ticks[:, None] - layout.horizons
    there = (origin % layout.stride == 0) & (origin >= 1)
    return Due(origin, there, layout.first + (origin // layout.stride) % layout.waiting)


def turns_at(ticks: Int64, layout: HorizonLayout) -> tuple[Int64, Int64, Int64]:
    """Rows, horizons and places (each (M,)) of forecasts made at ticks (R,) that are to be kept."""
    rows, horizons = np.nonzero(ticks[:, None] % layout.stride == 0)
    place = layout.first[horizons] + (ticks[rows] // layout.stride[horizons]) % layout.waiting[horizons]
    return rows, horizons, place


def forget_missed(base: Float64, rows: Int64, *, ticks: Int64, gap: Int64, layout: HorizonLayout) -> None:
    """What waits in places whose turn fell into a gap is of an older round; in place.

    Args:
        base: Values that forecasts were made from, of all rows there are (C, W).
        rows: Which of them are meant (R,).
        ticks: Now (R,).
        gap: Ticks before that had no step (R,).
        layout: Of the horizons.
    """
    before = ticks - 1 - gap
    for h in range(layout.count):
        stride, waiting = int(layout.stride[h]), int(layout.waiting[h])
        missed = (ticks - 1) // stride - before // stride
        for k in range(1, min(int(missed.max()), waiting) + 1):
            late = np.flatnonzero(missed >= k)
            base[rows[late], layout.first[h] + (before[late] // stride + k) % waiting] = np.nan
