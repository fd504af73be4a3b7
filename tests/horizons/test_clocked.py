"""Experts of far horizons that know the time of day."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gaugecast.fleet import Fleet
from gaugecast.forecast.horizons import clocked, mixture
from gaugecast.forecast.horizons.experts import HorizonExperts
from gaugecast.forecast.horizons.layout import HorizonLayout
from gaugecast.forecast.horizons.past import Past
from gaugecast.forecast.horizons.rows import LEADS
from gaugecast.records import Float64, Order
from gaugecast.testing import T0, feed, fleet_of, messages_of, pipeline_of, reading
from horizons.drive import HOUR_NS, MINUTE_NS, drive, errors_of, walks
from horizons.test_gate import SERIES, hold_gate

DAY = 144  # ticks of ten minutes
PERIOD_NS = 10 * MINUTE_NS
HORIZONS = (1, 64)


def wave(days: int, *, seed: int = 0) -> Float64:
    """A cycle of some thirty ticks that is faster twice a day, and of which no day is like another (T, 2, 1)."""
    ticks = np.arange(days * DAY)
    speed = 1.0 + 0.3 * np.cos(4.0 * np.pi * ticks / DAY)
    rng = np.random.default_rng(seed)
    phase = np.cumsum(2.0 * np.pi * speed / 30.0 + 0.1 * rng.normal(size=len(ticks)))
    made = np.stack([np.sin(phase), np.cos(phase)], axis=1)
    return (10.0 + made + 0.05 * rng.normal(size=made.shape))[:, :, None]


def share_of_error(series: Float64, *, clocked_far: bool, begin: int) -> float:
    """Squared error 64 ticks ahead over the variance, from a step on."""
    experts = HorizonExperts(PERIOD_NS, 1, HORIZONS, capacity=series.shape[1], clocked_far=clocked_far)
    error, _ = errors_of(drive(experts, series), series, experts, place=1)
    return float(np.square(error[begin:]).mean() / series.var())


@pytest.mark.long
def test_a_cycle_that_is_faster_at_some_hours_is_followed() -> None:
    """Coefficients that do not know the time of day average that away."""
    series = wave(12)
    with_clock, without = (share_of_error(series, clocked_far=one, begin=6 * DAY) for one in (True, False))
    assert with_clock < 0.85 * without


def test_before_anything_is_learned_the_long_run_mean_is_said() -> None:
    """Of a row whose coefficients are zero; a row that never moved stays where it is."""
    experts = HorizonExperts(PERIOD_NS, 1, HORIZONS, capacity=2)
    series = np.stack([np.arange(10.0), np.full(10, 3.3)], axis=1)[:, :, None]
    drive(experts, series)
    lay, columns = experts.layout, dict(experts.columns)
    level = columns["level"].reshape(2, clocked.LEVEL)
    assert level[:, 1].tolist() == [4.5, 3.3]
    assert level[0, 2] == pytest.approx(np.arange(10.0).var())
    past = Past(columns["points"].reshape(2, -1), np.arange(2))
    base, origin = np.array([[9.0], [3.3]]), np.full((2, 1), 10)
    theta = np.zeros((clocked.SIZE, 2, clocked.TURNS))
    made = clocked.moves(theta, past, base=base, origin=origin, level=level, layout=lay)
    assert made[:, :, 0].tolist() == [[-4.5, 0.0]] * clocked.TURNS


@pytest.mark.parametrize(
    ("horizons", "period_ns", "far"), [((1, 63), HOUR_NS, 2), ((1, 64), HOUR_NS, 1), ((1, 64), 7 * 10**9, 2)]
)
def test_only_far_horizons_of_periods_that_divide_a_day_have_them(
    horizons: tuple[int, ...], period_ns: int, far: int
) -> None:
    """Others have no column more than before."""
    lay = HorizonLayout.of(horizons, period_ns, clocked=True)
    assert lay.far == far
    names = [column.name for column in HorizonExperts(period_ns, 1, horizons).columns.spec]
    assert ("turning" in names) == (far < 2)


def test_forecasts_keep_their_bytes_whatever_comes_after_them() -> None:
    """A far horizon learns when its target is there, not before."""
    series = walks(300, 3, 1)
    other = np.concatenate([series[:200], walks(100, 3, 1, seed=5)])
    said, changed = (drive(HorizonExperts(PERIOD_NS, 1, HORIZONS, capacity=3), one)[:200] for one in (series, other))
    assert all(one.forecast.tobytes() == two.forecast.tobytes() for one, two in zip(said, changed, strict=True))


@pytest.mark.long
@pytest.mark.parametrize("kind", ["walk", "noise"])
def test_far_horizons_keep_the_gate(kind: str) -> None:
    """Where nobody can beat the last value, and where everybody does."""
    hold_gate(SERIES[kind](1500, 6, 1), HORIZONS, period_ns=PERIOD_NS)


@pytest.mark.long
def test_walks_of_few_spans_keep_the_gate_together() -> None:
    """Twenty-three spans a stream: a single fleet may be unlucky, sixty streams are not."""
    series = np.concatenate([SERIES["walk"](1500, 6, seed) for seed in range(1, 11)], axis=1)
    hold_gate(series, HORIZONS, period_ns=PERIOD_NS)


@pytest.mark.long
@pytest.mark.parametrize("kind", list(SERIES))
def test_far_horizons_keep_the_gate_in_windows(kind: str) -> None:
    """Those of a hundred horizons, too."""
    hold_gate(SERIES[kind](8000, 6, 2), HORIZONS, period_ns=PERIOD_NS)


def test_who_leads_far_ahead_is_named() -> None:
    """By the places in `LEADS` behind those of the next step's experts: whoever has the largest share."""
    series = wave(1)
    experts = HorizonExperts(PERIOD_NS, 1, HORIZONS, capacity=2)
    drive(experts, series)
    mix = dict(experts.columns)["mix"][:2, 0, :, 1]
    for place, name in enumerate(("persistence", "linear", "daily", "half_daily")):
        mix[:, :4] = np.eye(4)[place]
        mix[:, [mixture.SEEN, mixture._OPEN, mixture._LOSS, mixture._LOSS_LAST]] = (1e6, 1.0, 0.0, 1.0)
        (said,) = drive(experts, series, first=len(series) - 1)
        assert {LEADS[k] for k in said.leads[:, 1, 0].tolist()} == {name}


FLEET = replace(fleet_of("p", horizons=HORIZONS), clocked=True)


def test_a_configuration_of_old_means_what_it_meant() -> None:
    """It does not name these experts: then there are none, and it has the bytes that it had."""
    old = replace(FLEET, clocked=False)
    assert "clocked" not in old.to_json()
    assert Fleet.from_json(old.to_json()) == old
    assert Fleet.from_json(FLEET.to_json()) == FLEET
    tables = pipeline_of(old).parts[old.name].tables()
    assert "turning" not in dict(tables["horizons"])


def test_streams_go_on_where_a_configuration_brings_these_experts() -> None:
    """The next step is said as it would have been, to the byte; the far one begins behind a shut gate."""
    old = replace(FLEET, clocked=False)
    values = np.random.default_rng(3).normal(size=400)
    first, later = ([reading(i, float(values[i])) for i in part] for part in (range(300), range(300, 400)))
    ours, theirs = pipeline_of(old), pipeline_of(old)
    for one in (ours, theirs):
        feed(one, first)
    ours.advance([Order.configuring(FLEET).stamped(T0)])
    said, before = (messages_of(feed(one, later)) for one in (ours, theirs))
    assert [one["forecast"] for one in said] == [one["forecast"] for one in before]
    assert [one["horizons"][0] for one in said] == [one["horizons"][0] for one in before]
    assert said[0]["horizons"][1]["leads"] == {"p": "persistence"}
