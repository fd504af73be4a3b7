"""Persistence, the value a day ago, and recursive least squares that a flat sensor cannot blow up."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaugecast.forecast import linear
from gaugecast.learn.score import baselines
from gaugecast.learn.score.course import Course

HOUR_NS = 3600 * 10**9


def course_of(values: object, ticks: object = None) -> Course:
    """A course of hourly values (T,) or (T, G)."""
    observed = np.asarray(values, float).reshape(len(values), -1)  # type: ignore[arg-type]
    tick = np.arange(len(observed)) if ticks is None else np.asarray(ticks)
    return Course("s", tick * HOUR_NS, tick.astype(np.int64), observed)


def test_persistence_is_the_last_measured_value() -> None:
    """At every horizon, across absent values, and unknown before the first."""
    made = baselines.persistence(course_of([np.nan, 3, np.nan, 5]), 2)
    np.testing.assert_array_equal(made[:, :, 0], [[np.nan] * 2, [3, 3], [3, 3], [5, 5]])


def test_seasonal_naive_is_the_value_a_season_before_the_target() -> None:
    """Persistence until there is one; the last such where the horizon is longer than the season."""
    values = np.arange(10.0) ** 2
    made = baselines.seasonal(course_of(values), 5, 4)
    np.testing.assert_array_equal(made[1], np.full((5, 1), 1.0) * [[1], [1], [0], [1], [1]])
    np.testing.assert_array_equal(made[8, :, 0], values[[5, 6, 7, 8, 5]])


def test_seasonal_naive_finds_its_value_across_a_gap() -> None:
    """By tick, not by row."""
    made = baselines.seasonal(course_of([1, 2, 3, 4], ticks=[0, 1, 2, 5]), 1, 4)
    assert made[3, 0, 0] == 3.0  # for tick 6: tick 2


@pytest.mark.parametrize(("seconds", "season"), [(3600, 24), (1, 86_400), (7 * 3600, None), (86_400, None)])
def test_a_day_has_whole_steps_or_there_is_no_season(seconds: int, season: int | None) -> None:
    """At least two of them."""
    assert baselines.season_of_day(seconds * 10**9) == season


@pytest.mark.parametrize(("seconds", "size"), [(3600, 13), (1, 7), (86_400, 7), (900, 13)])
def test_day_and_week_lags_only_where_the_period_allows(seconds: int, size: int) -> None:
    """13 coefficients with them, 7 without."""
    assert linear.LinearLayout.of(seconds * 10**9).size == size


def test_least_squares_learns_a_linear_process() -> None:
    """Differences of an AR(2) process: within 3 % of the noise that no forecaster can know."""
    rng = np.random.default_rng(1)
    difference = np.zeros(6000)
    noise = rng.standard_normal(6000)
    for t in range(2, 6000):
        difference[t] = 0.6 * difference[t - 1] - 0.3 * difference[t - 2] + noise[t]
    course = course_of(100.0 + np.cumsum(difference))
    made = baselines.rls(course, 1, 10**9)
    error = (made[2000:-1, 0] - course.observed[2001:])[:, 0]
    assert (error**2).mean() < 1.03 * (noise[2001:] ** 2).mean()


def test_least_squares_learns_a_daily_pattern_in_closed_loop() -> None:
    """A sawtooth with a period of a day, twelve hours ahead: its error is a small part of persistence's."""
    rng = np.random.default_rng(2)
    values = np.tile(rng.standard_normal(24) * 3, 60)
    course = course_of(values)
    made = baselines.rls(course, 12, HOUR_NS)
    origins = np.arange(800, len(values) - 12)
    error = made[origins, 11, 0] - values[origins + 12]
    step = values[origins] - values[origins + 12]
    assert (error**2).mean() < 0.05 * (step**2).mean()


def test_least_squares_forecast_a_constant_as_itself() -> None:
    """To the bit."""
    made = baselines.rls(course_of(np.full(300, 21.7)), 3, HOUR_NS)
    assert (made == 21.7).all()


def test_flat_steps_change_nothing_but_the_constant_so_a_million_are_as_safe_as_a_thousand() -> None:
    """What is known of how the sensor moves neither fades nor grows while it lies flat; then it steps.

    With plain forgetting the trace is 10³⁰ after 140,000 such steps.
    """
    layout = linear.LinearLayout.of(10**9)
    rng, one = np.random.default_rng(0), np.ones(1, bool)
    state = linear.initial_state(1, layout)
    for _ in range(2000):
        phi = linear.regressor(state.past, np.ones(1), layout)
        move = rng.standard_normal(1)
        state = linear.learn(state, phi, move, one)
        state = state._replace(past=linear.remember(state.past, move))
    state = state._replace(past=np.zeros_like(state.past))
    flat = linear.regressor(state.past, np.ones(1), layout)
    before, traces = state, []
    for _ in range(6_000):
        state = linear.learn(state, flat, np.zeros(1), one)
        traces.append(np.trace(state.p[0]))
    assert (np.diff(traces) <= 1e-15).all()  # each step takes from the trace: no number of them can blow it up
    kept = np.abs(state.p[0, :-1, :-1] - before.p[0, :-1, :-1]).max() / np.abs(before.p[0]).max()
    assert kept < 0.1
    stepped = linear.remember(state.past, np.array([50.0]))
    made = linear.forecast(state._replace(past=stepped), np.array([70.0]), np.ones(1), layout, 5)
    assert np.isfinite(made).all()
    assert np.abs(made - 70.0).max() < 8.0


def test_the_trace_is_bounded_for_whatever_excites_one_direction_only() -> None:
    """A ramp moves, so it forgets; yet it says the same at every step."""
    layout = linear.LinearLayout.of(10**9)
    state, one = linear.initial_state(1, layout), np.ones(1, bool)
    phi = np.ones((1, layout.size))
    for _ in range(20_000):
        state = linear.learn(state, phi, np.ones(1), one)
    trace = float(np.trace(state.p[0]))
    assert linear.START_TRACE * layout.size < trace <= linear.MOST_TRACE * layout.size / linear.FORGETTING


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=64), min_size=30, max_size=120))
def test_no_readings_whatever_make_least_squares_forecast_nonsense(values: list[float]) -> None:
    """After anything, P is symmetric and bounded, and an ordinary series is forecast in finite numbers again."""
    hostile = np.array(values)
    hostile[np.abs(hostile) > 1e100] = np.nan
    series = np.concatenate([hostile, 20 + np.sin(np.arange(40.0))])
    with np.errstate(all="ignore"):
        made = baselines.rls(course_of(series), 2, 10**9)
    assert np.isfinite(made[-20:]).all()


def test_a_row_that_breaks_begins_again_as_persistence() -> None:
    """And the row beside it goes on."""
    layout = linear.LinearLayout.of(10**9)
    state = linear.initial_state(2, layout)
    broken = state.p.copy()
    broken[0] = np.inf
    state = state._replace(p=broken, theta=np.full_like(state.theta, 0.5))
    with np.errstate(all="ignore"):
        after = linear.learn(state, np.ones((2, layout.size)), np.ones(2), np.ones(2, bool))
    assert (after.theta[0] == 0.0).all()
    assert np.isfinite(after.p).all()
    assert (after.theta[1] != 0.5).all()
