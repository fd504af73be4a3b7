"""How a sensor sends: at a period, or on change."""

from __future__ import annotations

import numpy as np
import pytest

from gaugecast.align.habits import habit_of

MINUTE = 60 * 10**9


def test_a_sensor_that_reports_on_change_is_told() -> None:
    """A minute to ninety minutes between two readings."""
    apart = [1, 40, 40, 5, 40, 15, 90, 40, 3, 40, 20, 7, 90, 40, 2, 12]
    habit = habit_of([each * MINUTE for each in apart])
    assert habit is not None
    assert habit.irregular
    assert (habit.shortest_ns, habit.longest_ns) == (MINUTE, 90 * MINUTE)
    assert habit.hold_ns == 180 * MINUTE


@pytest.mark.parametrize("spread", [0.0, 0.2, 0.4])
def test_a_sensor_with_a_period_is_not(spread: float) -> None:
    """However much it jitters, and with a reading or two left out."""
    at = np.arange(60) + np.random.default_rng(1).uniform(-spread, spread, 60)
    habit = habit_of((np.diff(np.delete(at, [7, 30])) * MINUTE).astype(np.int64).tolist())
    assert habit is not None
    assert not habit.irregular


def test_readings_that_come_by_twos_are_regular() -> None:
    """Two gateways that hear the same sensor."""
    habit = habit_of([MINUTE // 20, MINUTE * 19 // 20] * 20)
    assert habit is not None
    assert not habit.irregular


def test_a_few_distances_say_nothing() -> None:
    """Nobody knows yet."""
    assert habit_of([MINUTE] * 5) is None
