"""Probabilities are corrected by what such ones have meant."""

from __future__ import annotations

import numpy as np
import pytest

from gaugecast.forecast.crossings import calibration
from gaugecast.records import Float64

ONE = np.array([1])


def learned(said: Float64, true: Float64, *, seed: int = 1) -> Float64:
    """State of one row and horizon to which these were said, and that happened as often as `true` says."""
    state = calibration.BEGIN[:, None, None].copy()
    happened = np.random.default_rng(seed).random(len(said)) < true
    for p, y in zip(said.tolist(), happened.tolist(), strict=True):
        calibration.learn(state, np.array([[p]]), np.array([[y]]), due=np.array([[True]]), overlap=ONE)
    return state


def curve(odds: Float64) -> Float64:
    """Probability of log odds."""
    return 1.0 / (1.0 + np.exp(-odds))


@pytest.mark.parametrize(("offset", "slope"), [(0.0, 1.0), (0.0, 2.5), (1.5, 1.0), (-1.0, 0.5)])
def test_what_is_said_becomes_what_happens(offset: float, slope: float) -> None:
    """Too timid, too bold, too low, too high: after some hundred forecasts within five points."""
    odds = np.random.default_rng(2).normal(scale=1.5, size=800)
    state = learned(curve(odds), curve(offset + slope * odds))
    for said in (0.1, 0.3, 0.5, 0.7, 0.9):
        wanted = curve(offset + slope * np.log(said / (1 - said)))
        assert calibration.corrected(state, np.array([[said]]))[0, 0] == pytest.approx(wanted, abs=0.08)


def test_at_first_what_is_said_is_believed() -> None:
    """And for ever what is certain, and what is not known."""
    state = np.repeat(calibration.BEGIN[:, None, None], 4, axis=2)
    told = calibration.corrected(state, np.array([[0.3, 0.0, 1.0, np.nan]]))[0]
    assert told[:3] == pytest.approx([0.3, 0.0, 1.0])
    assert np.isnan(told[3])


def test_what_is_not_due_changes_nothing() -> None:
    """To the bit."""
    state = learned(np.full(50, 0.4), np.full(50, 0.8))
    before = state.tobytes()
    calibration.learn(state, np.array([[0.7]]), np.array([[True]]), due=np.array([[False]]), overlap=ONE)
    assert state.tobytes() == before
