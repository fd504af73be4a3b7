"""Foretold crossings as part of the pipeline: messages, state, checkpoint, replay, change of configuration."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from gaugecast import events
from gaugecast.fleet import Fleet, Threshold
from gaugecast.pipeline import Pipeline, past, state
from gaugecast.records import Input, Order, Output
from gaugecast.streams.snapshot import Slice
from gaugecast.testing import T0, feed, fleet_of, model_for, outputs_of, pipeline_of, reading, timer
from support.state_bytes import differences

HIGH = Threshold("p", True, 32.0, 12)
FLEET = fleet_of("pq", horizons=(1, 3, 12), intervals=(0.8,), thresholds=(HIGH, Threshold("q", False, -3.0, 5)))
TOPIC = "gaugecast/tanks/a/crossing/p/above/32"


def saw(ticks: int, *, begin: int = 0, stream: str = "a", seed: int = 1) -> list[Input]:
    """Ramps of forty ticks with noise, from 0 to 40, and a walk that turns around."""
    rng = np.random.default_rng(seed)
    p = np.arange(1000) % 40 + 0.3 * rng.normal(size=1000)
    q = 4.0 * np.sin(np.arange(1000) / 9) + 0.2 * rng.normal(size=1000)
    return [reading(i, p[i], q[i], stream=stream) for i in range(begin, begin + ticks)]


def new_pipeline(fleet: Fleet = FLEET, *, model: bool = True) -> Pipeline:
    """With a model in force, or without."""
    return pipeline_of(fleet, models=[model_for(fleet)] if model else [], max_streams=5)


def notices(outputs: list[Output], topic: str = TOPIC) -> list[dict[str, Any]]:
    """Decoded messages of one topic."""
    return [msgspec.json.decode(one.body) for one in outputs if one.topic == topic]


def keys(outputs: list[Output]) -> list[tuple[str, int, str, bytes]]:
    """What names and makes each output."""
    return [(one.stream, one.step, one.topic, one.body) for one in outputs]


def probabilities(pipeline: Pipeline) -> list[float]:
    """Of the one stream's thresholds."""
    ahead = pipeline.parts["tanks"].look_ahead
    assert ahead is not None
    assert ahead.crossings is not None
    found: list[float] = ahead.crossings.columns["likely"][0].tolist()
    return found


def test_a_crossing_is_told_before_it_happens_and_ends_after_it() -> None:
    """On each ramp once: begin, the crossing, end; retained, behind the forecast of the same step."""
    outputs = outputs_of(feed(new_pipeline(model=False), saw(600), 7))
    told = [one for one in notices(outputs) if one["at"] > T0 / 1e9 + 400]
    begins = [one for one in told if one["event"] == "begin"]
    ends = [one for one in told if one["event"] == "end"]
    assert 4 <= len(begins) <= 6
    assert abs(len(begins) - len(ends)) <= 1
    late = [one["median"] - one["at"] - (32 - (one["at"] - T0 / 1e9) % 40) for one in begins]
    assert abs(np.mean(late)) < 7
    for one in begins:
        assert not one["crossed"]
        assert one["probability"] >= 0.5
        assert one["early"] <= one["median"] <= one["late"] <= one["at"] + 12
        assert set(one["by"]) == {"1s", "3s", "12s"}
    places = [k for k, one in enumerate(outputs) if one.topic == TOPIC]
    for k in places:
        forecast = next(one for one in reversed(outputs[:k]) if one.topic == "gaugecast/tanks/a")
        assert (outputs[k].step, outputs[k].cause, outputs[k].retain) == (forecast.step, forecast.cause, True)


@pytest.mark.no_cover
def test_how_inputs_are_cut_into_batches_changes_no_crossing() -> None:
    """Outputs in the same order, with the same bytes, and the same state."""
    inputs = sorted([*saw(200), *saw(200, stream="b", seed=2)], key=lambda one: one.at_ns)
    whole, pieces = new_pipeline(), new_pipeline()
    assert keys(outputs_of(feed(pieces, inputs, 7))) == keys(outputs_of(feed(whole, inputs, len(inputs))))
    assert differences(pieces, whole) == []


@pytest.mark.no_cover
def test_a_stream_alone_is_told_what_it_is_told_in_company() -> None:
    """Byte for byte."""
    inputs = sorted([*saw(200), *saw(200, stream="b", seed=2)], key=lambda one: one.at_ns)
    crowd = [one for one in keys(outputs_of(feed(new_pipeline(), inputs, 11))) if one[0] == "a"]
    assert keys(outputs_of(feed(new_pipeline(), saw(200)))) == crowd


def test_a_checkpoint_leads_to_the_same_crossings() -> None:
    """Taken while an event is open."""
    inputs = saw(400)
    pipeline = new_pipeline()
    feed(pipeline, inputs[:310])
    header, slices = state.begin_snapshot(pipeline)
    while pipeline.snapshot is not None:
        slices += list(state.take_slices(pipeline, 3000))
    restored = pipeline_of(models=[model_for(FLEET)], max_streams=5)
    state.restore(restored, header, [Slice(name, start, rows.copy()) for name, start, rows in slices])
    assert keys(outputs_of(feed(restored, inputs[310:]))) == keys(outputs_of(feed(pipeline, inputs[310:])))
    assert differences(restored, pipeline) == []


@pytest.mark.long
def test_a_parked_stream_goes_on_with_its_crossings() -> None:
    """What it had learned of them comes back with it."""
    fleet = replace(FLEET, park_after_ns=60_000_000_000)
    kept, parked = new_pipeline(fleet), new_pipeline(fleet)
    feed(kept, saw(300))
    feed(parked, saw(300))
    (aside,) = parked.advance([timer(400)]).parked
    back = Order(events.StreamUnparked(), "tanks", "a", state=aside.state).stamped(T0)
    later = saw(60, begin=300)
    outputs = [outputs_of(feed(one, rows)) for one, rows in ((parked, [back, *later]), (kept, later))]
    forecasts = [[one.body for one in made if one.forecast] for made in outputs]
    assert forecasts[0] == forecasts[1]
    likely = [probabilities(one) for one in (parked, kept)]
    assert likely[0] == likely[1]


def test_a_threshold_that_is_no_more_ends_its_event() -> None:
    """What a broker retains of it says so."""
    pipeline = new_pipeline(model=False)
    told = notices(outputs_of(feed(pipeline, saw(311))))
    assert told[-1]["event"] != "end"
    fewer = replace(FLEET, thresholds=FLEET.thresholds[1:])
    (ended,) = notices(list(pipeline.advance([Order.configuring(fewer).stamped(T0)]).outputs))
    assert (ended["event"], ended["began"]) == ("end", told[-1]["began"])
    assert notices(outputs_of(feed(pipeline, saw(40, begin=311)))) == []


@pytest.mark.parametrize(
    "way",
    [
        "parked",
        *(
            pytest.param(way, marks=pytest.mark.long)
            for way in ("another topic", "forgotten", "renamed", "other horizons")
        ),
    ],
)
def test_whoever_leaves_has_its_open_crossing_ended(way: str) -> None:
    """By an output of the input that takes it away; what a broker retains under the old topic says so, byte for byte
    again however the inputs are cut into batches."""
    fleet = replace(FLEET, park_after_ns=60_000_000_000)
    leaving: dict[str, Input] = {
        "parked": timer(400),
        "forgotten": Order(events.StreamForgotten(), "tanks", "a").stamped(T0),
        "renamed": Order(events.StreamRenamed("c"), "tanks", "a").stamped(T0),
        "another topic": Order.configuring(replace(fleet, output="other/{fleet}/{stream}")).stamped(T0),
        "other horizons": Order.configuring(replace(fleet, horizons=(1, 3, 12, 13))).stamped(T0),
    }
    inputs = [*saw(311), leaving[way]]
    pipeline, whole = new_pipeline(fleet, model=False), new_pipeline(fleet, model=False)
    told = notices(outputs_of(feed(pipeline, inputs[:-1])))
    last = outputs_of([pipeline.advance(inputs[-1:])])
    (ended,) = notices(last)

    assert told[-1]["event"] != "end"
    assert (ended["event"], ended["began"], ended["step"]) == ("end", told[-1]["began"], 311)
    assert {one.cause for one in last} == {0}
    again = [body for *_, topic, body in keys(outputs_of(feed(whole, inputs, len(inputs)))) if topic == TOPIC]
    assert again[-1] == next(one.body for one in last if one.topic == TOPIC)
    assert len(again) == len(told) + 1


def test_a_stream_that_comes_back_begins_its_crossing_anew() -> None:
    """What ended when it was parked is told again when it is likely again."""
    fleet = replace(FLEET, park_after_ns=60_000_000_000)
    pipeline = new_pipeline(fleet, model=False)
    feed(pipeline, saw(311))
    (aside,) = pipeline.advance([timer(400)]).parked
    back = Order(events.StreamUnparked(), "tanks", "a", state=aside.state).stamped(T0)
    told = notices(outputs_of(feed(pipeline, [back, *saw(40, begin=311)])))
    assert told[0]["event"] == "begin"
    assert told[0]["began"] >= T0 / 1e9 + 311


def test_history_that_is_loaded_tells_nobody_and_leaves_nothing_open() -> None:
    """The first that is told of a stream with a past is a begin."""
    pipeline = new_pipeline(model=False)
    rows = saw(311)
    at = np.array([one.at_ns for one in rows])
    values = np.array([np.frombuffer(one.values, "<f8") for one in rows])
    loaded = Order(events.HistoryLoaded(("p", "q")), "tanks", "a", state=past.pack(at, values)).stamped(T0)
    assert outputs_of([pipeline.advance([loaded])]) == []
    told = notices(outputs_of(feed(pipeline, saw(40, begin=311))))
    assert told[0]["event"] == "begin"


@pytest.mark.long
def test_other_thresholds_leave_what_the_horizons_have_learned() -> None:
    """Forecasts go on as if nothing had been changed."""
    changed, same = new_pipeline(), new_pipeline()
    for pipeline in (changed, same):
        feed(pipeline, saw(200))
    changed.advance([Order.configuring(replace(FLEET, thresholds=(replace(HIGH, value=30.0),))).stamped(T0)])
    later = saw(50, begin=200)
    forecasts = [
        [one.body for one in outputs_of(feed(pipeline, later)) if one.forecast] for pipeline in (changed, same)
    ]
    assert forecasts[0] == forecasts[1]


def test_a_fleet_without_thresholds_keeps_the_bytes_of_its_configuration() -> None:
    """And one with them comes back from its event."""
    assert "thresholds" not in replace(FLEET, thresholds=()).to_json()
    assert Fleet.from_json(FLEET.to_json()) == FLEET


@pytest.mark.long
def test_crossings_go_to_the_topics_that_are_configured_for_them_now() -> None:
    """What is open elsewhere ends there, and goes on where the fleet says it by now; also after a reading or two."""
    moved = replace(FLEET, notices="told/{fleet}/{stream}")
    pipeline = new_pipeline()
    before = outputs_of(feed(pipeline, saw(400)))
    assert notices(before)
    opened = [one["event"] for one in notices(before)].count("begin") > [one["event"] for one in notices(before)].count(
        "end"
    )
    change = outputs_of([pipeline.advance([Order.configuring(moved).stamped(T0)])])
    after = outputs_of(feed(pipeline, saw(200, begin=400)))

    assert [one["event"] for one in notices(change)] == (["end"] if opened else [])
    assert notices(after) == []
    assert {one["event"] for one in notices(after, "told/tanks/a/crossing/p/above/32")} >= {"begin", "end"}
