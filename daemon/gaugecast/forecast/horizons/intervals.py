"""Intervals around forecasts: quantiles of the errors that have come due, tracked online, each side on its own.

A quantile q at level p follows the scores of due errors, q += η (1{score > q} − (1 − p)), with a step η that is a share
of the scores' decayed range (the P in conformal PID: Angelopoulos, Candès, Tibshirani 2023). Scores are errors over a
short running mean of their size, so that an interval widens within a day where a stream gets restless, and the
quantiles need only to learn a shape. Three floats a row, horizon and level, no window, never infinite.
"""

from __future__ import annotations

import numpy as np

from gaugecast.forecast.horizons.statistic import rate_of, starting_rate
from gaugecast.records import Bool, Float64

GAIN = 0.05  # η over the range
HALF_LIFE = 48.0  # of the errors' mean size, in due errors
RANGE_HALF_LIFE = 500.0
WARM = 30  # due errors until intervals are told
SIZE = 3  # what is kept beside the quantiles: errors seen, their mean size, decayed range of the scores
_Z = 1.25  # mean size of a normal error, in which first quantiles are reckoned, over its deviation (√(π/2))


def begin(levels: Float64) -> Float64:
    """The state before any error was seen (3 + 2L,): quantiles of a normal error's score, lower and upper by level."""
    tail = 0.5 * (1.0 - levels)
    log, a = np.log(4.0 * tail * (1.0 - tail)), 0.147  # Winitzki's inverse of the error function: a start, not a claim
    part = 2.0 / (np.pi * a) + 0.5 * log
    z = _Z * np.sqrt(2.0) * np.sqrt(np.sqrt(part * part - log / a) - part)
    return np.concatenate([np.zeros(SIZE), np.stack([-z, z], axis=-1).ravel()])


def track(state: Float64, error: Float64, due: Bool, levels: Float64) -> Float64:
    """The state after due errors.

    Args:
        state: (R, H, 3 + 2L): errors seen, their mean size, decayed range of scores, then lower and upper by level.
        error: What came, less what was said (R, H).
        due: Which there are (R, H).
        levels: (L,) rising.
    """
    seen, size, reach = state[..., 0], state[..., 1], state[..., 2]
    error = np.where(due, error, 0.0)
    scored = due & (size > 0.0)
    score = np.divide(error, size, out=np.zeros_like(error), where=scored)
    score = np.maximum(np.minimum(score, 50.0), -50.0)
    out = state.copy()
    out[..., 0] += due
    rate = starting_rate(seen, HALF_LIFE) * due
    out[..., 1] += rate * (np.minimum(np.abs(error), np.where(size > 0.0, 8.0 * size, np.inf)) - size)
    fade = 1.0 - rate_of(RANGE_HALF_LIFE) * scored
    out[..., 2] = np.maximum(fade * reach, np.abs(score))
    tail = 0.5 * (1.0 - levels)
    step = (GAIN * out[..., 2] * scored)[..., None]
    out[..., 3::2] -= step * ((score[..., None] < state[..., 3::2]) - tail)
    out[..., 4::2] += step * ((score[..., None] > state[..., 4::2]) - tail)
    return out


def bounds(state: Float64, levels: int) -> Float64:
    """How far below and above the forecast the intervals reach (R, H, L, 2): lower ≤ 0 ≤ upper, wider by level."""
    size = state[..., 1]
    q = state[..., 3:].reshape(*state.shape[:-1], levels, 2)
    out = np.empty(q.shape)
    out[..., 0] = np.minimum.accumulate(np.minimum(q[..., 0], 0.0), axis=-1)
    out[..., 1] = np.maximum.accumulate(np.maximum(q[..., 1], 0.0), axis=-1)
    out *= size[..., None, None]
    return out
