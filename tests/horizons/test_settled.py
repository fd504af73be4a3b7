"""Who comes back, and who walks away."""

from __future__ import annotations

import numpy as np
import pytest

from gaugecast.forecast.horizons import settled
from gaugecast.forecast.horizons.experts import HorizonExperts
from gaugecast.records import Float64
from horizons.drive import MINUTE_NS, drive, errors_of

HORIZON = 64


def known(series: Float64, horizon: int = HORIZON) -> np.ndarray:
    """Whether rows (T, R) are known to come back, after each step (T, R)."""
    state = np.full((series.shape[1], settled.SIZE), np.nan)
    told = []
    for t, values in enumerate(series, 1):
        tick = np.full(series.shape[1], t)
        settled.observe(state, values, tick)
        told.append(settled.settled(state, tick, np.array([horizon]))[:, 0])
    return np.array(told)


def cycles(ticks: int, rows: int) -> Float64:
    """A cycle of some thirty ticks that goes up and down in straight lines, and whose speed is not the same twice."""
    rng = np.random.default_rng(3)
    phase = rng.random(rows) + np.cumsum(1 / 30 + 0.01 * rng.normal(size=(ticks, rows)), axis=0)
    made: Float64 = 10.0 + np.abs(phase % 1.0 - 0.5) + 0.01 * rng.normal(size=(ticks, rows))
    return made


def test_cycles_are_known_after_their_second_swing_and_walks_hardly_ever() -> None:
    """Within one and a half horizons nearly all of the one; of the other one or two in a hundred, and later fewer."""
    walks = np.random.default_rng(1).normal(size=(HORIZON * 12, 500)).cumsum(axis=0)
    told = known(walks)
    assert told[HORIZON // 4 : 3 * HORIZON].mean() <= 0.03
    assert told[3 * HORIZON :].mean() <= 0.003
    assert known(cycles(HORIZON * 4, 200))[HORIZON * 3 // 2].mean() > 0.9


def test_what_never_moves_and_what_was_not_measured_is_not_known_to_come_back() -> None:
    """Neither has anything to judge by; what was not measured in between takes nothing away."""
    assert not known(np.stack([np.full(300, 3.0), np.full(300, np.nan)], axis=1)).any()
    whole = cycles(HORIZON * 2, 1)
    holes = whole.copy()
    holes[5::7] = np.nan
    assert known(holes)[-1].all()


def test_what_leaves_its_range_or_stands_still_is_not_known_any_more() -> None:
    """A step to another level begins a range anew; a value that stays belongs to no swing."""
    series = np.concatenate([cycles(HORIZON * 2, 1), cycles(HORIZON * 2, 1) + 5.0, np.full((HORIZON * 20, 1), 15.2)])
    told = known(series)[:, 0]
    assert told[HORIZON * 2 - 1]
    assert not told[HORIZON * 2]
    assert not told[-1]


@pytest.mark.parametrize(("horizon", "expected"), [(16, True), (14, False)])
def test_swings_that_take_longer_than_the_horizon_say_nothing_of_it(horizon: int, expected: bool) -> None:
    """Of a slow cycle the last value knows more than the mean."""
    saw = np.abs(np.arange(601) % 30.0 - 15.0)[:, None]
    assert known(saw, horizon)[-1, 0] == expected


def test_a_row_has_the_same_answer_alone() -> None:
    """With many others, and by itself, also where some values are not there."""
    rng = np.random.default_rng(2)
    values = np.concatenate([cycles(90, 20), rng.normal(size=(90, 20)).cumsum(axis=0)], axis=1)
    values[rng.random(values.shape) < 0.1] = np.nan
    whole = known(values)
    assert 0 < whole[-1].sum() < 40
    assert all(known(values[:, k : k + 1])[:, 0].tolist() == whole[:, k].tolist() for k in range(40))


def test_far_ahead_a_cycle_is_forecast_by_its_mean_after_few_spans() -> None:
    """Long before there are errors enough to prove anything by: eight spans are needed for that."""
    series = cycles(HORIZON * 8, 12)[:, :, None]
    experts = HorizonExperts(10 * MINUTE_NS, 1, (1, HORIZON), capacity=12)
    error, last = (
        np.square(one[HORIZON * 4 :]).mean() for one in errors_of(drive(experts, series), series, experts, place=1)
    )
    assert error < 0.75 * last
