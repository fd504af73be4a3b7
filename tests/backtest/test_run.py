"""Backtests: no look into the future, constants, sines, the same again for a seed, and what the daemon would say."""

from __future__ import annotations

import functools
import struct
from pathlib import Path

import numpy as np
import pytest

from gaugecast.errors import ConfigError
from gaugecast.fleet import Feature, Fleet
from gaugecast.learn.backtest.lockstep import Lockstep
from gaugecast.learn.backtest.run import backtest, courses_of
from gaugecast.learn.backtest.split import Split
from gaugecast.records import Float64, Input

pytestmark = pytest.mark.keras

START_NS = 1_767_225_600 * 10**9


def fleet_of(features: int, *, period_s: int = 1, horizon: int = 1) -> Fleet:
    """A fleet of so many features."""
    named = tuple(Feature(f"f{i}") for i in range(features))
    return Fleet("plant", ("p/{x}",), "{x}", named, period_s * 10**9, time_path=("t",), horizon=horizon, bridge=2)


def readings(fleet: Fleet, values: Float64, *, stream: str = "one", gap_at: int | None = None) -> list[Input]:
    """A reading for each row of `values` (T, F), one period apart; a missing tick before row `gap_at`."""
    pack = struct.Struct(f"<{values.shape[1]}d").pack
    ticks = np.arange(len(values)) + (0 if gap_at is None else np.arange(len(values)) >= gap_at)
    ats = [START_NS + int(tick) * fleet.period_ns for tick in ticks]
    return [Input.reading(fleet.name, stream, at, at, pack(*row)) for at, row in zip(ats, values, strict=True)]


def wandering(steps: int, features: int, seed: int = 0) -> Float64:
    """Random walks with a daily wave."""
    noise = np.random.default_rng(seed).standard_normal((steps, features))
    wave = 4 * np.sin(np.arange(steps) * 2 * np.pi / 24)
    walk: Float64 = 20 + np.cumsum(noise, axis=0) + wave[:, None]
    return walk


def learned(fleet: Fleet, inputs: list[Input], seed: int = 0, units: tuple[int, ...] = (8,)) -> Float64:
    """Forecasts (T, H, G), learning all the way."""
    _, (made,) = Lockstep(fleet, units=units, seed=seed, compiled=False).record([inputs]).courses()
    return made


@functools.cache
def course_of_learning() -> tuple[Fleet, Float64, Float64]:
    """A fleet, its values, and what a learning lockstep forecast of them; a gap that is bridged lies within."""
    fleet, values = fleet_of(2, period_s=3600, horizon=3), wandering(110, 2)
    return fleet, values, learned(fleet, readings(fleet, values, gap_at=60))


@pytest.mark.parametrize("t", [70, pytest.param(89, marks=pytest.mark.long)])
def test_what_comes_later_bears_on_nothing_said_before(t: int) -> None:
    """All rows after t are replaced by noise: forecasts up to t keep every bit, while weights learn all the way."""
    fleet, values, before = course_of_learning()
    noisy = values.copy()
    noisy[t + 1 :] = np.random.default_rng(99).standard_normal(noisy[t + 1 :].shape) * 1e3
    after = learned(fleet, readings(fleet, noisy, gap_at=60))
    assert before[: t + 1].tobytes() == after[: t + 1].tobytes()
    assert (before[t + 1] != after[t + 1]).any()


def test_a_seed_says_it_all() -> None:
    """The same seed gives the same bits; another gives others."""
    fleet, values, before = course_of_learning()
    inputs = readings(fleet, values, gap_at=60)
    assert learned(fleet, inputs).tobytes() == before.tobytes()
    assert learned(fleet, inputs, seed=1).tobytes() != before.tobytes()


def test_learning_moves_the_forecasts() -> None:
    """Else the tests above would say nothing."""
    fleet, values, before = course_of_learning()
    _, (still,) = Lockstep(fleet, units=(8,), learning=False).record([readings(fleet, values, gap_at=60)]).courses()
    assert (still[:20] == before[:20]).any()
    assert (still[60:] != before[60:]).all()


def test_a_constant_is_forecast_as_that_constant() -> None:
    """To the bit, at every horizon, learning or not, beside a feature that moves."""
    fleet = fleet_of(2, horizon=4)
    values = np.column_stack([np.full(120, 21.7), wandering(120, 1)[:, 0]])
    assert (learned(fleet, readings(fleet, values))[:, :, 0] == 21.7).all()


@pytest.mark.long
@pytest.mark.parametrize(("period_steps", "seed"), [(25, 1), (50, 0), (100, 2)])
def test_a_sine_is_learned_from_nothing(period_steps: int, seed: int) -> None:
    """Cold start, the network alone: skill of 0.9 and more over steps 1,500 to 2,000."""
    fleet = fleet_of(1)
    values = 20.0 + 5.0 * np.sin(2 * np.pi * np.arange(2001) / period_steps)
    report = backtest(fleet, [readings(fleet, values[:, None])], Split(0, 1500, 500), seed=seed, with_baselines=False)
    (network,) = report.forecasters
    assert network.scores[0].overall.count == 500
    assert network.scores[0].overall.skill is not None
    assert network.scores[0].overall.skill >= 0.9


def test_baselines_stand_beside_the_network_over_the_same_rows() -> None:
    """Frozen new weights are persistence but for a thousandth; all count the same targets."""
    fleet = fleet_of(2, period_s=3600, horizon=2)
    inputs = readings(fleet, wandering(300, 2), gap_at=100)
    report = backtest(fleet, [inputs], Split(0.2, 0.1, 150), learning="off", units=(8,))
    assert [f.model for f in report.forecasters] == ["lstm", "persistence", "seasonal", "rls"]
    assert (report.scored.start, report.scored.stop) == (90, 240)
    # One target follows a missing tick: nobody forecast it one step ahead, and another two.
    assert [[s.overall.count for s in f.scores] for f in report.forecasters] == [[298, 298]] * 4
    network, persistence = (f.scores[0].overall.mse for f in report.forecasters[:2])
    assert network == pytest.approx(persistence, rel=1e-2)
    assert report.forecasters[1].scores[0].overall.skill == 0.0


def test_streams_of_one_fleet_are_scored_together() -> None:
    """However their readings lie among each other."""
    fleet = fleet_of(1)
    one, two = (readings(fleet, wandering(80, 1, seed), stream=name) for seed, name in enumerate(("one", "two")))
    mixed = [reading for pair in zip(one, two, strict=True) for reading in pair]
    together = backtest(fleet, [mixed], Split(), learning="off", units=(8,), with_baselines=False)
    apart = backtest(fleet, [two, one], Split(), learning="off", units=(8,), with_baselines=False)
    assert [c.stream for c in together.courses] == ["one", "two"]
    for a, b in zip(together.forecasters[0].forecasts, apart.forecasters[0].forecasts, strict=True):
        assert a.tobytes() == b.tobytes()
    assert together.forecasters[0].scores == apart.forecasters[0].scores


def test_late_and_repeated_rows_are_no_steps() -> None:
    """As in the daemon: the course has what was stepped."""
    fleet = fleet_of(1)
    inputs = readings(fleet, wandering(30, 1))
    (course,) = courses_of(fleet, [[*inputs[:20], inputs[5], inputs[19], *inputs[20:]]])
    np.testing.assert_array_equal(course.tick, np.arange(30))


@pytest.mark.parametrize("split", [Split(100, 0), Split(0.5, 0.5), Split(10, 10, 0)])
def test_a_split_that_leaves_nothing_to_score_is_refused(split: Split) -> None:
    """With what was expected."""
    with pytest.raises(ConfigError, match="expected to score, got 100 in all"):
        split.borders(100)


@pytest.mark.long
def test_warm_weights_come_from_the_train_rows_alone() -> None:
    """What lies after the validation rows bears on nothing, not even on how long was trained."""
    from gaugecast.learn.backtest.warmup import trained_on

    fleet, values = fleet_of(1, period_s=3600), wandering(160, 1)
    other = values.copy()
    other[100:] = 7.0
    found = [
        trained_on(fleet, [readings(fleet, v)], Split(80, 20), model=None, units=(4,), seed=0, compiled=False)
        for v in (values, other)
    ]
    assert found[0][0].manifest.version == found[1][0].manifest.version
    assert found[0][1] == 80


@pytest.mark.long
def test_train_rows_are_rows_of_each_stream_however_their_readings_lie_among_each_other() -> None:
    """Two streams, one after the other or in turn: the same weights; neither's rows count for the other."""
    from gaugecast.learn.backtest.warmup import trained_on

    fleet = fleet_of(1, period_s=3600)
    one, two = (readings(fleet, wandering(120, 1, seed), stream=name) for seed, name in enumerate(("one", "two")))
    mixed = [reading for pair in zip(one, two, strict=True) for reading in pair]
    later = [*readings(fleet, np.full((120, 1), 7.0), stream="one")[80:], *two[80:]]
    found = [
        trained_on(fleet, [batch], Split(60, 20), model=None, units=(4,), seed=0, compiled=False)
        for batch in (mixed, [*one, *two], [*one[:80], *two[:80], *later])
    ]
    assert {rows for _, rows in found} == {60}
    assert len({model.manifest.version for model, _ in found}) == 1


def test_a_recorder_takes_batches_and_single_readings_alike() -> None:
    """Cut as one likes, the course and its forecasts are the same."""
    fleet = fleet_of(1, horizon=2)
    inputs = readings(fleet, wandering(50, 1))
    found = []
    for batches in ([inputs], [[one] for one in inputs]):
        (course,), (forecast,) = Lockstep(fleet, learning=False, units=(8,)).record(batches).courses()
        found.append((course.observed.tobytes(), course.tick.tobytes(), forecast.tobytes()))
    assert found[0] == found[1]


def test_pictures_and_page_need_nothing_from_elsewhere(tmp_path: Path) -> None:
    """The page has its pictures within itself."""
    from gaugecast.learn.backtest.drawing import draw_plots
    from gaugecast.learn.backtest.page import write_page

    fleet = fleet_of(2, period_s=3600, horizon=2)
    report = backtest(fleet, [readings(fleet, wandering(120, 2))], Split(), learning="off", units=(8,))
    pictures = draw_plots(report, tmp_path)
    assert [p.name for p in pictures] == ["forecast.png", "cumulative-skill.png", "error-by-horizon.png"]
    write_page(report, pictures, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 3
    assert "http" not in page
