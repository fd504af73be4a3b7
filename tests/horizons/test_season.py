"""Errors that are large at noon and small at night make intervals that are, too."""

from __future__ import annotations

import numpy as np

from gaugecast.forecast.horizons import season
from gaugecast.forecast.horizons.experts import HorizonExperts
from gaugecast.forecast.horizons.layout import HorizonLayout
from horizons.drive import HOUR_NS, MINUTE_NS, drive


def test_a_profile_becomes_the_size_of_errors_by_the_time_of_day() -> None:
    """Three times as large in the second half of each day as in the first: 1.5 and 0.5 of their mean."""
    layout = HorizonLayout.of((1, 6), HOUR_NS)
    profile = np.ones((2, season.bins_of(layout)))
    for tick in range(1, 24 * 40):
        error = np.full((2, 2), 3.0 if tick % 24 >= 12 else 1.0)
        season.learn(
            profile, error, np.full((2, 2), 2.0), due=np.ones((2, 2), bool), tick=np.full(2, tick), layout=layout
        )
    shape = season.shape_at(profile, np.array([[3, 15], [15, 3]]), layout)
    np.testing.assert_allclose(shape, [[0.5, 1.5], [1.5, 0.5]], rtol=0.05)


def test_what_is_not_due_changes_no_profile() -> None:
    """To the bit, beside one that has an error."""
    layout = HorizonLayout.of((1, 6), HOUR_NS)
    profile = np.ones((2, 24))
    due = np.array([[True, False], [False, False]])
    season.learn(profile, np.full((2, 2), 9.0), np.ones((2, 2)), due=due, tick=np.array([5, 5]), layout=layout)
    assert (profile[1] == 1.0).all()
    assert (profile[0] != 1.0).sum() == 1


def test_intervals_are_as_wide_as_the_time_of_day_asks_for() -> None:
    """Noise that is five times as large by day: nearly so are the intervals, which hold what they say at both times."""
    rng = np.random.default_rng(1)
    by_day = np.arange(1200) % 24 >= 12
    series = rng.normal(size=(1200, 4, 1)) * np.where(by_day, 5.0, 1.0)[:, None, None]
    experts = HorizonExperts(HOUR_NS, 1, (1,), levels=(0.8,))
    said = drive(experts, series)
    lower, upper = (np.array([getattr(one, name)[:, 0, :, 0] for one in said[:-1]]) for name in ("lower", "upper"))
    inside, width = (series[1:] >= lower) & (series[1:] <= upper), upper - lower
    late = np.arange(1199) > 480
    assert width[late & by_day[1:]].mean() > 3.0 * width[late & ~by_day[1:]].mean()
    for part in (by_day[1:], ~by_day[1:]):
        assert abs(inside[late & part].mean() - 0.8) < 0.05


def test_where_no_day_is_known_there_is_no_profile() -> None:
    """Of seconds one step ahead, and of a period that makes no day."""
    assert season.bins_of(HorizonLayout.of((1,), 10**9)) == 0
    assert season.bins_of(HorizonLayout.of((1, 24), 7 * MINUTE_NS)) == 0
