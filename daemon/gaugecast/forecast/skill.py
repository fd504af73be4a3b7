"""Skill: how much smaller the squared error is than that of repeating the last value."""

from __future__ import annotations

import numpy as np

from gaugecast.records import Float64

#: Squares are capped, so that one absurd reading cannot turn a sum into infinity.
_LARGEST = 1e300


def decay_of(half_life_steps: float) -> float:
    """Factor a step by which older terms fade."""
    return float(0.5 ** (1.0 / half_life_steps))


def square(error: Float64) -> Float64:
    """Squares, 0 for NaN, capped."""
    with np.errstate(over="ignore"):
        return np.where(np.isnan(error), 0.0, np.minimum(error * error, _LARGEST))


def size(error: Float64) -> Float64:
    """Absolute values, 0 for NaN, capped."""
    return np.where(np.isnan(error), 0.0, np.minimum(np.abs(error), _LARGEST))


def discounted(total: Float64, term: Float64, counts: Float64 | np.ndarray, decay: float) -> Float64:
    """`decay`·total + term where `counts`, else total. Any shapes that broadcast."""
    return np.where(counts, decay * total + term, total)


def skill(square_error: Float64, square_last: Float64) -> Float64:
    """1 − Σ squared error / Σ squared error of the last value; NaN where the series never moved."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(square_last > 0, 1.0 - square_error / square_last, np.nan)
