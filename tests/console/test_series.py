"""From history to a curve: what had been expected of which reading, and no more points than there is room for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaugecast.console.series import Curve, Made, Readings, curve_of, gaps_before, thinned
from gaugecast.fleet import Feature
from gaugecast.records import Verdict
from support.pipelines import fleet_of

S = 10**9


def readings(at_s: list[float], values: list[list[float]], verdicts: list[int] | None = None) -> Readings:
    """Of seqs 10, 20, 30, …"""
    count = len(at_s)
    seqs = 10 * np.arange(1, count + 1)
    at_ns = np.array([round(at * S) for at in at_s], np.int64)
    return Readings(seqs, at_ns, np.array(values, float), np.array(verdicts or [0] * count, np.int64))


def made(seqs: list[int], rows: list[list[float]]) -> Made:
    """Forecasts of these inputs."""
    return Made(np.array(seqs, np.int64), np.array(rows, float))


def test_the_next_step_is_what_was_said_at_the_reading_before() -> None:
    """And of the first reading nothing had been said."""
    fleet = fleet_of("p")
    curve = curve_of(
        readings([0, 1, 2], [[1.0], [2.0], [3.0]]), made([10, 20, 30], [[1.5], [2.5], [3.5]]), fleet, place=0, horizon=0
    )
    np.testing.assert_array_equal(curve.expected, [np.nan, 1.5, 2.5])
    np.testing.assert_array_equal(curve.made_ns, [0, 0, S])
    np.testing.assert_array_equal(curve.observed, [1.0, 2.0, 3.0])


def test_over_a_gap_nothing_had_been_said_of_the_instant() -> None:
    """What was said of the second after the first is not of ten seconds later."""
    curve = curve_of(
        readings([0, 10], [[1.0], [2.0]]), made([10, 20], [[1.5], [2.5]]), fleet_of("p"), place=0, horizon=0
    )
    assert np.isnan(curve.expected).all()


def test_a_further_horizon_is_found_by_its_instant() -> None:
    """Two ticks ahead, of two features, where a reading is half missing; a gap between does not shift it."""
    fleet = fleet_of("pq", horizons=(1, 2), intervals=(0.8,))
    rows = [[float(n), 10.0 + n, 20.0 + n, 30.0 + n] for n in range(4)]  # h1 p, h1 q, h2 p, h2 q
    curve = curve_of(
        readings([0, 1, 3, 5], [[1, 2], [1, 2], [1, 2], [1, 2]]),
        made([10, 20, 30, 40], rows),
        fleet,
        place=1,
        horizon=1,
    )
    np.testing.assert_array_equal(curve.expected, [np.nan, np.nan, 31.0, 32.0])


def test_late_and_doubled_readings_are_not_in_the_line() -> None:
    """They would lead it back in time."""
    told = readings(
        [0, 1, 0.5, 1],
        [[1.0], [2.0], [9.0], [9.0]],
        [Verdict.STEPPED, Verdict.STEPPED, Verdict.LATE, Verdict.DUPLICATE],
    )
    curve = curve_of(told, made([], []), fleet_of("p"), place=0, horizon=0)
    np.testing.assert_array_equal(curve.observed, [1.0, 2.0])
    assert np.isnan(curve.expected).all()


def test_of_a_counter_the_rate_is_shown_and_nothing_where_it_begins_again() -> None:
    """As it is forecast: a minute's worth."""
    fleet = fleet_of("p")
    counting: Any = (Feature("p", path=("p",), counter=True, per_ns=60 * S),)
    from dataclasses import replace

    curve = curve_of(
        readings([0, 60, 120, 180], [[5.0], [8.0], [1.0], [2.0]]),
        made([], []),
        replace(fleet, features=counting),
        place=0,
        horizon=0,
    )
    np.testing.assert_array_equal(curve.observed, [np.nan, 3.0, np.nan, 1.0])


def test_gaps_are_where_more_than_two_periods_have_passed() -> None:
    """A single reading that is missing does not break a line."""
    assert gaps_before(np.array([0, 1, 3, 6]) * S, S).tolist() == [False, False, False, True]
    assert gaps_before(np.empty(0, np.int64), S).tolist() == []


@given(st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), max_size=500), st.integers(10, 100))
def test_few_points_keep_the_extremes(values: list[float], points: int) -> None:
    """Never more than asked for, in order, the least and the greatest among them, and the worst forecast."""
    observed = np.array(values, float)
    expected = np.zeros(len(values))
    at_ns = np.arange(len(values)) * S
    places = thinned(Curve(at_ns, observed, expected, np.zeros(len(values), np.int64)), points)
    assert len(places) <= max(points, min(len(values), points))
    assert (np.diff(places) > 0).all()
    known = observed[~np.isnan(observed)]
    if len(known):
        kept = observed[places]
        assert {known.min(), known.max()} <= set(kept[~np.isnan(kept)].tolist())
        assert np.nanmax(np.abs(kept)) == np.abs(known).max()


def test_a_hundred_thousand_points_become_four_thousand() -> None:
    """At most."""
    at_ns = np.arange(100_000) * S
    wave = np.sin(np.arange(100_000) / 500)
    places = thinned(Curve(at_ns, wave, wave + 0.1, np.zeros(100_000, np.int64)), 4000)
    assert 2000 < len(places) <= 4000


@pytest.mark.parametrize("count", [0, 1, 2])
def test_nothing_or_little_is_a_curve_too(count: int) -> None:
    """A stream that has just begun."""
    told = (
        readings([float(i) for i in range(count)], [[1.0]] * count)
        if count
        else Readings(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 0)), np.empty(0, np.int64))
    )
    for horizon in (0, 1):
        curve = curve_of(
            told,
            Made(np.empty(0, np.int64), np.empty((0, 0))),
            fleet_of("p", horizons=(1, 2)),
            place=0,
            horizon=horizon,
        )
        assert len(curve.at_ns) == count
        assert np.isnan(curve.expected).all()
