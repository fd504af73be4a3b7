"""Sums over an axis, and running means that count their first terms like a plain mean and forget later."""

from __future__ import annotations

import numpy as np

from gaugecast.records import Float64, Int64


def dot(one: Float64, other: Float64) -> Float64:
    """Σ over the first axis, in its order: of a single number NumPy would add up in another one.

    Args:
        one: (K, …).
        other: The same, or what can be multiplied with it.
    """
    products = one * other
    if products[0].size > 1:
        return np.asarray(np.add.reduce(products, axis=0))
    doubled = np.repeat(products.reshape(len(products), 1), 2, axis=1)
    return np.asarray(np.add.reduce(doubled, axis=0)[:1].reshape(products.shape[1:]))


def rate_of(half_life: float | Float64) -> Float64:
    """Weight of the newest term, so that a term counts half after `half_life` more."""
    return np.asarray(-np.expm1(-np.log(2.0) / half_life))


def starting_rate(seen: Float64, half_life: float | Float64) -> Float64:
    """The same where `seen` terms came before: at first 1, 1/2, 1/3 …"""
    return np.maximum(1.0 / (seen + 1.0), rate_of(half_life))


def spans_of(overlap: Int64) -> Float64:
    """How many errors of overlapping spans say as much as one that stands alone; of so many that wait at a time."""
    return np.asarray(0.75 + 0.25 * overlap, np.float64)
