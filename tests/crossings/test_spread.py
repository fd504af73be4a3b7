"""The histogram of due errors: probabilities are those of what came."""

from __future__ import annotations

import numpy as np
import pytest

from gaugecast.forecast.crossings import spread


def learned(errors: np.ndarray, *, due: np.ndarray | None = None) -> np.ndarray:
    """State of one row and horizon after these errors."""
    state = np.zeros((spread.SIZE, 1, 1))
    for k, error in enumerate(errors.tolist()):
        there = np.array([[True if due is None else bool(due[k])]])
        spread.take(state, np.array([[error]]), state[1].copy(), due=there, overlap=np.array([1]))
    return state


@pytest.mark.parametrize("quantile", [0.05, 0.3, 0.5, 0.8, 0.95])
def test_a_probability_is_the_share_of_errors_beyond(quantile: float) -> None:
    """Of a skewed distribution, in its own unit."""
    errors = 3.0 * (np.random.default_rng(1).exponential(size=4000) - 1.0)
    needed = 3.0 * (-np.log(1.0 - quantile) - 1.0)
    told = spread.exceeded(learned(errors), np.array([[needed]]))[0, 0]
    assert told == pytest.approx(1.0 - quantile, abs=0.05)


def test_nothing_is_told_of_few_errors() -> None:
    """NaN until enough came due; the first has nothing to be measured by."""
    assert np.isnan(spread.exceeded(learned(np.ones(20)), np.zeros((1, 1)))).all()


def test_what_is_not_due_changes_nothing() -> None:
    """To the bit."""
    errors = np.random.default_rng(2).normal(size=200)
    due = np.arange(200) % 3 == 0
    assert learned(errors, due=due).tobytes() == learned(errors[due]).tobytes()


def test_more_is_never_likelier_than_less() -> None:
    """Probabilities fall with what is needed, and stay within 0 and 1."""
    state = learned(np.random.default_rng(3).normal(size=300))
    told = [spread.exceeded(state, np.array([[needed]]))[0, 0] for needed in np.linspace(-30.0, 30.0, 200)]
    assert told[0] == 1.0
    assert told[-1] == 0.0
    assert (np.diff(told) <= 1e-12).all()
