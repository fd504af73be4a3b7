"""The running extreme of a series, learned: rows, delay, honesty."""

from __future__ import annotations

import numpy as np
import pytest

from gaugecast.forecast.crossings.extremes import Extremes
from gaugecast.records import Float64
from horizons.drive import MINUTE_NS


def foretold(
    series: Float64, level: float, *, horizons: tuple[int, ...] = (1, 8, 30), reach: int | None = None
) -> Float64:
    """Probabilities at each step of series (T, N), alone or together (T, N, H), up to the horizon at place `reach`."""
    steps, streams = series.shape
    extremes = Extremes(MINUTE_NS, 1, horizons, capacity=streams)
    out = []
    for t in range(steps):
        values = series[t][:, None]
        last = series[t - 1][:, None] if t else np.full_like(values, np.nan)
        own = np.full((streams, 1, extremes.layout.count), np.nan)
        told = extremes.step(
            np.arange(streams), values, x=values, last=last, gap=np.zeros(streams, np.int64), own=own,
            level=np.array([level]), reach=np.array([extremes.layout.count - 1 if reach is None else reach]),
        )  # fmt: skip
        out.append(told[:, 0])
    return np.array(out)


def saw(steps: int, streams: int, *, seed: int = 1) -> Float64:
    """Ramps of 40 steps with noise: each rises from 0 to 40 and falls at once."""
    rng = np.random.default_rng(seed)
    phase = np.arange(streams) * 7
    return (np.arange(steps)[:, None] + phase) % 40 + rng.normal(size=(steps, streams))


def test_rows_do_not_depend_on_who_travels_along() -> None:
    """To the bit."""
    series = saw(200, 9)
    together = foretold(series, 35.0)
    for stream in (0, 4, 8):
        assert foretold(series[:, [stream]], 35.0)[:, 0].tobytes() == together[:, stream].tobytes()


def test_a_crossing_is_foretold_of_what_was_there() -> None:
    """Everything after a step may be noise: what was said up to it does not change by a bit."""
    series = saw(300, 2)
    noisy = series.copy()
    noisy[200:] = 500.0
    one, other = foretold(series, 35.0), foretold(noisy, 35.0)
    assert one[:200].tobytes() == other[:200].tobytes()
    assert one[210].tobytes() != other[210].tobytes()


@pytest.mark.no_cover
@pytest.mark.long
def test_probabilities_are_better_than_the_rate_and_mean_what_they_say() -> None:
    """On ramps with noise: Brier skill, and in each tenth with enough cases what was said is what happened."""
    horizon, level, place = 8, 35.0, 1
    series = saw(3000, 4)
    told = foretold(series, level)[500 : 3000 - horizon, :, place]
    windows = np.lib.stride_tricks.sliding_window_view(series, horizon, axis=0)
    happened = windows.max(axis=-1)[501 : 3001 - horizon] >= level
    below = series[500 : 3000 - horizon] < level
    p, y = told[below], happened[below].astype(float)
    assert 1.0 - np.square(p - y).mean() / (y.mean() * (1.0 - y.mean())) > 0.3
    for k in range(10):
        part = (p >= k / 10) & (p < (k + 1) / 10)
        if part.sum() >= 100:
            assert abs(p[part].mean() - y[part].mean()) < 0.15


def test_a_constant_never_crosses_and_has_when_it_is_beyond() -> None:
    """No probability in between."""
    for level, wanted in ((5.0, 0.0), (-5.0, 1.0)):
        told = foretold(np.full((200, 1), 1.0), level)
        assert (told[100:] == wanted).all()


def test_farther_is_never_less_likely() -> None:
    """By each horizon at least as likely as by the one before."""
    told = foretold(saw(400, 2), 35.0)[200:]
    assert (np.diff(told, axis=2) >= 0.0).all()


def test_horizons_beyond_the_reach_of_a_threshold_are_not_asked() -> None:
    """Another threshold looks farther; its horizons are as unsure as all, and would take away from those that count."""
    series = saw(400, 4)
    near, whole = (foretold(series, 35.0, reach=place) for place in (1, 2))
    assert np.isnan(near[:, :, 2]).all()
    told = np.isfinite(whole[:, :, 1])
    assert (near[:, :, 1][told] >= whole[:, :, 1][told]).all()
    assert (near[:, :, 1][told] > whole[:, :, 1][told]).any()
