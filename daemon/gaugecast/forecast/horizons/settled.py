"""Whether a series comes back to a mean or walks away: a test for a unit root (Sargan & Bhargava 1983).

A walk's variance about its mean grows with the time for which it was seen; on average it is a sixth of the mean square
that it moves in that time. The variance of what comes back stays. The statistic is the one over the other, the moves
taken over some strides, for within one a cycle goes straight on. What comes back is recognised after a few of its
cycles, long before enough forecasts of an hour ahead have come due to tell by their errors.
"""

from __future__ import annotations

import numpy as np

from gaugecast.records import Bool, Float64, Int64

#: Moves over so many strides are looked at.
_LAGS = (2, 3, 4)
#: Over the first spans one walk in a hundred has less; later walks have had more chances, and less is asked for.
_LEAST, _FIRST = 0.04, 1.5


def settled(values: Float64, variance: Float64, ticks: Int64, *, stride: int, horizon: int) -> Bool:
    """Whether rows come back (R,).

    Args:
        values: The last W of them, each a stride after the one before (R, W); NaN = not measured.
        variance: About the mean, since the row began (R,).
        ticks: For how many it was seen (R,).
        stride: In ticks.
        horizon: The span that is forecast, in ticks.
    """
    squares = np.zeros(len(values))  # moved in a stride
    for lag in _LAGS:
        moves = values[:, lag:] - values[:, :-lag]
        known = np.isfinite(moves)
        total = np.square(np.where(known, moves, 0.0)).sum(axis=1)
        squares += total / (lag * len(_LAGS) * np.maximum(known.sum(axis=1), 1))
    root = np.sqrt(_FIRST * horizon / np.maximum(ticks, _FIRST * horizon))
    walked = squares * (ticks / stride)
    return np.asarray((squares > 0.0) & (variance < _LEAST * root * np.sqrt(root) * walked))
