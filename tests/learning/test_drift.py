"""Drift: declared when the loss steps up, not by noise; and the learning rate that follows from it."""

from __future__ import annotations

import numpy as np
import pytest

from gaugecast.learn.online.drift import PageHinkley, RateControl

BASE = 1e-3


def losses(seed: int, count: int, *, level: float = 1.0, freedom: int = 2) -> list[float]:
    """Mean squares of Gaussian errors: skewed, never negative."""
    rng = np.random.default_rng(seed)
    errors: list[float] = (level * rng.chisquare(freedom, count) / freedom).tolist()
    return errors


def alarms(detector: PageHinkley, values: list[float]) -> list[int]:
    """Where a drift was declared."""
    return [i for i, value in enumerate(values) if detector.add(value)]


@pytest.mark.parametrize("freedom", [1, 2, 14])
@pytest.mark.parametrize("level", [0.01, 1.0, 4.0])
def test_stationary_noise_raises_no_alarm_whatever_its_level_and_tails(level: float, freedom: int) -> None:
    """100,000 losses: a day at one a second."""
    assert alarms(PageHinkley(), losses(3, 100_000, level=level, freedom=freedom)) == []


@pytest.mark.parametrize("level", [0.05, 1.0])
def test_a_step_up_is_found_within_some_hundred_losses(level: float) -> None:
    """The loss triples after 2,000; however small it was before."""
    found = alarms(PageHinkley(), losses(1, 2000, level=level) + losses(2, 1000, level=3 * level))
    assert len(found) >= 1
    assert 2000 <= found[0] < 2200


def test_a_step_down_is_no_drift() -> None:
    """To forecast better than before is no reason to learn faster."""
    assert alarms(PageHinkley(), losses(1, 2000) + losses(2, 5000, level=0.1)) == []


def test_one_absurd_loss_is_no_drift() -> None:
    """A spike counts at most a few deviations."""
    quiet = [0.01 * loss for loss in losses(1, 2000)]
    assert alarms(PageHinkley(), [*quiet, 1e9, *quiet]) == []


def test_after_an_alarm_the_new_level_is_the_normal() -> None:
    """A step is one drift, not one a look for ever."""
    found = alarms(PageHinkley(), losses(1, 2000) + losses(2, 50_000, level=5.0))
    assert len(found) == 1


def test_a_constant_loss_is_silent() -> None:
    """A series that stands still has no deviation to divide by."""
    assert alarms(PageHinkley(), [0.0] * 5000) == []


def fed(control: RateControl, values: list[float]) -> RateControl:
    """The control after these losses."""
    for value in values:
        control.add(value)
    return control


def test_a_drift_raises_the_rate_for_a_while_and_is_counted() -> None:
    """Then it is the base rate again."""
    control = fed(RateControl(BASE), losses(1, 2000))
    assert control.drifts_total == 0
    raised_at = None
    for i, value in enumerate(losses(2, 1500, level=4.0)):
        before = control.rate
        control.add(value)
        if control.rate > before and raised_at is None and control.rate == RateControl.RAISED * BASE:
            raised_at = i
        if raised_at is not None and i == raised_at + RateControl.RAISED_STEPS:
            break
    assert raised_at is not None
    assert control.drifts_total == 1
    assert control.rate == BASE


def test_a_loss_that_stalls_lowers_the_rate_down_to_a_floor() -> None:
    """Nothing more is to be learned: smaller steps, but never none."""
    control = RateControl(BASE)
    rates = [fed(control, [1.0] * RateControl.LOOK_STEPS).rate for _ in range(12)]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == RateControl.LOWEST * BASE


def test_a_loss_that_falls_keeps_the_rate_and_brings_it_back() -> None:
    """Each look finds a tenth less."""
    control = RateControl(BASE)
    for _ in range(4):
        fed(control, [1.0] * RateControl.LOOK_STEPS)
    assert control.rate < BASE
    for k in range(1, 4):
        fed(control, [0.8**k] * RateControl.LOOK_STEPS)
    assert control.rate == BASE


def test_after_a_rollback_the_rate_is_the_lowest_even_if_it_was_raised() -> None:
    """And what was raised does not come back by its own clock."""
    control = fed(RateControl(BASE), losses(1, 2000) + losses(2, 200, level=5.0))
    assert control.rate == RateControl.RAISED * BASE
    control.slow_down()
    assert control.rate == RateControl.LOWEST * BASE
    fed(control, losses(3, 400, level=5.0))
    assert control.rate <= RateControl.LOWEST * BASE
