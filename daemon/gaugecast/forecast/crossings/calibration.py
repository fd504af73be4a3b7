"""What a probability has meant so far: a logistic curve, learned online, by which each is corrected.

The size of errors depends on where a series stands, which one histogram does not know: a crossing that is said to be
likely at 0.3 may happen seven times in ten. Offset and slope of the log odds (Platt 1999) are followed by a Newton step
for each forecast that is due, from the belief that what is said is so. Two numbers need little to be learned from.
"""

from __future__ import annotations

import numpy as np

from gaugecast.forecast.horizons.statistic import spans_of
from gaugecast.records import Bool, Float64, Int64

#: Floats a row and horizon: offset, slope less one, and their covariance (three of a symmetric two by two).
SIZE = 5
#: Nothing known yet (SIZE,): what is said is believed, with as much doubt in offset and slope.
BEGIN = np.array([0.0, 0.0, 2.0, 0.0, 2.0])
_GROWTH = 1.001  # of the covariance, a due forecast: what was long ago counts less
_MOST_DOUBT = 2.0
_MOST_ODDS = 5.0  # log odds are cut: nothing is surer than 99.3 %, as a regressor
_MOST_OFFSET, _LEAST_SLOPE, _MOST_SLOPE = 4.0, 0.1, 8.0


def learn(state: Float64, said: Float64, happened: Bool, *, due: Bool, overlap: Int64) -> None:
    """Take in what became of forecasts; in place.

    Args:
        state: (SIZE, R, H).
        said: Probabilities as they were before correction (R, H).
        happened: Whether it came true (R, H).
        due: Which there are (R, H).
        overlap: How many forecasts of a horizon wait at a time (H,): overlapping spans say less each.
    """
    weight = due / np.sqrt(spans_of(overlap))
    odds = _odds(np.where(due, said, 0.5))
    offset, slope, aa, ab, bb = state
    mean = _probability(odds + offset + slope * odds)
    curved = weight * mean * (1.0 - mean)
    pa, pb = aa + ab * odds, ab + bb * odds  # covariance times (1, odds)
    kept = 1.0 / (1.0 + curved * (pa + pb * odds))
    error = weight * (happened - mean)
    offset += kept * pa * error
    slope += kept * pb * error
    np.clip(offset, -_MOST_OFFSET, _MOST_OFFSET, out=offset)
    np.clip(slope, _LEAST_SLOPE - 1.0, _MOST_SLOPE - 1.0, out=slope)
    taken = kept * curved
    grown = np.where(due & (aa < _MOST_DOUBT) & (bb < _MOST_DOUBT), _GROWTH, 1.0)
    aa -= taken * pa * pa
    ab -= taken * pa * pb
    bb -= taken * pb * pb
    for part in (aa, ab, bb):
        part *= grown


def corrected(state: Float64, said: Float64) -> Float64:
    """Probabilities (R, H) by what such ones have meant; NaN stays, and so does what is certain."""
    odds = _odds(said)
    moved = _probability(odds + state[0] + state[1] * odds)
    kept: Float64 = np.where((said <= 0.0) | (said >= 1.0), said, moved)
    return kept


def _odds(p: Float64) -> Float64:
    with np.errstate(divide="ignore"):
        odds = np.log(p) - np.log1p(-p)
    cut: Float64 = np.minimum(np.maximum(odds, -_MOST_ODDS), _MOST_ODDS)
    return cut


def _probability(odds: Float64) -> Float64:
    return np.asarray(1.0 / (1.0 + np.exp(-odds)))
