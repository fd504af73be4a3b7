"""Skill: how much smaller the squared error is than that of repeating the last value."""

from __future__ import annotations

import numpy as np

from gaugecast.records import Bool, Float64, Int64

#: Squares are capped, so that one absurd reading cannot turn a sum into infinity.
LARGEST = 1e300


def decay_of(half_life_steps: float) -> float:
    """Factor a step by which older terms fade."""
    return float(0.5 ** (1.0 / half_life_steps))


def add_terms(block: Float64, slots: Int64, terms: Float64, counts: Bool, decay: float) -> None:
    """Add terms to the discounted sums of streams.

    Args:
        block: (capacity, K, G) in which K sums of each stream stand.
        slots: Of N streams, no two alike.
        terms: (N, K, G).
        counts: (N, G), which of them count.
    """
    before = block[slots]
    block[slots] = np.where(counts[:, None], decay * before + terms, before)


def skill(square_error: Float64, square_last: Float64) -> Float64:
    """1 − Σ squared error / Σ squared error of the last value; NaN where the series never moved."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(square_last > 0, 1.0 - square_error / square_last, np.nan)
