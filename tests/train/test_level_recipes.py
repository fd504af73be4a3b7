"""Recipes whose target is the level itself: standard, min-max and running."""

from __future__ import annotations

import numpy as np
import pytest

from gaugecast.fleet import Feature
from gaugecast.forecast.scaling import (
    InputLayout,
    build_inputs,
    initial_stats,
    meaning,
    observe,
    to_forecast,
    to_target,
)
from gaugecast.model import Recipe
from gaugecast.records import Float64

FEATURES = (Feature("level"), Feature("temperature"))
STANDARD = Recipe(
    half_life_steps=100.0, kind="standard", clock=False, identity=False, squash=False,
    centre=(10.0, -5.0), spread=(2.0, 0.5),
)  # fmt: skip
RUNNING = Recipe(half_life_steps=100.0, kind="running", clock=False, identity=False, squash=False)


def feed(rows: Float64, recipe: Recipe) -> tuple[Float64, Float64]:
    """Statistics (1, F, STATS) after all `rows` (T, F), and the last row (1, F)."""
    stats, previous = initial_stats(1, rows.shape[1]), np.full((1, rows.shape[1]), np.nan)
    for row in rows:
        stats = observe(stats, previous, row[None], np.array([True]), recipe)
        previous = row[None]
    return stats, previous


def test_a_level_is_fed_in_the_fitted_scale_and_not_clipped_beyond_it() -> None:
    """What lies a thousand spreads outside of the training part is fed as a thousand spreads."""
    layout = InputLayout.of(FEATURES, "joint", STANDARD)
    x = np.array([[2010.0, -5.5]])
    inputs = build_inputs(initial_stats(1, 2), x, x, np.zeros(1, np.int64), layout, STANDARD)
    np.testing.assert_allclose(inputs, [[[1000.0, -1.0]]])


def test_forecast_undoes_target_in_the_sensors_unit() -> None:
    """Targets of any size come back as the values they were made of."""
    layout = InputLayout.of(FEATURES, "per_feature", STANDARD)
    x = np.array([[11.0, -4.0]])
    following = np.array([[5000.0, -7.25]])
    stats = initial_stats(1, 2)
    y = to_target(following, *meaning(stats, x, STANDARD), layout, STANDARD)
    np.testing.assert_allclose(to_forecast(y, *meaning(stats, x, STANDARD), layout, STANDARD), following, rtol=1e-6)


def test_a_feature_never_seen_is_not_forecast() -> None:
    """The centre says nothing of a sensor that has not spoken."""
    x = np.array([[np.nan, -4.0]])
    origin, _ = meaning(initial_stats(1, 2), x, STANDARD)
    assert np.isnan(origin).tolist() == [[True, False]]


@pytest.mark.parametrize("value", [3.7, -1e9])
def test_running_scale_forecasts_a_constant_as_that_constant(value: float) -> None:
    """Whatever the network says of a series that never moved."""
    layout = InputLayout.of(FEATURES, "joint", RUNNING)
    stats, x = feed(np.full((50, 2), value), RUNNING)
    wild = np.full((1, 1, 2), 9.0, np.float32)
    assert to_forecast(wild, *meaning(stats, x, RUNNING), layout, RUNNING).tolist() == [[value, value]]


def test_running_scale_is_the_streams_own() -> None:
    """An output of 1 is one deviation of this stream above its mean."""
    rows = np.stack([np.tile([1.0, 3.0], 400), np.tile([100.0, 300.0], 400)], axis=1)
    stats, x = feed(rows, RUNNING)
    origin, spread = meaning(stats, x, RUNNING)
    np.testing.assert_allclose(origin, [[2.0, 200.0]], rtol=0.02)
    assert spread[0, 1] == pytest.approx(100 * spread[0, 0])
