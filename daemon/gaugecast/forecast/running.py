"""Running statistics along one stream's rows: `forecast.scaling.observe`, row after row, to the same bits.

`observe` takes one step of many streams and costs 60 µs a call; here one stream takes many steps, so the same
arithmetic is done on plain floats, 2 µs a row and feature.
"""

from __future__ import annotations

import math

import numpy as np

from gaugecast.forecast import scaling
from gaugecast.model import Recipe
from gaugecast.records import Bool, Float64

_HUGE = 1e150  # as in `scaling`
_START = 2.0
_LONG_RUN = 10.0


def observe_rows(stats: Float64, previous: Float64, values: Float64, consecutive: Bool, recipe: Recipe) -> Float64:
    """Statistics after each row (n, F, STATS).

    Args:
        stats: Before the first row (F, STATS).
        previous: Values of the row before the first (F,), NaN = absent.
        values: (n, F), NaN = absent.
        consecutive: Whether a row is one tick after the one before (n,).
        recipe: As of `observe`.
    """
    out = np.empty((len(values), *stats.shape))
    follows = consecutive.tolist()
    for f in range(stats.shape[0]):
        out[:, f] = _observe_feature(stats[f].tolist(), float(previous[f]), values[:, f].tolist(), follows, recipe)
    return out


def _observe_feature(
    stats: list[float], previous: float, values: list[float], follows: list[bool], recipe: Recipe
) -> list[tuple[float, ...]]:
    """One feature's way through `observe`; operations in the same order, so the same roundings."""
    steps, square, long, seen, mean, variance = stats
    rate, long_rate = _rate(recipe.half_life_steps), _rate(recipe.half_life_steps * _LONG_RUN)
    floor, clip = recipe.floor, recipe.clip_sigma
    rows: list[tuple[float, ...]] = []
    last = max(min(previous, _HUGE), -_HUGE) if previous == previous else math.nan
    for value, follow in zip(values, follows, strict=True):
        x = max(min(value, _HUGE), -_HUGE) if value == value else math.nan
        if follow and x == x and last == last:
            s = max(math.sqrt(square), floor * long)
            size = min(abs(x - last), clip * s if s > 0.0 else _HUGE)
            start = _START / (steps + _START)
            square += max(start, rate) * (size * size - square)
            long += max(start, long_rate) * (size - long)
            steps += 1.0
        if x == x:
            limit = clip * math.sqrt(variance)
            limit = 2.0 * _HUGE if limit == 0.0 else limit
            deviation = max(min(x - mean, limit), -limit)
            share = max(_START / (seen + _START), rate)
            mean += share * deviation
            variance += share * deviation * deviation
            variance -= share * variance
            seen += 1.0
        last = x
        rows.append((steps, square, long, seen, mean, variance))
    return rows


def _rate(half_life: float) -> float:
    return float(-np.expm1(-np.log(2.0) / half_life))


assert scaling.STATS == 6, "columns of the statistics have changed: this module must follow"
