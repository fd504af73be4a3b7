"""The frozen linear reference: a vector autoregression of a stream's features, fitted once on healthy steps.

x[t] = c + A₁ x[t−1] + … + A_P x[t−P] + r, by least squares (Lütkepohl 2005, chapter 3) from sums of products. A model
that goes on learning learns a fault with the rest; this one does not. How far feature i lies from what the others say
is measured by leaving it out: (Σ⁻¹ r)ᵢ² / (Σ⁻¹)ᵢᵢ is by what the squared Mahalanobis distance falls without it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gaugecast.forecast.anomaly.layout import Layout, pairs
from gaugecast.records import Bool, Float64

#: Added to a correlation's diagonal: two features that say the same make no singular matrix.
_RIDGE = 1e-3
_LEAST = 1e-6  # of a feature's variance, as what is left unexplained
_FEW = 6  # addends, up to which they are faster one by one
_STILL = 1e-280  # a variance of so much or less is none: its inverse would be no number


class Reference(NamedTuple):
    """What is fitted of N streams; the columns of the same names."""

    weights: Float64
    precision: Float64
    mean: Float64
    spread: Float64
    kinship: Float64


def fit(moments: Float64, moving: Bool, layout: Layout) -> Reference:
    """Fit N streams, each on its own.

    Args:
        moments: Σ of products of (1, now, lags), each once (N, M·(M + 1)/2).
        moving: Which features move often enough (N, F); the others take no part, and have a spread of 0.
        layout: Of the features.
    """
    f, lags = layout.features, layout.lags
    moments = _squares(moments, layout.size)
    count = np.maximum(moments[:, 0, 0], 1.0)
    mean = moments[:, 0, :] / count[:, None]
    covariance = moments / count[:, None, None] - mean[:, :, None] * mean[:, None, :]
    variance = np.diagonal(covariance, axis1=1, axis2=2)
    part = np.concatenate([np.zeros((len(moments), 1), bool), *[moving] * (1 + lags)], axis=1) & (variance > _STILL)
    size = np.where(part, np.sqrt(np.where(part, variance, 1.0)), 0.0)
    correlation = _divided(covariance, size)
    now, past = slice(1, 1 + f), slice(1 + f, None)
    sound = _sound(correlation[:, past, past], part[:, past], _RIDGE)
    slopes: Float64 = np.linalg.solve(sound, correlation[:, past, now]).astype(np.float64).swapaxes(1, 2)  # in spreads
    left = correlation[:, now, now] - _times(slopes, correlation[:, past, now])
    weights = np.zeros((len(moments), f, layout.regressors))
    per = np.divide(1.0, size, out=np.zeros_like(size), where=size > 0.0)
    weights[:, :, 1:] = slopes * size[:, now, None] * per[:, None, past]
    weights[:, :, 0] = mean[:, now] - (weights[:, :, 1:] * mean[:, None, past]).sum(axis=2)
    inverse = _inverse(left, part[:, now], _LEAST) * per[:, now, None] * per[:, None, now]
    kinship = _inverse(correlation[:, now, now], part[:, now], _RIDGE) * per[:, now, None] * per[:, None, now]
    return Reference(weights, inverse, mean[:, now], size[:, now], kinship)


def expected(weights: Float64, lags: Float64) -> Float64:
    """What the reference expects (N, F), relative to the origin, of streams with these lags (N, P, F)."""
    count, steps, features = lags.shape
    return weights[:, :, 0] + weighed(weights[:, :, 1:], lags.reshape(count, steps * features))


def diagonal(square: Float64) -> Float64:
    """Of N matrices (N, F, F), a view (N, F)."""
    count, features, _ = square.shape
    view: Float64 = square.reshape(count, features * features)[:, :: features + 1]
    return view


def weighed(square: Float64, values: Float64) -> Float64:
    """N matrices (N, F, K) times as many vectors (N, K): (N, F)."""
    if values.shape[1] > _FEW:
        total: Float64 = (square * values[:, None, :]).sum(axis=2)
        return total
    total = square[:, :, 0] * values[:, :1]
    for place in range(1, values.shape[1]):
        total += square[:, :, place] * values[:, place : place + 1]
    return total


def left_out(precision: Float64, missed: Float64) -> Float64:
    """By what the squared distance of `missed` (N, F) falls without each feature (N, F); 0 where it takes no part."""
    pulled, own = weighed(precision, missed), diagonal(precision)
    fallen: Float64 = np.divide(pulled * pulled, own, out=np.zeros_like(pulled), where=own > 0.0)
    return fallen


def _squares(moments: Float64, size: int) -> Float64:
    one, other = pairs(size)
    square = np.empty((len(moments), size, size))
    square[:, one, other] = square[:, other, one] = moments
    return square


def _divided(covariance: Float64, size: Float64) -> Float64:
    per = np.divide(1.0, size, out=np.zeros_like(size), where=size > 0.0)
    out: Float64 = covariance * per[:, :, None] * per[:, None, :]
    return out


def _sound(correlation: Float64, part: Bool, ridge: float) -> Float64:
    """With a diagonal that no solver stumbles on: features that take no part are 1 there, and 0 elsewhere."""
    places = np.arange(correlation.shape[1])
    sound = np.where(part[:, :, None] & part[:, None, :], correlation, 0.0)
    sound[:, places, places] = np.where(part, np.maximum(sound[:, places, places], 0.0) + ridge, 1.0)
    return sound


def _inverse(matrix: Float64, part: Bool, ridge: float) -> Float64:
    inverse = np.linalg.inv(_sound(matrix, part, ridge))
    out: Float64 = np.where(part[:, :, None] & part[:, None, :], inverse, 0.0)
    return out


def _times(a: Float64, b: Float64) -> Float64:
    """Products of N small matrices, element-wise: each stream's depends on its own alone."""
    out: Float64 = (a[:, :, :, None] * b[:, None, :, :]).sum(axis=2)
    return out
