"""Statistics and limits by the machine's state; and what is found out anew after a quiet time."""

from __future__ import annotations

import numpy as np

from anomaly.watching import Watch
from gaugecast.forecast.anomaly import calibration, modes
from gaugecast.forecast.anomaly.layout import Layout
from gaugecast.pipeline.anomalies import Anomalies
from gaugecast.records import Float64
from gaugecast.streams.columns import Columns
from gaugecast.testing import fleet_of
from gaugecast.watching import AnomalySettings

LEVELS = {1.0: 10.0, 2.0: 40.0, 3.0: 80.0}
STREAMS = 4


def in_turn(states: list[float], *, each: int = 700, seed: int = 3) -> Float64:
    """Streams whose first feature lies where the machine's state, the last, wants it; the second is noise."""
    rng = np.random.default_rng(seed)
    said = np.repeat(states, each)
    values = rng.standard_normal((len(said), STREAMS, 3))
    values[:, :, 0] += np.array([LEVELS[state] for state in states]).repeat(each)[:, None]
    values[:, :, 2] = said[:, None]
    return values


def test_states_that_take_turns_are_no_anomaly_and_a_fault_in_each_is_one() -> None:
    """Each has its level; the level of the one is told while the machine is in the other."""
    watch = Watch(STREAMS, 3, mode=True)
    watch.feed(in_turn([1.0, 2.0, 1.0, 2.0, 1.0]))
    assert watch.told == []
    wrong = in_turn([2.0], seed=4)
    wrong[200:, :, 0] += 8.0
    watch.feed(wrong)
    assert {(one.stream, one.feature) for one in watch.told} == {(stream, 0) for stream in range(STREAMS)}


def test_without_a_mode_the_same_is_told() -> None:
    """The test above is worth what it has been seen to refuse."""
    watch = Watch(STREAMS, 2)
    watch.feed(in_turn([1.0, 2.0, 1.0, 2.0, 1.0])[:, :, :2])
    assert watch.told


def entered(rows: modes.Rows, *values: float, stays: bool = False) -> list[int]:
    """Places of stream 1 after each value."""
    slot, told = np.array([1]), []
    for value in values:
        rows.enter(slot, np.array([value]), np.array([stays]))
        told.append(int(rows.places(slot)[0]))
    return told


def test_a_fifth_state_takes_the_place_of_the_one_that_was_left_longest_ago() -> None:
    """Which is found out anew when it comes again; what says no state changes none."""
    spec = Layout.of(2).spec()
    columns = Columns(modes.spec_of(spec, by_mode=True), 3)
    rows, base = modes.Rows(spec, columns), modes.MOST
    assert entered(rows, 7.0, 8.0, 7.0, 9.0, float("nan"), 6.0) == [base, base + 1, base, base + 2, base + 2, base + 3]
    assert entered(rows, 8.0, stays=True) == [base + 3]
    columns["counted"][1] = [11, 12, 13, 14]
    assert entered(rows, 5.0) == [base + 1]
    assert columns["counted"][1].tolist() == [11, 0, 13, 14]
    assert entered(rows, 7.0, 8.0) == [base, base + 2]
    assert columns["counted"][1].tolist() == [11, 0, 0, 14]


def test_a_mode_that_is_configured_later_begins_with_nothing_learned() -> None:
    """Rows of another layout cannot go on; events do."""
    fleet = fleet_of("pqr", inputs="r", anomaly=AnomalySettings())
    before = Anomalies(fleet, 5)
    after = Anomalies(fleet_of("pqr", inputs="r", anomaly=AnomalySettings(mode="r")), 5, before)
    assert after.columns is not before.columns
    assert after.events is before.events
    assert Anomalies(fleet, 5, before).columns is before.columns


def test_a_frozen_reference_is_fitted_anew_after_a_quiet_time_alone() -> None:
    """What has slowly become usual is; an event puts it off."""
    values = np.random.default_rng(8).standard_normal((1400, 2, 2))
    values[:, :, 0] += np.minimum(np.arange(1400) / 700.0, 1.0)[:, None]
    values[450:500, 1] += 30.0
    watch = Watch(2, 2, healthy=200, refit=300)
    watch.feed(values[:499])
    assert watch.state["stage"].tolist() == [calibration.FROZEN] * 2
    kept = watch.state["mean"].copy()
    watch.feed(values[499:550])
    assert watch.state["quiet"].tolist()[0] == -1
    assert 0 <= watch.state["quiet"].tolist()[1] < 100
    watch.feed(values[550:1400])
    assert (watch.state["mean"][:, 0] > kept[:, 0] + 0.5).all()
    assert [one.stream for one in watch.told] == [1]
