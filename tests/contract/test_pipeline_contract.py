"""What `advance` promises to everybody who calls it: how inputs are cut, and what travels along, changes nothing."""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaugecast import events
from gaugecast.model import Recipe
from gaugecast.pipeline import Pipeline, memories, state
from gaugecast.records import Input, Order
from gaugecast.streams.snapshot import Slice
from gaugecast.testing import (
    T0,
    bodies_of,
    feed,
    fleet_of,
    installed,
    messages_of,
    model_for,
    outputs_of,
    pipeline_of,
    reading,
    timer,
    verdicts_of,
)
from support.state_bytes import differences

JOINED = fleet_of("pq", feature_capture="feature", grace_ns=2_000_000_000, stale_after_ns=8_000_000_000, horizon=2)
MODEL = model_for(JOINED)
OTHER = model_for(JOINED, seed=4)
NAN = float("nan")


def new_pipeline() -> Pipeline:
    """Joined features, timers and a model: every column is in use."""
    return pipeline_of(JOINED, models=[MODEL, OTHER], max_streams=5)


def life_of(seed: int, length: int = 120) -> list[Input]:
    """Readings of some streams in any order, with timers and events between them; one stream more than may be."""
    rng = random.Random(seed)
    ticks = dict.fromkeys("abcdef", 0)
    made: list[Input] = []
    now = 0.0
    for _ in range(length):
        now += rng.choice((0.0, 0.1, 0.4))
        draw, stream = rng.random(), rng.choice("abcdef")
        if draw < 0.1:
            now += rng.choice((0.0, 3.0, 9.0))
            made.append(timer(now))
        elif draw < 0.13:
            version = rng.choice((MODEL, OTHER)).manifest.version
            made.append(event(events.ModelInstalled(rng.choice(("in_force", "shadow")), version)))
        elif draw < 0.14:
            made.append(event(events.ShadowWarmed(MODEL.manifest.version))._replace(values=memory()))
        elif draw < 0.16:
            made.append(event(events.StreamsReset(), stream=rng.choice(("", "a", "b"))))
        else:
            ticks[stream] += rng.choice((0, 0, 1, 1, 1, 2, 6))
            late = rng.choice((0, 0, 0, 0, -3))
            values = rng.choice(((20.0, NAN), (NAN, 5.0), (20.0, 5.0), (1e308, -1e308)))
            noisy = [value + rng.random() for value in values]
            made.append(reading(ticks[stream] + late, *noisy, stream=stream, received_s=now, dup=late < 0))
    return made


@functools.cache
def memory() -> bytes:
    """What the model remembers of some of the streams after twelve steps elsewhere."""
    elsewhere = pipeline_of(JOINED, models=[MODEL])
    feed(elsewhere, [reading(t, 20 + np.sin(t), t % 4, stream=stream) for t in range(12) for stream in "abcz"])
    [chunk] = memories.memories_of(elsewhere.parts["tanks"], "in_force")
    return chunk


def event(what: events.Event, stream: str = "") -> Input:
    """An event of the fleet."""
    return Order(what, "tanks", stream).stamped(T0)


def cut(inputs: Sequence[Input], sizes: Sequence[int]) -> list[list[Input]]:
    """Inputs in batches of these sizes, over and over."""
    pieces, at, turn = [], 0, 0
    while at < len(inputs):
        pieces.append(list(inputs[at : at + sizes[turn % len(sizes)]]))
        at += sizes[turn % len(sizes)]
        turn += 1
    return pieces


def run_cut(inputs: Sequence[Input], sizes: Sequence[int]) -> tuple[object, Pipeline]:
    """Everything that comes out, and the pipeline afterwards."""
    pipeline = new_pipeline()
    outcomes = [pipeline.advance(piece) for piece in cut(inputs, sizes)]
    made = [(o.fleet, o.stream, o.step, o.forecast, o.topic, o.body) for o in outputs_of(outcomes)]
    return (made, verdicts_of(outcomes), [r for o in outcomes for r in o.refused]), pipeline


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), sizes=st.lists(st.integers(1, 40), min_size=1, max_size=6))
def test_how_inputs_are_cut_into_batches_changes_nothing(seed: int, sizes: list[int]) -> None:
    """Outputs in order, verdicts and every byte of state are those of one call for all."""
    inputs = life_of(seed)
    whole, expected = run_cut(inputs, [len(inputs)])
    pieces, pipeline = run_cut(inputs, sizes)
    assert pieces == whole
    assert differences(pipeline, expected) == []


@pytest.mark.parametrize("sizes", [(2, 3), (5,), (1,), (3, 2), (4, 1)])
@pytest.mark.parametrize("length", [5, 60])
def test_a_sequence_of_one_stream_may_come_as_a_backlog_or_one_by_one(sizes: tuple[int, ...], length: int) -> None:
    """2 + 3, 5, singles, or sixty in one call: the same forecasts and the same state."""
    inputs = [reading(i, 20 + np.sin(i), i % 4) for i in range(length)]
    whole, expected = run_cut(inputs, [length])
    pieces, pipeline = run_cut(inputs, sizes)
    assert pieces == whole
    assert differences(pipeline, expected) == []


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_what_others_say_changes_nothing_for_a_stream(seed: int) -> None:
    """A stream's messages in company are those it gets alone, byte for byte."""
    inputs = [one for one in life_of(seed) if one.stream != "f"]  # the fleet has room for the other five
    crowd = bodies_of(feed(new_pipeline(), inputs, 17))
    for stream in "abc":
        own = [one for one in inputs if one.stream in (stream, "")]
        assert bodies_of(feed(new_pipeline(), own)).get(stream) == crowd.get(stream)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), begin=st.integers(0, 119), budget=st.integers(1, 4000), step=st.integers(1, 9))
def test_a_checkpoint_of_any_moment_leads_to_the_same_end(seed: int, begin: int, budget: int, step: int) -> None:
    """Copied slice by slice while the loop goes on, restored, and fed the rest: as if nothing had happened."""
    inputs = life_of(seed)
    pipeline = new_pipeline()
    pipeline.advance(inputs[:begin])
    header, slices = state.begin_snapshot(pipeline)
    at = begin
    outcomes = []
    while pipeline.snapshot is not None:
        slices += list(state.take_slices(pipeline, budget))
        outcomes.append(pipeline.advance(inputs[at : at + step]))
        at += step
        if any(one.event for one in inputs[begin:at]):
            return  # an event changed whole columns: the snapshot was given up, which `None` says
    outcomes.append(pipeline.advance(inputs[at:]))
    restored = pipeline_of(models=[MODEL, OTHER], max_streams=5)
    state.restore(restored, header, [Slice(name, start, rows.copy()) for name, start, rows in slices])
    again = restored.advance(inputs[begin:])
    assert [o.body for o in again.outputs] == [o.body for o in outputs_of(outcomes)]
    assert differences(restored, pipeline) == []


def test_an_event_that_reshapes_columns_gives_the_snapshot_up() -> None:
    """A copy of two shapes at once would be worth nothing; whoever takes it must see that it is over."""
    pipeline = new_pipeline()
    pipeline.advance(life_of(1)[:20])
    state.begin_snapshot(pipeline)
    pipeline.advance([installed(OTHER, "shadow")])
    assert pipeline.snapshot is None


def test_new_weights_alone_do_not_give_a_snapshot_up() -> None:
    """A learner may hand over every second; the checkpoint is that of its moment all the same."""
    pipeline = new_pipeline()
    feed(pipeline, [reading(i, 20.0 + i % 3, 5.0, stream=s) for i in range(6) for s in "abc"])
    header, slices = state.begin_snapshot(pipeline)
    learned = event(events.ModelInstalled("in_force", OTHER.manifest.version, reason=events.LEARNED))
    later = [learned, *(reading(6, 20.0, 5.0, stream=s) for s in "abc")]
    outputs = pipeline.advance(later).outputs
    assert pipeline.snapshot is not None
    while pipeline.snapshot is not None:
        slices += list(state.take_slices(pipeline, 100))
    restored = pipeline_of(models=[MODEL, OTHER], max_streams=5)
    state.restore(restored, header, [Slice(name, start, rows.copy()) for name, start, rows in slices])
    assert [o.body for o in restored.advance(later).outputs] == [o.body for o in outputs]
    assert differences(restored, pipeline) == []


def test_a_parked_stream_comes_back_as_it_was() -> None:
    """Parked, kept as bytes and brought back, a stream goes on as one that was never parked."""
    fleet = fleet_of("pq", park_after_ns=60_000_000_000, horizon=2)
    model = model_for(fleet)
    speak = [reading(i, 20 + np.sin(i), i % 3) for i in range(20)]
    after = [reading(20 + i, 21 + np.sin(i), i % 4, received_s=100 + i) for i in range(10)]
    kept, parked = (pipeline_of(fleet, models=[model]) for _ in range(2))
    for pipeline in (kept, parked):
        feed(pipeline, speak)
    outcome = parked.advance([timer(90)])
    (aside,) = outcome.parked
    assert parked.streams == 0
    back = Order(events.StreamUnparked(), "tanks", "a", state=aside.state).stamped(T0)  # fmt: skip
    again = feed(parked, [back, *after], 4)
    assert bodies_of(again) == bodies_of(feed(kept, after, 4))
    kept.parts["tanks"].totals.parked = kept.parts["tanks"].totals.unparked = 1
    assert differences(kept, parked) == []


def test_a_parked_stream_of_another_shape_keeps_counting_its_messages() -> None:
    """(stream, step) names a message for ever, also where features have changed while it was away."""
    fleet = fleet_of("p", park_after_ns=60_000_000_000)
    pipeline = pipeline_of(fleet)
    feed(pipeline, [reading(i, 20.0) for i in range(7)])
    (aside,) = pipeline.advance([timer(90)]).parked
    wider = fleet_of("pq", park_after_ns=60_000_000_000)
    back = event(events.StreamUnparked(), stream="a")._replace(values=aside.state)
    outcome = pipeline.advance([Order.configuring(wider).stamped(T0), back, reading(100, 1.0, 2.0)])
    assert [o.step for o in outcome.outputs] == [8]


@pytest.mark.parametrize("change", [{"names": "xy"}, {"period_ns": 60_000_000_000}, {"time_path": None}])
def test_a_parked_stream_is_not_taken_for_one_of_other_features(change: dict[str, Any]) -> None:
    """As many features, but other ones, or another period: what was remembered says nothing of them."""
    kept: dict[str, Any] = {"park_after_ns": 60_000_000_000, "bridge": 1000}
    pipeline = pipeline_of(fleet_of(**kept))
    feed(pipeline, [reading(i, 20.0, 5.0) for i in range(7)])
    (aside,) = pipeline.advance([timer(90)]).parked
    back = event(events.StreamUnparked(), stream="a")._replace(values=aside.state)
    other = fleet_of(**kept | change)
    (message,) = messages_of([pipeline.advance([Order.configuring(other).stamped(T0), back, reading(100, 1, 2)])])
    assert (message["step"], message["quality"]) == (8, ["warming", "fallback"])


def test_a_parked_stream_does_not_bring_its_state_to_another_kind_of_model() -> None:
    """Arrays of the same size that another recipe filled: the stream goes on, the model warms up."""
    fleet = fleet_of(park_after_ns=60_000_000_000, bridge=1000)
    before, after = model_for(fleet), model_for(fleet, seed=5, recipe=Recipe(half_life_steps=500.0))
    pipeline = pipeline_of(fleet, models=[after, before])
    feed(pipeline, [reading(i, 20 + np.sin(i), 5.0) for i in range(7)])
    (aside,) = pipeline.advance([timer(90)]).parked
    back = event(events.StreamUnparked(), stream="a")._replace(values=aside.state)
    made = [
        pipeline.advance([installed(after), back, reading(7, 20.0, 5.0)]),
        pipeline.advance([reading(8, 20.1, 5.0)]),
    ]
    assert [m["quality"] for m in messages_of(made)] == [["warming", "fallback"], []]
