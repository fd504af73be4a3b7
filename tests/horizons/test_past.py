"""What forecasts rest on: the rings of block means, and the regressors read off them."""

from __future__ import annotations

import numpy as np
import pytest

from gaugecast.forecast.horizons.layout import MOVES, WIDE, HorizonLayout
from gaugecast.forecast.horizons.past import Past, regressors, remember
from gaugecast.records import Float64

SECOND_NS = 10**9
HOUR_NS = 3600 * SECOND_NS


def filled(layout: HorizonLayout, series: Float64) -> Past:
    """The past of one row, after these values."""
    past = Past(np.full((3, layout.points), np.nan), np.array([1]))
    for tick, value in enumerate(series.tolist(), 1):
        remember(past, np.array([value]), np.array([tick]), np.array([0]), layout)
    return past


def looked_at(past: Past, layout: HorizonLayout, origin: int, base: float) -> Float64:
    """Regressors (D, H) of forecasts made at a tick from a value, in the series' own unit."""
    shape = (1, layout.count)
    own, one = np.full(shape, np.nan), np.ones(1)
    origins, bases = np.full(shape, origin), np.full(shape, base)
    return regressors(past, bases, origins, level=0.0 * one, s=one, own=own, layout=layout)[:, 0]


@pytest.mark.parametrize("ago", [0, 900])
def test_far_horizons_look_at_blocks_from_where_the_forecast_was_made(ago: int) -> None:
    """On a ramp: the newest block is the one that ends there; now, and when the target comes."""
    layout = HorizonLayout.of((1, 900), SECOND_NS, seasons=False)
    block, origin = int(layout.block[1]), 3200
    past = filled(layout, np.arange(1, origin + ago + 1, dtype=np.float64) * np.float64(0.01))
    seen = looked_at(past, layout, origin, 0.01 * origin)[:, 1]
    half = 0.01 * (block - 1) / 2
    np.testing.assert_allclose(seen[:MOVES], [half, *[0.01 * block] * (MOVES - 1)], rtol=1e-9)
    np.testing.assert_allclose(seen[MOVES], -half - 0.01 * block * (WIDE - 1) / 2, rtol=1e-9)


@pytest.mark.parametrize("ago", [0, 24])
def test_seasonal_horizons_look_at_the_target_s_time_of_day(ago: int) -> None:
    """A day and two before the target, a week before it, and how these moved."""
    layout = HorizonLayout.of((1, 24), HOUR_NS)
    series = np.random.default_rng(1).normal(size=600)
    origin = 560
    past, base = filled(layout, series[: origin + ago]), series[origin - 1]
    seen = looked_at(past, layout, origin, base)
    for place, h in enumerate((1, 24)):
        day, two, week, today = (series[origin - 1 - back] for back in (24 - h, 48 - h, 168 - h, 24))
        wanted = [day - base, two - base, base - today, week - base, week - series[origin - 1 - 168]]
        np.testing.assert_allclose(seen[MOVES + 2 : MOVES + 7, place], wanted, rtol=1e-9, atol=1e-12)


def test_what_came_in_a_gap_is_not_known() -> None:
    """The move over a gap is no regressor."""
    layout = HorizonLayout.of((1,), SECOND_NS)
    past = filled(layout, np.arange(50.0))
    remember(past, np.array([90.0]), np.array([53]), np.array([2]), layout)
    assert looked_at(past, layout, 53, 90.0)[:3, 0].tolist() == [0.0, 0.0, 0.0]
