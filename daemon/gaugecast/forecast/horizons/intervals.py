"""Intervals around forecasts: quantiles of the errors that have come due, tracked online, each side on its own.

A quantile q at level p follows the scores of due errors, q += η (1{score > q} − (1 − p)), with a step η that is a share
of the scores' decayed range (the P in conformal PID: Angelopoulos, Candès, Tibshirani 2023). Scores are errors over a
short running mean of their size, so that an interval widens within a day where a stream gets restless, and over what
is usual at the time of day (`season`): the quantiles need only to learn a shape. Three floats a row, horizon and
level, no window, never infinite.
"""

from __future__ import annotations

import numpy as np

from gaugecast.forecast.horizons.statistic import rate_of, spans_of, starting_rate
from gaugecast.records import Bool, Float64, Int64

GAIN = 0.05  # η over the range
HALF_LIFE = 48.0  # of the errors' mean size, in due errors
RANGE_HALF_LIFE = 500.0
WARM = 30  # due errors until intervals are told
SIZE = 3  # what is kept beside the quantiles: errors seen, their mean size, decayed range of the scores
_EAGER = 30.0  # so many errors are followed at the full gain, later ones of overlapping spans more slowly
_MOST = 50.0  # scores count as so much
_OUTLIER = 8.0  # and errors, in their mean size, in that mean
_Z = 1.25  # mean size of a normal error, in which first quantiles are reckoned, over its deviation (√(π/2))


def begin(levels: Float64) -> Float64:
    """The state before any error was seen (SIZE + 2L,), its quantiles those of a normal error's score."""
    tail = 0.5 * (1.0 - levels)
    log, a = np.log(4.0 * tail * (1.0 - tail)), 0.147  # Winitzki's inverse of the error function: a start, not a claim
    part = 2.0 / (np.pi * a) + 0.5 * log
    z = _Z * np.sqrt(2.0) * np.sqrt(np.sqrt(part * part - log / a) - part)
    return np.concatenate([np.zeros(SIZE), np.stack([-z, z], axis=-1).ravel()])


def track(
    state: Float64, error: Float64, origin: Float64, *, shape: Float64, due: Bool, levels: Float64, overlap: Int64
) -> None:
    """Take in due errors; in place.

    Args:
        state: (SIZE + 2L, R, H): errors seen, their mean size, decayed range of scores, then lower and upper by level.
        error: What came, less what was said (R, H).
        origin: Size that errors were expected to have when that was said (R, H), see `size_of`: the score is what the
            interval then was told in.
        shape: Size of errors at this time of day, over their mean size; against (R, H).
        due: Which there are (R, H).
        levels: (L,) rising.
        overlap: How many forecasts of a horizon wait at a time (H,); a quantile that followed such errors
            fast would be wide when it is over.
    """
    longer = spans_of(overlap)
    seen, size, reach = state[:SIZE]
    error = np.where(due, error, 0.0)
    scored = due & (origin > 0.0)
    score = np.divide(error, origin, out=np.zeros_like(error), where=scored)
    score = np.maximum(np.minimum(score, _MOST), -_MOST)
    limit = np.where(size > 0.0, _OUTLIER * size, np.inf)
    size += starting_rate(seen, HALF_LIFE * longer) * due * (np.minimum(np.abs(error) / shape, limit) - size)
    seen += due
    np.maximum((1.0 - rate_of(RANGE_HALF_LIFE) * scored) * reach, np.abs(score), out=reach)
    gain = GAIN * np.maximum(1.0 / longer, _EAGER / (seen + _EAGER))
    step = gain * reach * scored
    for k, tail in enumerate((0.5 * (1.0 - levels)).tolist()):
        lower, upper = state[SIZE + 2 * k], state[SIZE + 2 * k + 1]
        lower -= step * ((score < lower) - tail)
        upper += step * ((score > upper) - tail)


def size_of(state: Float64, shape: Float64) -> Float64:
    """Size that errors are expected to have (R, H), by that of their time of day over their mean size."""
    size: Float64 = state[1] * shape
    return size


def bounds(state: Float64, size: Float64, levels: int) -> Float64:
    """How far below and above the forecast the intervals reach (L, 2, R, H): lower ≤ 0 ≤ upper, wider by level.

    Args:
        state: As of `track`.
        size: Of `size_of` (R, H).
        levels: L.
    """
    out = np.empty((levels, 2, *state.shape[1:]))
    lower, upper = np.zeros_like(size), np.zeros_like(size)
    for k in range(levels):
        np.minimum(lower, state[SIZE + 2 * k], out=lower)
        np.maximum(upper, state[SIZE + 2 * k + 1], out=upper)
        np.multiply(lower, size, out=out[k, 0])
        np.multiply(upper, size, out=out[k, 1])
    return out
