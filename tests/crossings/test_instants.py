"""Instants read off probabilities by horizon."""

from __future__ import annotations

import numpy as np
import pytest

from gaugecast.forecast.crossings.instants import grid_of, instants


def test_the_median_lies_where_half_of_the_crossings_have_happened() -> None:
    """Between the horizons as by a ruler; bounds at a tenth and nine tenths of what will happen at all."""
    likely = np.array([[[0.0, 0.2, 0.4, 0.8]]])
    early, median, late = instants(likely, np.array([1, 10, 20, 40]), np.array([3]))[0, 0].tolist()
    assert median == pytest.approx(20.0)
    assert early == pytest.approx(1 + 9 * 0.4)
    assert late == pytest.approx(20 + 20 * 0.8)


def test_a_threshold_looks_no_farther_than_its_reach() -> None:
    """What happens beyond is not asked about."""
    likely = np.array([[[0.0, 0.2, 0.4, 0.8]]])
    assert instants(likely, np.array([1, 10, 20, 40]), np.array([2]))[0, 0, 1] == pytest.approx(10.0)


def test_what_never_happens_has_no_instant() -> None:
    """Nor has what is not known."""
    for nothing in (0.0, np.nan):
        assert np.isnan(instants(np.full((1, 1, 2), nothing), np.array([1, 2]), np.array([1]))).all()


def test_the_grid_has_the_reach_and_the_horizons_before_it() -> None:
    """And ends with the longest reach."""
    grid = grid_of((60, 3600), (1, 900, 7200))
    assert {1, 60, 900, 3600} <= set(grid)
    assert max(grid) == 3600
    assert len(grid) <= 20
