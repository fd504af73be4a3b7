"""Statistics and limits by the machine's state; and what is found out anew after a quiet time."""

from __future__ import annotations

import numpy as np

from anomaly.watching import Watch
from gaugecast.forecast.anomaly import calibration, detectors, modes
from gaugecast.forecast.anomaly.layout import DETECTORS, LEVEL, REFERENCE, RELATION, Layout
from gaugecast.pipeline.anomalies import Anomalies
from gaugecast.pipeline.anomaly_rules import rules_of
from gaugecast.records import Float64
from gaugecast.streams.columns import Columns
from gaugecast.testing import fleet_of
from gaugecast.watching import SHORTEST, AnomalySettings

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
    values = np.random.default_rng(8).standard_normal((2400, 2, 2))
    values[:, :, 0] += np.minimum(np.arange(2400) / 700.0, 1.0)[:, None]
    values[450:500, 1] += 30.0
    watch = Watch(2, 2, healthy=200, refit=300)
    watch.feed(values[:499])
    assert watch.state["stage"].tolist() == [calibration.FROZEN] * 2
    kept = watch.state["mean"].copy()
    watch.feed(values[499:550])
    assert watch.state["quiet"].tolist()[0] == -1
    assert 0 <= watch.state["quiet"].tolist()[1] < 100
    watch.feed(values[550:])
    assert (watch.state["mean"][:, 0] > kept[:, 0] + 0.5).all()
    assert [one.stream for one in watch.told] == [1]


def test_what_is_known_to_be_healthy_ends_with_the_stream_s_first_time_and_not_with_each_state_s() -> None:
    """A state that comes later is found out, whatever `healthy` says."""
    watch = Watch(STREAMS, 3, mode=True, healthy=200)
    values = in_turn([1.0, 2.0], each=300)
    watch.feed(values[:520])
    assert (watch.state["stage"][:, 0] == calibration.FROZEN).all()
    assert (watch.state["stage"][:, 1] == calibration.FIRST).all()
    assert (watch.state["mark"][:, 1] == SHORTEST).all()


def test_a_refit_switches_no_detector_off() -> None:
    """A tank with a slow cycle, of which the stretch sees a part: reference and limits stay, and it goes on."""
    steps = 2400
    rng = np.random.default_rng(7)
    values = 0.1 * rng.standard_normal((steps, 1, 2))
    values[:, :, 0] += np.sin(2 * np.pi * np.arange(steps) / 700.0)[:, None]
    watch, refitted = Watch(1, 2, healthy=800, refit=300), 0
    watch.feed(values[:800])
    judged = np.isfinite(watch.state["limit"])
    assert judged[:, REFERENCE].all()
    for row in values[800:]:
        before = int(watch.state["quiet"][0])
        watch.feed(row[None])
        assert np.isfinite(watch.state["limit"])[judged].all()
        refitted += before < 0 <= int(watch.state["quiet"][0])
    assert refitted
    assert watch.told == []


def test_a_refit_looks_at_no_less_than_a_first_stretch() -> None:
    """However short the time that is known to be healthy, or without an event."""
    for settings in (AnomalySettings(healthy=50, refit=300), AnomalySettings(refit=10)):
        assert rules_of(fleet_of("pq", anomaly=settings)).stretch_again == SHORTEST
    assert rules_of(fleet_of("pq", anomaly=AnomalySettings(refit=2000))).stretch_again == 2000


def on_its_way(watched: AnomalySettings, settling: int) -> Float64:
    """Scores (DETECTORS, F) of a step that is judged; the second feature, an input, has not come back yet."""
    state = {"arrived": np.array([[True, False]]), "settling": np.array([settling], np.int32)}
    score = np.full((1, len(DETECTORS), 2), 0.5)
    score[:, LEVEL, 1] = 3.0
    detectors._arrive(state, score, np.array([False]), rules_of(fleet_of("pq", inputs="q", anomaly=watched)))
    scores: Float64 = score[0]
    return scores


def test_what_nobody_judges_holds_up_nothing() -> None:
    """Weather that is another after a gap says nothing against the machine's values going together."""
    score = on_its_way(AnomalySettings(), 0)
    assert score[RELATION, 0] == 0.5
    assert score[LEVEL, 1] == 0.0


def test_a_level_is_on_its_way_from_unrest_until_it_is_where_it_belongs_when_all_has_settled() -> None:
    """Where it belongs a moment after the machine was switched on, it is only because nothing has happened yet."""
    rules = rules_of(fleet_of("pq", anomaly=AnomalySettings()))
    state = {"arrived": np.ones((1, 2), bool), "settling": np.array([4], np.int32)}
    told = []
    for settling, unrest, level in (
        (4, True, 0.5),
        (3, False, 0.5),
        (0, False, 3.0),
        (-1, False, 0.5),
        (-2, False, 3.0),
    ):
        state["settling"][:] = settling
        score = np.full((1, len(DETECTORS), 2), level)
        detectors._arrive(state, score, np.array([unrest]), rules)
        told.append(float(score[0, LEVEL, 0]))
    assert told == [0.0, 0.0, 0.0, 0.5, 3.0]


def test_nobody_waits_for_ever_for_a_level_to_come_back() -> None:
    """It is judged in the end, wherever it is."""
    settings = AnomalySettings(settle=4)
    assert on_its_way(settings, -119)[LEVEL, 1] == 0.0
    assert on_its_way(settings, -120)[LEVEL, 1] == 3.0
