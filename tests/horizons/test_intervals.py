"""Online conformal intervals on series whose errors are known."""

from __future__ import annotations

import numpy as np
import pytest

from gaugecast.forecast.horizons import intervals
from gaugecast.records import Float64

LEVELS = np.array([0.8, 0.95])
ONE = np.array([1])


def tracked(errors: Float64, levels: Float64 = LEVELS) -> tuple[Float64, Float64]:
    """Bounds (T, L, 2) as they stood before each error of one row came due, and the state after all."""
    state = intervals.begin(levels)[:, None, None].copy()
    told = []
    for error in errors:
        told.append(intervals.bounds(state, state[1], len(levels))[:, :, 0, 0])
        intervals.track(
            state,
            np.array([[error]]),
            state[1].copy(),
            shape=np.ones((1, 1)),
            due=np.ones((1, 1), bool),
            levels=levels,
            overlap=ONE,
        )
    return np.array(told), state


def coverage(errors: Float64, told: Float64, begin: int = 500) -> Float64:
    """Share of errors within, by level."""
    inside = (errors[:, None] >= told[:, :, 0]) & (errors[:, None] <= told[:, :, 1])
    share: Float64 = inside[begin:].mean(axis=0)
    return share


def errors_called(name: str, steps: int = 6000) -> Float64:
    """Series of errors that are hard in different ways."""
    rng = np.random.default_rng(11)
    noise = rng.normal(size=steps)
    return {
        "normal": noise,
        "skewed": rng.exponential(size=steps) - 1.0,
        "heavy tails": rng.standard_t(2.5, size=steps),
        "restless by turns": noise * np.resize(np.repeat([1.0, 8.0, 0.3], 100), steps),
        "drifting": noise * np.linspace(0.2, 5.0, steps),
    }[name]


@pytest.mark.parametrize("name", ["normal", "skewed", "heavy tails", "restless by turns", "drifting"])
def test_intervals_cover_what_they_say(name: str) -> None:
    """Within two points at 80 %, one and a half at 95 %."""
    errors = errors_called(name)
    told, _ = tracked(errors)
    found = coverage(errors, told)
    assert abs(found[0] - 0.8) < 0.02, found
    assert abs(found[1] - 0.95) < 0.015, found


def test_each_side_has_its_own_tail() -> None:
    """Of skewed errors as many fall below as above, and the sides are not of the same width."""
    errors = errors_called("skewed")
    told, _ = tracked(errors)
    below, above = (errors < told[:, 0, 0])[500:].mean(), (errors > told[:, 0, 1])[500:].mean()
    assert abs(below - 0.1) < 0.015
    assert abs(above - 0.1) < 0.015
    assert told[500:, 0, 1].mean() > 1.3 * -told[500:, 0, 0].mean()


def test_intervals_of_biased_forecasts_hold_the_forecast_all_the_same() -> None:
    """They are then too wide rather than beside what they belong to."""
    errors = errors_called("normal") + 3.0
    told, _ = tracked(errors)
    assert (told[:, :, 0] <= 0.0).all()
    assert (coverage(errors, told) > LEVELS).all()


def test_levels_never_cross_and_intervals_are_never_empty() -> None:
    """Whatever comes, a wider level holds the narrower one, and the forecast is within both."""
    rng = np.random.default_rng(4)
    errors = rng.standard_cauchy(3000) * np.exp(rng.normal(size=3000))
    told, _ = tracked(errors, np.array([0.5, 0.8, 0.95]))
    assert (told[:, :, 0] <= 0.0).all()
    assert (told[:, :, 1] >= 0.0).all()
    assert (np.diff(told[:, :, 0], axis=1) <= 0.0).all()
    assert (np.diff(told[:, :, 1], axis=1) >= 0.0).all()
    assert np.isfinite(told).all()


def test_a_row_without_a_due_error_stays_as_it_is() -> None:
    """Beside one that has one."""
    state = np.repeat(tracked(errors_called("normal", 100))[1], 2, axis=1)
    after = state.copy()
    due = np.array([[True], [False]])
    intervals.track(
        after, np.array([[5.0], [np.nan]]), state[1].copy(), shape=np.ones((1, 1)), due=due, levels=LEVELS, overlap=ONE
    )
    assert (after[:, 1] == state[:, 1]).all()
    assert (after[:, 0] != state[:, 0]).any()


def test_first_quantiles_are_those_of_a_normal_error() -> None:
    """Nobody has to believe the start for long, but it should be near."""
    state = intervals.begin(LEVELS)
    size = np.sqrt(2.0 / np.pi)  # mean size of a standard normal error
    np.testing.assert_allclose(state[intervals.SIZE :] * size, [-1.2816, 1.2816, -1.96, 1.96], rtol=5e-3)
