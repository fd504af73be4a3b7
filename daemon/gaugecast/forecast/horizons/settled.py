"""Whether a series comes back: swings from one end of its range to the other, without leaving it.

A walk that has gone through the whole of its range and back has nearly always left it by then: over the time of the
first horizons two walks of a hundred are held for what comes back, and later fewer. A cycle of pump or heater turns
where it turned before, and is known after its second swing, long before enough forecasts of an hour ahead are due.
"""

from __future__ import annotations

import numpy as np

from gaugecast.records import Bool, Float64, Int64

#: What a row keeps: top and bottom of its range, the end it was at last (1, −1; 0 = none), swings, and the tick since
#: when the range is what it is.
SIZE = 5
_TOP, _BOTTOM, _SIDE, _SWINGS, _SINCE = range(SIZE)
_END = 0.1  # share of the range that is its end; what lies farther outside makes the range wider
_ENOUGH = 2  # swings


def observe(state: Float64, values: Float64, tick: Int64) -> None:
    """Take in values; in place.

    Args:
        state: (R, SIZE); NaN before anything was seen.
        values: (R,), NaN = not measured.
        tick: Now (R,).
    """
    top, bottom, side, swings, since = state.T
    first = np.isnan(top)
    if first.any():
        for column, begin in ((top, values), (bottom, values), (side, 0.0), (swings, 0.0), (since, tick)):
            np.copyto(column, begin, where=first)
    margin = _END * (top - bottom)
    wider = (values > top + margin) | (values < bottom - margin)
    if wider.any():
        np.copyto(top, np.maximum(top, values), where=wider)
        np.copyto(bottom, np.minimum(bottom, values), where=wider)
        np.copyto(swings, 0.0, where=wider)
        np.copyto(since, tick, where=wider)
        margin = _END * (top - bottom)
    now = (values >= top - margin) * 1.0 - (values <= bottom + margin)
    swings += (now * side < 0.0) & ~wider
    np.copyto(side, now, where=now != 0.0)


def settled(state: Float64, tick: Int64, horizon: Int64) -> Bool:
    """Which rows are known to come back (R, H): those with swings that take no longer than the horizon.

    Args:
        state: As of `observe`.
        tick: Now (R,).
        horizon: In ticks (H,).
    """
    swings, age = state[:, _SWINGS], tick - state[:, _SINCE]
    return np.asarray((swings >= _ENOUGH)[:, None] & (age[:, None] <= swings[:, None] * horizon))
