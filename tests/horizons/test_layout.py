"""What a row remembers, and that it stays small."""

from __future__ import annotations

import pytest

from gaugecast.forecast.horizons.experts import HorizonExperts
from gaugecast.forecast.horizons.layout import MOST_POINTS, HorizonLayout
from horizons.drive import HOUR_NS, MINUTE_NS

SECOND_NS = 10**9


@pytest.mark.parametrize(
    ("period_ns", "horizons"),
    [
        (SECOND_NS, (1, 60, 900, 3600)),
        (SECOND_NS, (1, 100_000)),
        (MINUTE_NS, (1, 15, 60, 1440)),
        (15 * MINUTE_NS, (1, 4, 96)),
        (HOUR_NS, tuple(range(1, 49))),
        (24 * HOUR_NS, (1, 7)),
    ],
)
def test_the_past_of_a_feature_stays_small(period_ns: int, horizons: tuple[int, ...]) -> None:
    """Whatever is asked for: at most 512 points, and about thirty forecasts of a horizon that wait."""
    layout = HorizonLayout.of(horizons, period_ns)
    assert layout.points <= MOST_POINTS
    assert layout.waiting.max() <= 32


def test_the_next_step_alone_costs_little() -> None:
    """Two features, two levels, no seasons: what the default may cost a stream."""
    assert HorizonExperts(SECOND_NS, 2, (1,)).columns.row_bytes <= 2560


def test_the_next_step_is_always_among_the_horizons() -> None:
    """Whether it was listed or not, and each once."""
    assert HorizonLayout.of((60, 60, 15), MINUTE_NS).horizons.tolist() == [1, 15, 60]


def test_seasons_are_looked_at_where_the_period_allows() -> None:
    """Hours have days and weeks; of seconds a day is too coarse for the next minute; seven minutes make no day."""
    assert HorizonLayout.of((1, 24), HOUR_NS).seasonal.tolist() == [True, True]
    assert HorizonLayout.of((1, 60, 3600), SECOND_NS).seasonal.tolist() == [False, False, True]
    assert HorizonLayout.of((1, 24), 7 * MINUTE_NS).season is None
