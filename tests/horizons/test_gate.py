"""The gate: whatever comes, what is published is never much worse than the last value again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gaugecast.forecast.horizons import mixture, settled
from gaugecast.forecast.horizons.experts import HorizonExperts
from gaugecast.records import Float64
from gaugecast_sim.tanks import Plant
from horizons.drive import HOUR_NS, MINUTE_NS, drive, errors_of

SECOND_NS = 10**9
#: Squared error over that of the last value: over all, over any 2,000 next steps, over any 100·h steps beyond.
WHOLE, WINDOW, WINDOW_BEYOND = 1.02, 1.10, 1.30


def walk(steps: int, streams: int, seed: int) -> Float64:
    """Nobody can beat the last value."""
    return np.random.default_rng(seed).normal(size=(steps, streams)).cumsum(axis=0)


def noise(steps: int, streams: int, seed: int) -> Float64:
    """The mean is better than the last value, everywhere."""
    return 20.0 + np.random.default_rng(seed).normal(size=(steps, streams))


def step(steps: int, streams: int, seed: int) -> Float64:
    """Quiet noise, and in the middle another level, at which it is restless."""
    rng = np.random.default_rng(seed)
    later = (np.arange(steps) >= steps // 2)[:, None]
    made: Float64 = 50.0 * later + rng.normal(size=(steps, streams)) * (1.0 + 4.0 * later.astype(np.float64))
    return made


def tanks(steps: int, streams: int, seed: int) -> Float64:
    """Pressure of simulated tanks."""
    plant = Plant(seed, streams)
    return np.array([plant.step((1_700_000_000 + t) * SECOND_NS).pressure for t in range(steps)])


def constant(steps: int, streams: int, seed: int) -> Float64:
    """Nothing moves."""
    return np.full((steps, streams), 7.3 + seed)


SERIES: dict[str, Callable[[int, int, int], Float64]] = {
    "walk": walk,
    "noise": noise,
    "step": step,
    "tanks": tanks,
    "constant": constant,
}


def hold_gate(series: Float64, horizons: tuple[int, ...], *, period_ns: int = MINUTE_NS) -> None:
    """Pool the streams: each bound is one of the whole fleet's error."""
    experts = HorizonExperts(period_ns, 1, horizons, capacity=series.shape[1])
    said = drive(experts, series[:, :, None])
    for place, h in enumerate(experts.layout.horizons.tolist()):
        error, last = (
            np.square(one).sum(axis=(1, 2)) for one in errors_of(said, series[:, :, None], experts, place=place)
        )
        assert error.sum() <= WHOLE * last.sum(), h
        window, most = (2000, WINDOW) if h == 1 else (100 * h, WINDOW_BEYOND)
        if len(error) > window:
            ours, theirs = (np.convolve(one, np.ones(window), "valid") for one in (error, last))
            assert (ours <= most * theirs + 1e-9 * theirs.max()).all(), h  # sums of a window are rounded


@pytest.mark.no_cover
@pytest.mark.parametrize("kind", list(SERIES))
def test_what_is_published_is_never_much_worse_than_the_last_value(kind: str) -> None:
    """Over all, and over windows."""
    hold_gate(SERIES[kind](1500, 6, 2), (1, 6, 60))


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1, 21))
@pytest.mark.parametrize("kind", list(SERIES))
def test_the_gate_holds_for_many_seeds(kind: str, seed: int) -> None:
    """An hour of minutes ahead, too."""
    hold_gate(SERIES[kind](6000, 3, seed), (1, 12, 60))


def series_file(name: str) -> Path:
    """A public series; skips the test where it is not at hand, and fails it where it ought to be."""
    found = os.environ.get("GAUGECAST_DATA")
    folder = Path(found) if found else Path(__file__).resolve().parents[3] / "shared" / "data"
    path = folder / "ETT" / f"{name}.csv"
    if not path.is_file():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(
            f"{path} expected: docs/accuracy.md says where to get it"
        )
    return path


@pytest.mark.long
@pytest.mark.parametrize("name", ["ETTh1", "ETTh2"])
def test_the_gate_holds_on_public_series(name: str) -> None:
    """Next hour and next day of each variable, in its own deviations, without a network."""
    series = np.loadtxt(series_file(name), delimiter=",", skiprows=1, usecols=range(1, 8))
    hold_gate(series / series.std(axis=0), (1, 6, 24), period_ns=HOUR_NS)


def always_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mixture needs no proof."""
    monkeypatch.setattr(mixture, "PROVEN", 0)
    monkeypatch.setattr(mixture, "OPEN_BELOW", np.inf)
    monkeypatch.setattr(mixture, "SHUT_ABOVE", np.inf)


def believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it is, it comes back."""
    monkeypatch.setattr(settled, "settled", lambda state, tick, horizon: np.ones((len(tick), len(horizon)), bool))
    monkeypatch.setattr(mixture, "DOUBTED", np.inf)


def unshaken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shock changes nothing."""
    monkeypatch.setattr(mixture, "is_shock", lambda state, error, due: np.zeros(len(error), bool))


@pytest.mark.no_cover
@pytest.mark.parametrize(
    ("fault", "kind", "horizon"), [(always_open, "walk", 64), (believed, "walk", 64), (unshaken, "step", 60)]
)
def test_a_gate_with_a_fault_is_found(
    fault: Callable[[pytest.MonkeyPatch], None], kind: str, horizon: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the tests above hold would not hold without it."""
    fault(monkeypatch)
    with pytest.raises(AssertionError):
        hold_gate(SERIES[kind](1500, 4, 2), (1, horizon), period_ns=10 * MINUTE_NS)
