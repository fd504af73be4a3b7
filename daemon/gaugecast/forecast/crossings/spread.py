"""How forecasts were missed, as a histogram of due errors: what a probability is read off.

Errors enter over a short running mean of their size, so that the histogram needs to learn a shape only, and forget it
slowly. Its bins are narrow in the middle and wide at the ends; within a bin errors count as spread evenly.
"""

from __future__ import annotations

import numpy as np

from gaugecast.forecast.horizons.statistic import dot, rate_of, spans_of, starting_rate
from gaugecast.records import Bool, Float64, Int64

BINS = 24
HALF_LIFE = 1000.0  # of the histogram, in due errors
SIZE_HALF_LIFE = 96.0  # of the errors' mean size
WARM = 30  # due errors until a probability is told
#: Floats a row and horizon: errors seen, their mean size, and the bins.
SIZE = 2 + BINS
_OUTLIER = 8.0  # errors count as so much in their mean size
_END = 8.0  # scores beyond lie in the outermost bins
_BEND = 2.5
_EDGES = np.sinh(np.linspace(-_BEND, _BEND, BINS + 1)) * (_END / np.sinh(_BEND))
_INNER = _EDGES[1:-1]
_LEFT, _WIDTH = (each[:, None, None] for each in (_EDGES[:-1], np.diff(_EDGES)))


def take(state: Float64, error: Float64, origin: Float64, *, due: Bool, overlap: Int64) -> None:
    """Take in due errors; in place.

    Args:
        state: (SIZE, R, H).
        error: What came, less what was said (R, H).
        origin: Mean size of errors when that was said (R, H).
        due: Which there are (R, H).
        overlap: How many forecasts of a horizon wait at a time (H,): errors of overlapping spans say less each.
    """
    longer = spans_of(overlap)
    seen, size, bins = state[0], state[1], state[2:]
    error = np.where(due, error, 0.0)
    scored = due & (origin > 0.0)
    score = np.divide(error, origin, out=np.zeros_like(error), where=scored)
    limit = np.where(size > 0.0, _OUTLIER * size, np.inf)
    size += starting_rate(seen, SIZE_HALF_LIFE * longer) * due * (np.minimum(np.abs(error), limit) - size)
    rate = np.maximum(1.0 / (seen + 1.0), rate_of(HALF_LIFE * longer)) * scored
    bins -= rate * bins
    rows, horizons = np.nonzero(scored)
    bins[np.searchsorted(_INNER, score[rows, horizons], side="right"), rows, horizons] += rate[rows, horizons]
    seen += due


def exceeded(state: Float64, needed: Float64) -> Float64:
    """Probability that an error is larger than `needed` (R, H); NaN where too few are known.

    Args:
        state: (SIZE, R, H).
        needed: In the unit of the errors (R, H).
    """
    seen, size, bins = state[0], state[1], state[2:]
    score = np.divide(needed, size, out=np.where(needed > 0.0, _END, -_END), where=size > 0.0)
    score = np.maximum(np.minimum(score, _END), -_END)
    below = np.maximum(np.minimum((score - _LEFT) / _WIDTH, 1.0), 0.0)
    total = dot(bins, np.ones(()))
    certain = np.where(needed >= 0.0, 1.0, 0.0)  # where nothing was ever missed
    under = np.divide(dot(bins, below), total, out=certain, where=total > 0.0)
    out: Float64 = np.where(seen >= WARM, 1.0 - under, np.nan)
    return out
