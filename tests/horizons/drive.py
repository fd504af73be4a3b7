"""Feeds arrays to `HorizonExperts` step by step, as a pipeline would."""

from __future__ import annotations

import numpy as np

from gaugecast.forecast.horizons.experts import Ahead, HorizonExperts
from gaugecast.records import Float64

MINUTE_NS = 60 * 10**9
HOUR_NS = 3600 * 10**9


def drive(experts: HorizonExperts, series: Float64, *, network: Float64 | None = None, first: int = 0) -> list[Ahead]:
    """What was said at each step of `series` (T, N, G), NaN = absent; streams 0 … N − 1.

    Args:
        experts: Takes the steps.
        series: What is measured.
        network: The network's forecasts (T, N, H, G); default: none.
        first: Step of the series to begin with; those before it have been fed.
    """
    said = []
    streams = series.shape[1]
    for t in range(first, len(series)):
        values = series[t]
        last = series[t - 1] if t else np.full_like(values, np.nan)
        own = np.full((streams, experts.layout.count, series.shape[2]), np.nan) if network is None else network[t]
        gap = np.zeros(streams, np.int64)
        said.append(
            experts.step(
                np.arange(streams), values, x=np.where(np.isnan(values), last, values), last=last, gap=gap, own=own
            )
        )
    return said


def walks(steps: int, streams: int, features: int, *, seed: int = 0) -> Float64:
    """Random walks (T, N, G)."""
    return np.random.default_rng(seed).normal(size=(steps, streams, features)).cumsum(axis=0)


def errors_of(said: list[Ahead], series: Float64, experts: HorizonExperts, *, place: int) -> tuple[Float64, Float64]:
    """Errors of what was published at one horizon, and of the last value (T − h, N, G)."""
    h = int(experts.layout.horizons[place])
    forecast = np.array([one.forecast[:, place] for one in said[: len(said) - h]])
    return series[h:] - forecast, series[h:] - series[:-h]
