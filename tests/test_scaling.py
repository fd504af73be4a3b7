"""The input recipe: statistics, inputs, forecasts and targets, as an operator would expect of a stream."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaugecast.fleet import Feature, Rows
from gaugecast.forecast.scaling import (
    InputLayout,
    build_inputs,
    default_recipe,
    initial_stats,
    observe,
    scale,
    to_forecast,
    to_target,
)
from gaugecast.model.manifest import Recipe
from gaugecast.records import Float32, Float64

RECIPE = Recipe(half_life_steps=50.0)
TANK = (Feature("pressure"), Feature("valve", role="input"), Feature("temperature"))
HOUR_NS = 3600 * 10**9


def run(
    series: npt.ArrayLike, recipe: Recipe = RECIPE, consecutive: Sequence[bool] | None = None
) -> tuple[Float64, Float64, Float64]:
    """Statistics after a whole series (T, F) of one stream, and its last two values (1, F)."""
    values = np.asarray(series, np.float64)
    stats, previous = initial_stats(1, values.shape[1]), np.full((1, values.shape[1]), np.nan)
    before = previous
    for t, row in enumerate(values):
        x = row[None]
        follows = np.array([consecutive is None or consecutive[t]])
        stats = observe(stats, previous, x, follows, recipe)
        before, previous = previous, x
    return stats, previous, before


def inputs_of(
    series: npt.ArrayLike,
    rows: Rows = "per_feature",
    recipe: Recipe = RECIPE,
    features: Sequence[Feature] = TANK,
    for_ns: int = 0,
) -> Float32:
    """The model's inputs (R, I) after a whole series of one stream."""
    stats, x, previous = run(series, recipe)
    layout = InputLayout.of(features, rows, recipe)
    rows_of_one: Float32 = build_inputs(stats, x, previous, np.array([for_ns], np.int64), layout, recipe)[0]
    return rows_of_one


def walk(steps: int, features: int = 3, seed: int = 0) -> Float64:
    """A random walk (steps, features) with unit steps."""
    return np.cumsum(np.random.default_rng(seed).normal(size=(steps, features)), axis=0)


def test_scale_is_the_root_mean_square_of_the_differences() -> None:
    """A random walk with unit steps has a scale of about one."""
    stats, _, _ = run(walk(2000), Recipe(half_life_steps=500.0))
    np.testing.assert_allclose(scale(stats, RECIPE), 1.0, rtol=0.1)


def test_scale_forgets_by_its_half_life() -> None:
    """After a change of size the mean square has moved half of the way one half-life later."""
    recipe = Recipe(half_life_steps=100.0, clip_sigma=1e6)
    signs = np.where(np.arange(3100) % 2, 0.5, -0.5)
    series = np.concatenate([signs[:3000], 3.0 * signs[3000:3101]])[:, None]
    start, _, _ = run(series[:3001], recipe)
    end, _, _ = run(series, recipe)
    before, after = scale(start, recipe)[0, 0] ** 2, scale(end, recipe)[0, 0] ** 2
    assert before == pytest.approx(1.0 + 3.0 * 0.0069, abs=0.05)
    assert (after - 1.0) / (9.0 - 1.0) == pytest.approx(0.5, abs=0.02)


def test_flat_sensor_keeps_a_share_of_its_long_run_scale() -> None:
    """A sensor that lay flat for four half-lives does not divide by next to nothing."""
    moving = walk(1000, 1)
    flat = np.repeat(moving[-1:], 600, axis=0)
    stats, _, _ = run(np.concatenate([moving, flat]))
    bare = scale(stats, Recipe(half_life_steps=50.0, floor=0.0))[0, 0]
    assert bare < 0.02
    assert scale(stats, RECIPE)[0, 0] > 0.025


def test_one_spike_hardly_moves_the_statistics() -> None:
    """A spike of a thousand scales counts as one of five."""
    series = walk(500, 1)
    before = scale(run(series)[0], RECIPE)[0, 0]
    spiked = np.concatenate([series, series[-1:] + 1000.0, series[-1:]])
    stats, _, _ = run(spiked)
    assert scale(stats, RECIPE)[0, 0] < 1.35 * before


def test_differences_over_a_gap_are_no_evidence() -> None:
    """Only steps that follow each other enter the scale."""
    series = np.array([[0.0], [1.0], [500.0], [501.0]])
    stats, _, _ = run(series, consecutive=[True, True, False, True])
    assert scale(stats, RECIPE)[0, 0] == pytest.approx(1.0)


def test_an_absent_value_leaves_its_feature_alone() -> None:
    """NaN in one feature changes that feature's statistics not by a bit, and those of the others as ever."""
    stats, x, _ = run(walk(20))
    absent = np.array([[np.nan, 1.0, 2.0]])
    after = observe(stats, x, absent, np.ones(1, bool), RECIPE)
    whole = observe(stats, x, np.array([[5.0, 1.0, 2.0]]), np.ones(1, bool), RECIPE)
    np.testing.assert_array_equal(after[0, 0], stats[0, 0])
    np.testing.assert_array_equal(after[0, 1:], whole[0, 1:])


def test_observe_changes_no_argument() -> None:
    """The caller's statistics and values are as they were."""
    stats, x, previous = run(walk(20))
    kept = stats.copy(), x.copy(), previous.copy()
    observe(stats, previous, x, np.ones(1, bool), RECIPE)
    build_inputs(stats, x, previous, np.zeros(1, np.int64), InputLayout.of(TANK, "joint", RECIPE), RECIPE)
    for now, then in zip((stats, x, previous), kept, strict=True):
        np.testing.assert_array_equal(now, then)


def test_layout_of_rows_per_feature() -> None:
    """A row has own level and move, the clock, both of each set-point, and who it is."""
    layout = InputLayout.of(TANK, "per_feature", RECIPE)
    assert (layout.row_count, layout.input_size, layout.output_size) == (2, 2 + 6 + 2 + 2, 1)
    rows = inputs_of(walk(30))
    np.testing.assert_array_equal(rows[:, -2:], np.eye(2))
    np.testing.assert_array_equal(rows[0, 2:10], rows[1, 2:10])
    assert rows[0, 0] != rows[1, 0]


def test_layout_of_a_joint_row() -> None:
    """The one row has the clock, then levels and moves of all features in the fleet's order."""
    layout = InputLayout.of(TANK, "joint", RECIPE)
    assert (layout.row_count, layout.input_size, layout.output_size) == (1, 6 + 6, 2)
    joint, rows = inputs_of(walk(30), "joint"), inputs_of(walk(30))
    np.testing.assert_array_equal(joint[0, [6, 9]], rows[0, :2])
    np.testing.assert_array_equal(joint[0, [7, 10]], rows[0, [8, 9]])
    np.testing.assert_array_equal(joint[0, [8, 11]], rows[1, :2])


@pytest.mark.parametrize("off", ["level", "clock", "identity"])
def test_what_the_recipe_leaves_out_is_not_fed(off: str) -> None:
    """Each kind of input can be left out, and the layout's size says so."""
    recipe = Recipe(half_life_steps=50.0, **{off: False})  # type: ignore[arg-type]
    layout = InputLayout.of(TANK, "per_feature", recipe)
    assert inputs_of(walk(30), recipe=recipe).shape == (2, layout.input_size)
    assert layout.input_size == 12 - {"level": 2, "clock": 6, "identity": 2}[off]


def test_clock_is_the_targets_in_utc() -> None:
    """Three in the morning of a Monday is an eighth of the day and a fifty-sixth of the week."""
    monday_3 = 4 * 24 * HOUR_NS + 3 * HOUR_NS  # 1970-01-05
    clock = inputs_of(walk(30), for_ns=monday_3)[0, 2:8]
    half, week = np.sqrt(0.5), 2 * np.pi / 56
    np.testing.assert_allclose(clock, [half, half, 1, 0, np.sin(week), np.cos(week)], atol=1e-6)


def test_squash_is_a_signed_logarithm() -> None:
    """Inputs pass through sign(v)·log(1 + |v|), bounded at a hundred scales."""
    plain = Recipe(half_life_steps=50.0, squash=False)
    series = np.concatenate([walk(100), walk(100)[-1:] - 1e9])
    bare, squashed = inputs_of(series, recipe=plain)[0, :2], inputs_of(series)[0, :2]
    np.testing.assert_allclose(squashed, np.sign(bare) * np.log1p(np.abs(bare)), rtol=1e-6)
    assert bare.min() >= -100.0


def test_target_is_the_inverse_of_the_forecast() -> None:
    """What the model should have given gives the next value back."""
    stats, x, _ = run(walk(100))
    layout, s = InputLayout.of(TANK, "per_feature", RECIPE), scale(stats, RECIPE)
    following = x + 0.7 * s
    y = to_target(following, x, s, layout, RECIPE)
    assert (y.shape, y.dtype) == ((1, 2, 1), np.dtype(np.float32))
    np.testing.assert_allclose(to_forecast(y, x, s, layout, RECIPE), following[:, [0, 2]], rtol=1e-6)


def test_targets_and_moves_are_clipped() -> None:
    """No target and no move is beyond its bound, whatever came or the model says."""
    stats, x, _ = run(walk(100))
    layout, s = InputLayout.of(TANK, "joint", RECIPE), scale(stats, RECIPE)
    assert to_target(x + 1e6, x, s, layout, RECIPE).max() == 8.0
    wild = to_forecast(np.full((1, 1, 2), 1e30, np.float32), x, s, layout, RECIPE)
    np.testing.assert_allclose(wild, (x + 8.0 * s)[:, [0, 2]])
    narrow = Recipe(half_life_steps=50.0, move_clip=2.0)
    wild = to_forecast(np.full((1, 1, 2), -1e30, np.float32), x, s, layout, narrow)
    np.testing.assert_allclose(wild, (x - 2.0 * s)[:, [0, 2]])


def test_there_is_no_target_where_a_value_is_absent_or_nothing_moves() -> None:
    """NaN says that there is nothing to learn from."""
    stats, x, _ = run(np.concatenate([walk(20), walk(20)[-1:]]) * [1.0, 1.0, 0.0])
    layout, s = InputLayout.of(TANK, "per_feature", RECIPE), scale(stats, RECIPE)
    assert np.isnan(to_target(x + 1.0, x, s, layout, RECIPE)).ravel().tolist() == [False, True]
    assert np.isnan(to_target(np.full_like(x, np.nan), x, s, layout, RECIPE)).all()


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(1, 60))
def test_constant_in_constant_out(value: float, steps: int) -> None:
    """A sensor that has only ever said one number is forecast as that number, to the bit, whatever the model says."""
    stats, x, previous = run(np.full((steps, 3), value))
    layout, s = InputLayout.of(TANK, "per_feature", RECIPE), scale(stats, RECIPE)
    inputs = build_inputs(stats, x, previous, np.zeros(1, np.int64), layout, RECIPE)
    assert np.isfinite(inputs).all()
    forecast = to_forecast(np.full((1, 2, 1), 3.0, np.float32), x, s, layout, RECIPE)
    np.testing.assert_array_equal(forecast, np.full((1, 2), value))


def test_a_feature_never_seen_feeds_zeros_and_has_no_forecast() -> None:
    """Nothing known is not a number that could be mistaken for one."""
    series = walk(10) * [1.0, np.nan, np.nan]
    rows = inputs_of(series)
    np.testing.assert_array_equal(rows[1, :2], 0.0)
    np.testing.assert_array_equal(rows[:, 8:10], 0.0)
    stats, x, _ = run(series)
    layout = InputLayout.of(TANK, "per_feature", RECIPE)
    forecast = to_forecast(np.zeros((1, 2, 1), np.float32), x, scale(stats, RECIPE), layout, RECIPE)
    assert np.isnan(forecast).tolist() == [[False, True]]


def test_recipe_of_new_models_follows_the_period() -> None:
    """Seven days of rows, within bounds."""
    assert default_recipe(HOUR_NS).half_life_steps == 168.0
    assert default_recipe(15 * 60 * 10**9).half_life_steps == 672.0
    assert default_recipe(10**9).half_life_steps == 10_080.0
    assert default_recipe(24 * HOUR_NS).half_life_steps == 168.0
