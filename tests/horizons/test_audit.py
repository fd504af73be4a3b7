"""Coverage: the share of intervals that held, of those that were told."""

from __future__ import annotations

import numpy as np
import pytest

from gaugecast.forecast.horizons import audit
from gaugecast.forecast.horizons.experts import HorizonExperts
from horizons.drive import HOUR_NS, drive, walks


def test_the_share_that_held_is_told_once_enough_are_due() -> None:
    """Of three of four; those that were not told, or are not due, do not count."""
    state = np.zeros((2, 1, 1))
    reach = np.array([[-1.0, 1.0]])[:, :, None, None]
    for k in range(120):
        error = np.array([[2.0 if k % 4 == 0 else 0.5]])
        audit.note(state, error, reach, due=np.array([[True]]), overlap=np.array([1]))
        audit.note(state, error, reach, due=np.array([[False]]), overlap=np.array([1]))
        audit.note(state, error, np.full_like(reach, np.nan), due=np.array([[True]]), overlap=np.array([1]))
        assert np.isnan(audit.observed(state)).all() == (k < 99)
    assert audit.observed(state)[0, 0] == pytest.approx(0.75)


def test_coverage_is_that_of_what_was_told() -> None:
    """At both horizons near the level, over four walks."""
    experts = HorizonExperts(HOUR_NS, 1, (1, 6), levels=(0.8,))
    drive(experts, walks(1200, 4, 1))
    covered = experts.coverage(np.arange(4))
    assert covered.shape == (1, 1, 2)
    assert np.abs(covered - 0.8).max() < 0.06


def test_nobody_has_no_bands_and_no_coverage() -> None:
    """A fleet before its first stream."""
    experts = HorizonExperts(HOUR_NS, 2, (1, 6), levels=(0.8, 0.95))
    nobody = np.array([], np.int64)
    assert [part.shape for part in experts.bands(nobody)] == [(0, 2, 2), (0, 2, 2, 2, 2)]
    assert np.isnan(experts.coverage(nobody)).all()
