"""Running means that count their first terms like a plain mean and forget later."""

from __future__ import annotations

import numpy as np

from gaugecast.records import Float64


def rate_of(half_life: float | Float64) -> Float64:
    """Weight of the newest term, so that a term counts half after `half_life` more."""
    return np.asarray(-np.expm1(-np.log(2.0) / half_life))


def starting_rate(seen: Float64, half_life: float | Float64) -> Float64:
    """The same where `seen` terms came before: at first 1, 1/2, 1/3 …"""
    return np.maximum(1.0 / (seen + 1.0), rate_of(half_life))
