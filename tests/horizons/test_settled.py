"""Who comes back to a mean, and who walks away."""

from __future__ import annotations

import numpy as np

from gaugecast.forecast.horizons.experts import HorizonExperts
from gaugecast.forecast.horizons.settled import settled
from gaugecast.records import Float64
from horizons.drive import MINUTE_NS, drive, errors_of

HORIZON = 64


def known(series: Float64, ticks: int) -> np.ndarray:
    """Of series (T, R), a value a stride of four ticks."""
    seen = series[:ticks]
    values = seen[::-1][:HORIZON:4][::-1].T
    return settled(values, seen.var(axis=0), np.full(series.shape[1], ticks), stride=4, horizon=HORIZON)


def cycles(ticks: int, rows: int) -> Float64:
    """A cycle of some thirty ticks that goes up and down in straight lines, and whose speed is not the same twice."""
    rng = np.random.default_rng(3)
    phase = rng.random(rows) + np.cumsum(1 / 30 + 0.01 * rng.normal(size=(ticks, rows)), axis=0)
    made: Float64 = 10.0 + np.abs(phase % 1.0 - 0.5) + 0.01 * rng.normal(size=(ticks, rows))
    return made


def test_cycles_are_known_after_some_hours_and_walks_hardly_ever() -> None:
    """At three horizons' length nearly all of the one, and of the other one in fifty at most; later no more."""
    walks = np.random.default_rng(1).normal(size=(HORIZON * 12, 500)).cumsum(axis=0)
    for spans in (2, 3, 6, 12):
        assert known(walks, spans * HORIZON).mean() <= 0.02
    assert known(cycles(HORIZON * 4, 200), HORIZON * 4).mean() > 0.9


def test_what_never_moves_and_what_was_not_measured_is_not_known_to_come_back() -> None:
    """Neither has anything to judge by."""
    values = np.stack([np.full(16, 3.0), np.full(16, np.nan)])
    assert not settled(values, np.zeros(2), np.full(2, 640), stride=4, horizon=HORIZON).any()


def test_a_row_has_the_same_answer_alone() -> None:
    """With many others, and by itself, also where some values are not there."""
    rng = np.random.default_rng(2)
    values = rng.normal(size=(40, 16))
    values[rng.random(values.shape) < 0.1] = np.nan
    variance, ticks = np.linspace(0.1, 2.0, 40), np.full(40, 100)
    whole = settled(values, variance, ticks, stride=4, horizon=HORIZON)
    alone = [
        settled(values[k : k + 1], variance[k : k + 1], ticks[:1], stride=4, horizon=HORIZON)[0] for k in range(40)
    ]
    assert 0 < whole.sum() < 40
    assert whole.tolist() == alone


def test_far_ahead_a_cycle_is_forecast_by_its_mean_after_few_spans() -> None:
    """Long before there are errors enough to prove anything by: eight spans are needed for that."""
    series = cycles(HORIZON * 8, 12)[:, :, None]
    experts = HorizonExperts(10 * MINUTE_NS, 1, (1, HORIZON), capacity=12)
    error, last = (
        np.square(one[HORIZON * 4 :]).mean() for one in errors_of(drive(experts, series), series, experts, place=1)
    )
    assert error < 0.75 * last
