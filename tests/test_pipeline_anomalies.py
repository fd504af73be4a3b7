"""Anomalies as part of the pipeline: messages, state, checkpoint, replay, change of configuration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from gaugecast import events
from gaugecast.fleet import Fleet
from gaugecast.pipeline import Pipeline, past, state
from gaugecast.records import Float64, Input, Order, Output
from gaugecast.streams.snapshot import Slice
from gaugecast.testing import T0, feed, fleet_of, model_for, outputs_of, pipeline_of, reading, timer
from gaugecast.watching import AnomalySettings
from mutants import applied
from support.state_bytes import differences

FLEET = fleet_of("pq", anomaly=AnomalySettings(healthy=120, settle=10))
TOPIC = "gaugecast/tanks/a/anomaly"
BREAKS, MENDED = 200, 240


def values_of(count: int = 320, seed: int = 1) -> Float64:
    """Two noisy waves about 10 and 50; from BREAKS to MENDED the first lies 6 higher."""
    rng = np.random.default_rng(seed)
    turn = np.arange(count) / 3
    p = 10.0 + np.sin(turn) + 0.2 * rng.normal(size=count)
    q = 50.0 + 2.0 * np.cos(turn) + 0.3 * rng.normal(size=count)
    p[BREAKS:MENDED] += 6.0
    return np.stack([p, q], axis=1)


def saw(begin: int = 0, end: int = 320, *, stream: str = "a", seed: int = 1) -> list[Input]:
    """Readings of these ticks."""
    values = values_of(seed=seed)
    return [reading(i, *values[i].tolist(), stream=stream) for i in range(begin, end)]


def new_pipeline(fleet: Fleet = FLEET, *, model: bool = True) -> Pipeline:
    """With a model in force, or without."""
    return pipeline_of(fleet, models=[model_for(fleet)] if model else [], max_streams=5)


def told_of(outputs: Sequence[Output], topic: str = TOPIC) -> list[dict[str, Any]]:
    """Decoded messages of one topic, without those that clear it."""
    return [msgspec.json.decode(one.body) for one in outputs if one.topic == topic and one.body]


def keys(outputs: Sequence[Output]) -> list[tuple[str, int, str, bytes, bool]]:
    """What names and makes each output."""
    return [(one.stream, one.step, one.topic, one.body, one.retain) for one in outputs]


def test_an_anomaly_is_told_once_with_its_reason_and_its_end() -> None:
    """It begins within a few steps, names the right feature, and is over when the value is as usual again."""
    outputs = outputs_of(feed(new_pipeline(model=False), saw(), 7))
    told = told_of(outputs)
    assert [one["event"] for one in told if one["event"] != "update"] == ["begin", "end"]
    begin, end = told[0], told[-1]
    assert BREAKS <= begin["at"] - T0 / 1e9 < BREAKS + 10
    assert MENDED <= end["at"] - T0 / 1e9 < MENDED + 60
    assert begin["id"] == end["id"]
    assert next(iter(begin["features"])) == "p"
    assert begin["reason"].startswith("p ")
    assert begin["score"] >= 1.0


def test_shares_add_up_to_one() -> None:
    """Of each message, over all features that have one."""
    told = [one for one in told_of(outputs_of(feed(new_pipeline(), saw(), 7))) if one["features"]]
    assert told
    for one in told:
        assert abs(sum(each["share"] for each in one["features"].values()) - 1.0) < 1e-9


def test_what_is_open_is_retained_and_cleared_at_its_end() -> None:
    """Behind the forecast of the same step; the message of the end goes by, then an empty one clears the topic."""
    outputs = outputs_of(feed(new_pipeline(), saw(), 7))
    ours = [one for one in outputs if one.topic == TOPIC]
    assert ours[0].retain
    assert (ours[-2].retain, ours[-1].retain, ours[-1].body) == (False, True, b"")
    first = next(k for k, one in enumerate(outputs) if one.topic == TOPIC)
    forecast = next(one for one in reversed(outputs[:first]) if one.topic == "gaugecast/tanks/a")
    assert (outputs[first].step, outputs[first].cause) == (forecast.step, forecast.cause)


@pytest.mark.no_cover
def test_how_inputs_are_cut_into_batches_changes_no_anomaly() -> None:
    """Outputs in the same order, with the same bytes, and the same state."""
    inputs = sorted([*saw(), *saw(stream="b", seed=2), *saw(stream="c", seed=3)], key=lambda one: one.at_ns)
    whole, pieces = new_pipeline(), new_pipeline()
    assert keys(outputs_of(feed(pieces, inputs, 7))) == keys(outputs_of(feed(whole, inputs, len(inputs))))
    assert differences(pieces, whole) == []


@pytest.mark.no_cover
def test_a_stream_alone_is_told_what_it_is_told_in_company() -> None:
    """Byte for byte."""
    inputs = sorted([*saw(), *saw(stream="b", seed=2)], key=lambda one: one.at_ns)
    crowd = [one for one in keys(outputs_of(feed(new_pipeline(), inputs, 11))) if one[0] == "a"]
    assert keys(outputs_of(feed(new_pipeline(), saw()))) == crowd


def test_a_checkpoint_leads_to_the_same_anomalies() -> None:
    """Taken while an event is open: nothing is told a second time."""
    pipeline = new_pipeline()
    feed(pipeline, saw(0, BREAKS + 20))
    header, slices = state.begin_snapshot(pipeline)
    while pipeline.snapshot is not None:
        slices += list(state.take_slices(pipeline, 3000))
    restored = pipeline_of(models=[model_for(FLEET)], max_streams=5)
    state.restore(restored, header, [Slice(name, start, rows.copy()) for name, start, rows in slices])
    rest = saw(BREAKS + 20)
    told = outputs_of(feed(restored, rest))
    assert keys(told) == keys(outputs_of(feed(pipeline, rest)))
    assert "begin" not in [one["event"] for one in told_of(told)]
    assert differences(restored, pipeline) == []


def test_a_parked_stream_goes_on_with_what_it_had_learned() -> None:
    """Its scores are those of one that stayed; what was open ended when it was parked, and begins anew."""
    fleet = replace(FLEET, park_after_ns=60_000_000_000)
    kept, parked = new_pipeline(fleet), new_pipeline(fleet)
    for each in (kept, parked):
        feed(each, saw(0, BREAKS + 20))
    (aside,) = parked.advance([timer(400)]).parked
    back = Order(events.StreamUnparked(), "tanks", "a", state=aside.state).stamped(T0)
    later = [
        outputs_of(feed(one, rows)) for one, rows in ((parked, [back, *saw(BREAKS + 20)]), (kept, saw(BREAKS + 20)))
    ]
    forecasts = [[one.body for one in made if one.forecast] for made in later]
    assert forecasts[0] == forecasts[1]
    assert [one["event"] for one in told_of(later[0])][:1] == ["begin"]


@pytest.mark.parametrize("way", ["parked", "forgotten", "renamed"])
def test_whoever_leaves_has_its_open_event_ended(way: str) -> None:
    """By outputs of the input that takes it away, the last of which clears what the broker retains."""
    leaving: dict[str, Input] = {
        "parked": timer(400),
        "forgotten": Order(events.StreamForgotten(), "tanks", "a").stamped(T0),
        "renamed": Order(events.StreamRenamed("c"), "tanks", "a").stamped(T0),
    }
    pipeline = new_pipeline(replace(FLEET, park_after_ns=60_000_000_000), model=False)
    told = told_of(outputs_of(feed(pipeline, saw(0, BREAKS + 20))))
    assert told[-1]["event"] != "end"
    outputs = [one for one in outputs_of([pipeline.advance([leaving[way]])]) if one.topic == TOPIC]
    (ended,) = told_of(outputs)
    assert (ended["event"], ended["id"]) == ("end", told[-1]["id"])
    assert (outputs[-1].body, outputs[-1].retain) == (b"", True)


def test_a_gap_opens_no_second_event() -> None:
    """Whoever falls silent in the middle of an anomaly, and comes back with it, has the same one."""
    inputs = [*saw(0, BREAKS + 12), *saw(BREAKS + 30)]
    told = told_of(outputs_of(feed(new_pipeline(), inputs)))
    assert len({one["id"] for one in told}) == 1


def test_nobody_looks_any_more_ends_the_event() -> None:
    """What a broker retains of it is cleared."""
    pipeline = new_pipeline(model=False)
    told = told_of(outputs_of(feed(pipeline, saw(0, BREAKS + 20))))
    assert told[-1]["event"] != "end"
    outputs = list(pipeline.advance([Order.configuring(replace(FLEET, anomaly=None)).stamped(T0)]).outputs)
    (ended,) = told_of(outputs)
    assert (ended["event"], ended["id"]) == ("end", told[-1]["id"])
    assert (outputs[-1].body, outputs[-1].retain) == (b"", True)


def test_other_settings_go_on_with_what_was_learned() -> None:
    """The reference is not calibrated anew, and an open event stays open."""
    pipeline = new_pipeline(model=False)
    feed(pipeline, saw(0, BREAKS + 20))
    settings = AnomalySettings(healthy=120, hold=3)
    assert not list(pipeline.advance([Order.configuring(replace(FLEET, anomaly=settings)).stamped(T0)]).outputs)
    assert [one["event"] for one in told_of(outputs_of(feed(pipeline, saw(BREAKS + 20))))][-1] == "end"


@pytest.mark.no_cover
def test_looking_for_anomalies_changes_no_forecast() -> None:
    """Not by a bit."""
    with_it, without = new_pipeline(), new_pipeline(replace(FLEET, anomaly=None))
    forecasts = [
        [one.forecast for one in outputs_of(feed(each, saw(), 9)) if one.forecast] for each in (with_it, without)
    ]
    assert forecasts[0] == forecasts[1]


def test_a_fleet_without_anomalies_keeps_the_bytes_of_its_configuration() -> None:
    """And one with them comes back from its event."""
    assert "anomaly" not in replace(FLEET, anomaly=None).to_json()
    settings = AnomalySettings(least=(("p", 0.5),), sides=(("p", "above"),))
    fleet = replace(FLEET, anomaly=settings)
    assert Fleet.from_json(fleet.to_json()) == fleet


def test_history_calibrates_and_tells_nothing() -> None:
    """What was wrong at its end begins when the stream speaks."""
    pipeline = new_pipeline(model=False)
    at = T0 + np.arange(BREAKS + 20) * 10**9
    rows = past.pack(at, values_of()[: BREAKS + 20])
    order = Order(events.HistoryLoaded(("p", "q")), "tanks", "a", state=rows)
    assert not list(pipeline.advance([order.stamped(T0)]).outputs)
    told = told_of(outputs_of(feed(pipeline, saw(BREAKS + 20))))
    assert told[0]["event"] == "begin"
    assert told[0]["began"] - T0 / 1e9 >= BREAKS + 20


def score_of(settings: AnomalySettings, change: Callable[[Float64], None]) -> list[dict[str, Any]]:
    """What is told where values are changed before they are sent."""
    values = values_of()
    change(values)
    inputs = [reading(i, *values[i].tolist()) for i in range(len(values))]
    return told_of(outputs_of(feed(new_pipeline(replace(FLEET, anomaly=settings), model=False), inputs, 9)))


def test_deviations_that_nobody_cares_for_are_not_told() -> None:
    """Too small, or to the side that does no harm."""
    anyway = AnomalySettings(healthy=120, settle=10)
    assert score_of(anyway, lambda values: None)
    small = replace(anyway, least=(("p", 8.0), ("q", 8.0)))
    assert score_of(small, lambda values: None) == []
    below = replace(anyway, sides=(("p", "below"), ("q", "below")))
    begins = [one for one in score_of(below, lambda values: None) if one["event"] == "begin"]
    assert all(one["began"] - T0 / 1e9 > BREAKS + 20 for one in begins)


@pytest.mark.no_cover
def test_scale_and_shift_change_no_event() -> None:
    """The same is told at the same steps, whatever the unit."""

    def in_other_units(values: Float64) -> None:
        values *= 1024.0
        values += 4096.0

    settings = AnomalySettings(healthy=120, settle=10)
    one, other = score_of(settings, lambda values: None), score_of(settings, in_other_units)
    assert [(each["event"], each["at"]) for each in one] == [(each["event"], each["at"]) for each in other]
    assert np.allclose([each["score"] for each in one], [each["score"] for each in other], rtol=1e-3)


def test_a_score_in_the_unit_of_its_sensor_would_be_seen() -> None:
    """The test above is worth what it has been seen to refuse."""
    with applied("anomaly_knows_the_unit"), pytest.raises(AssertionError):
        test_scale_and_shift_change_no_event()


def test_a_redelivery_opens_no_second_event() -> None:
    """Readings that come once more while an event is open, and after it, say nothing."""
    pipeline, told = new_pipeline(model=False), []
    for begin, end in ((0, BREAKS + 20), (BREAKS + 20, 320)):
        told += told_of(outputs_of(feed(pipeline, saw(begin, end), 9)))
        assert not outputs_of(feed(pipeline, saw(end - 15, end), 9))
    assert [one["event"] for one in told if one["event"] != "update"] == ["begin", "end"]


def with_state(values: Float64, states: Float64) -> list[Input]:
    """Readings of both features and of the machine's state."""
    return [reading(i, *values[i].tolist(), float(states[i])) for i in range(len(values))]


def test_a_machine_that_is_off_is_not_judged() -> None:
    """What changes with it is no anomaly, nor what follows for a while; an open event ends when it is switched off."""
    settings = AnomalySettings(healthy=120, settle=20, mode="r", off=(0.0,))
    fleet = fleet_of("pqr", inputs="r", anomaly=settings)
    values, states = values_of(), np.ones(320)
    states[BREAKS:MENDED] = 0.0
    assert told_of(outputs_of(feed(pipeline_of(fleet), with_state(values, states), 7))) == []
    on = np.ones(320)
    on[BREAKS + 20 :] = 0.0
    told = told_of(outputs_of(feed(pipeline_of(fleet), with_state(values, on), 7)))
    assert [one["event"] for one in told if one["event"] != "update"] == ["begin", "end"]
    assert told[-1]["at"] - T0 / 1e9 == BREAKS + 20


def test_a_set_point_that_changes_explains_a_move() -> None:
    """Values that follow it are not judged for `settle`."""
    settings = AnomalySettings(healthy=120, settle=60)
    values, states = values_of(), np.ones(320)
    fleet = fleet_of("pqr", inputs="r", anomaly=settings)
    assert told_of(outputs_of(feed(pipeline_of(fleet), with_state(values, states), 7)))
    states[BREAKS:MENDED] = 2.0
    assert told_of(outputs_of(feed(pipeline_of(fleet), with_state(values, states), 7))) == []


def said(event: events.AnomalyAcknowledged | events.StreamSilenced, *, after_s: int = 0) -> Input:
    """What somebody says of stream `a`, so long after the first reading."""
    return Order(event, "tanks", "a").stamped(T0 + after_s * 10**9)


def test_an_anomaly_that_is_acknowledged_says_so_at_once_and_once() -> None:
    """With the same name; what was acknowledged before, or is over, is not told again, and the next begins anew."""
    pipeline = new_pipeline(model=False)
    (begin, *_) = told_of(outputs_of(feed(pipeline, saw(0, BREAKS + 20))))
    known = said(events.AnomalyAcknowledged(begin["id"]))
    (told,) = told_of(outputs_of([pipeline.advance([known])]))
    assert (told["event"], told["id"], told["acknowledged"]) == ("update", begin["id"], True)
    assert next(iter(told["features"])) == "p"
    for again in (known, said(events.AnomalyAcknowledged("of another"))):
        assert not outputs_of([pipeline.advance([again])])
    rest = told_of(outputs_of(feed(pipeline, saw(BREAKS + 20))))
    assert rest[-1]["event"] == "end"
    assert all(one["acknowledged"] for one in rest)
    assert not outputs_of([pipeline.advance([known])])


def test_a_silenced_stream_has_its_events_as_before_and_they_say_so() -> None:
    """From begin to end, with reasons and peaks; and what goes on when the silence is over is told anew, at once."""
    loud, quiet = new_pipeline(model=False), new_pipeline(model=False)
    quiet.advance([said(events.StreamSilenced(10**9 * (BREAKS + 25)))])  # nobody has spoken yet: it is of no stream
    for each in (loud, quiet):
        feed(each, saw(0, 10))
    quiet.advance([said(events.StreamSilenced(10**9 * (BREAKS + 15)), after_s=10)])
    told = [told_of(outputs_of(feed(each, saw(10, 320)))) for each in (loud, quiet)]
    silent = [one for one in told[1] if one["severity"] == "silenced"]
    (anew,) = [one for one in told[1] if one["at"] == T0 / 1e9 + BREAKS + 25]
    assert [one["event"] for one in silent][:1] == ["begin"]
    assert (anew["event"], anew["severity"] in ("warning", "critical")) == ("update", True)
    for which in ("begin", "end"):
        (one,), (other,) = ([each for each in made if each["event"] == which] for made in told)
        assert {**one, "severity": ""} == {**other, "severity": ""}


def test_a_silence_of_an_open_event_is_told_at_once_and_may_be_taken_back() -> None:
    """An update each; the event goes on."""
    pipeline = new_pipeline(model=False)
    feed(pipeline, saw(0, BREAKS + 20))
    for silence, severity in ((10**12, "silenced"), (0, "critical")):
        (told,) = told_of(outputs_of([pipeline.advance([said(events.StreamSilenced(silence), after_s=BREAKS + 19)])]))
        assert (told["event"], told["severity"]) == ("update", severity)


def test_a_clock_that_is_set_moves_the_end_of_a_silence() -> None:
    """Two hours are two hours."""
    pipeline = new_pipeline(model=False)
    feed(pipeline, saw(0, 10))
    pipeline.advance([said(events.StreamSilenced(60 * 10**9), after_s=10)])
    pipeline.advance([Order(events.ClockStepped(10**12)).stamped(T0 + 10**13)])
    part = pipeline.parts["tanks"]
    assert part.anomalies is not None
    assert part.anomalies.events["silenced"][part.table.slots["a"]] == T0 + 70 * 10**9 + 10**12


def test_what_is_usual_is_found_out_anew_on_command() -> None:
    """The open event ends, forecasts go on, nothing is judged for a while; and then what was strange is usual."""
    refitted, kept = new_pipeline(model=False), new_pipeline(model=False)
    values = values_of()
    values[BREAKS:] += (6.0, 0.0)
    values[BREAKS:MENDED] -= (6.0, 0.0)  # from here on for good
    inputs = [reading(i, *values[i % 320].tolist()) for i in range(BREAKS)]
    inputs += [reading(i, *values[BREAKS + (i - BREAKS) % 120].tolist()) for i in range(BREAKS, BREAKS + 360)]
    for each in (refitted, kept):
        feed(each, inputs[: BREAKS + 20])
    (ended,) = told_of(outputs_of([refitted.advance([Order(events.AnomaliesRefitted(), "tanks").stamped(T0)])]))
    assert ended["event"] == "end"
    rest = [outputs_of(feed(each, inputs[BREAKS + 20 :])) for each in (refitted, kept)]
    assert [one.forecast for one in rest[0] if one.forecast] == [one.forecast for one in rest[1] if one.forecast]
    scores = [msgspec.json.decode(one.body)["score"] for one in rest[0] if one.topic == "gaugecast/tanks/a"]
    assert scores[0] is None
    assert scores[-1] is not None
    assert told_of(rest[0]) == []
    assert told_of(rest[1])


def test_the_end_of_a_calibration_goes_into_the_ledger_with_its_coefficients() -> None:
    """Once a stream, as an event that changes nothing where it is read again."""
    pipeline = new_pipeline(model=False)
    (order,) = [one for outcome in feed(pipeline, saw(0, 160), 7) for one in outcome.orders]
    assert (order.fleet, order.stream) == ("tanks", "a")
    assert isinstance(order.event, events.ReferenceFrozen)
    assert events.decode_event(events.encode_event(order.event)) == order.event
    watching = pipeline.parts["tanks"].anomalies
    assert watching is not None
    kept = {name: array.copy() for name, array in watching.columns}
    assert order.event.weights == kept["weights"][0].tolist()
    pipeline.advance([order.stamped(T0)])
    for name, array in watching.columns:
        assert array.tobytes() == kept[name].tobytes(), name
