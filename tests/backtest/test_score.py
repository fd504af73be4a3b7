"""Figures of a backtest, against small sums done by hand."""

import numpy as np
import pytest

from gaugecast.learn.score.course import Course, deviations, last_measured
from gaugecast.learn.score.figures import score


def course_of(values: object, ticks: object) -> Course:
    """A course of one feature."""
    tick = np.asarray(ticks, np.int64)
    return Course("s", tick * 10**9, tick, np.asarray(values, float).reshape(len(tick), -1))


def test_a_forecast_is_held_against_the_step_at_its_tick() -> None:
    """Not against the next row: at a gap there is nothing to hold it against."""
    course = course_of([1.0, 2.0, 4.0, 8.0], [0, 1, 3, 4])
    forecast = np.array([[[2.5], [9.0]], [[9.0], [3.0]], [[7.0], [9.0]], [[9.0], [9.0]]])
    one = score([course], [forecast], ["x"], horizon=1, deviation=np.ones(1))
    two = score([course], [forecast], ["x"], horizon=2, deviation=np.ones(1))
    assert (one.overall.count, one.overall.mse, one.overall.mae) == (2, (0.5**2 + 1.0**2) / 2, 0.75)
    assert one.overall.skill == pytest.approx(1 - 1.25 / (1 + 16))
    assert (two.overall.count, two.overall.mse) == (1, 1.0)


def test_rows_choose_the_targets_that_count() -> None:
    """The forecast for the first scored row was made one row before it."""
    course = course_of([1.0, 2.0, 4.0, 8.0], [0, 1, 2, 3])
    forecast = np.array([1.0, 3.0, 5.0, 9.0]).reshape(4, 1, 1)
    found = score([course], [forecast], ["x"], horizon=1, deviation=np.ones(1), rows=slice(2, 4))
    assert (found.overall.count, found.overall.mse) == (2, (1.0 + 9.0) / 2)


def test_absent_values_are_not_scored_and_features_weigh_the_same() -> None:
    """The mean is over features, however many values each has."""
    course = Course("s", np.arange(4), np.arange(4), np.array([[0.0, 0], [1, 1], [2, np.nan], [3, np.nan]]))
    forecast = np.zeros((4, 1, 2))
    found = score([course], [forecast], ["a", "b"], horizon=1, deviation=np.array([1.0, 0.5]))
    assert found.per_feature["a"].mse == pytest.approx((1 + 4 + 9) / 3)
    assert found.per_feature["b"].mse == pytest.approx(4.0)
    assert found.overall.mse == pytest.approx((14 / 3 + 4) / 2)
    assert found.overall.count == 4


def test_nothing_moved_has_no_skill() -> None:
    """Unknown is not zero."""
    course = course_of([5.0, 5.0, 5.0], [0, 1, 2])
    found = score([course], [np.full((3, 1, 1), 5.0)], ["x"], horizon=1, deviation=np.ones(1))
    assert (found.overall.mse, found.overall.skill, found.per_feature["x"].skill) == (0.0, None, None)


def test_deviations_are_pooled_within_streams() -> None:
    """Two streams at different levels are no more variable for that."""
    courses = [course_of([1.0, 3.0], [0, 1]), course_of([101.0, 103.0, np.nan], [0, 1, 2])]
    np.testing.assert_allclose(deviations(courses, slice(None)), [1.0])


def test_the_last_measured_value_outlives_gaps() -> None:
    """By feature."""
    observed = np.array([[np.nan, 1.0], [2.0, np.nan], [np.nan, 3.0]])
    np.testing.assert_array_equal(last_measured(observed), [[np.nan, 1.0], [2.0, 1.0], [2.0, 3.0]])
