"""A newcomer that brings along what it remembers goes on as if it had been there from the beginning."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gaugecast import events
from gaugecast.config.schema import Loop
from gaugecast.forecast.expert import SCORES
from gaugecast.model import Model, seal_model
from gaugecast.pipeline import Pipeline, memories, state
from gaugecast.records import Input, Order
from gaugecast.testing import T0, feed, fleet_of, installed, model_for, pipeline_of, reading

FLEET = fleet_of(bridge=3)
STREAMS = ("a", "b", "c")


def readings(first: int, last: int, streams: tuple[str, ...] = STREAMS, seed: int = 3) -> list[Input]:
    """Readings of ticks `first`…`last`−1, a value for every stream and tick that does not depend on the cut."""
    values = np.random.default_rng(seed).standard_normal((1000, 3, 2)).cumsum(axis=0)
    return [reading(t, *values[t, STREAMS.index(s)], stream=s) for t in range(first, last) for s in streams]


def newcomer(*, look_back: int = 0, units: int = 7) -> Model:
    """Random weights that fit; with a look-back, of a window."""
    model = model_for(FLEET, units=(units,))
    return seal_model(replace(model.manifest, look_back=look_back), dict(model.weights))


def elsewhere(model: Model, inputs: list[Input]) -> list[bytes]:
    """What a model remembers that was in force in a pipeline of its own."""
    other = pipeline_of(FLEET, models=[model])
    feed(other, inputs)
    return list(memories.memories_of(other.parts["tanks"], "in_force"))


def warmed(version: str, chunks: list[bytes]) -> list[Input]:
    """The events that hand chunks over."""
    event = events.ShadowWarmed(version)
    return [Order(event, "tanks", state=chunk).stamped(T0) for chunk in chunks]


def loop_with_shadow(model: Model | None = None) -> tuple[Pipeline, str]:
    """A pipeline after 40 ticks, its newcomer just put into shadow."""
    chosen = model or newcomer()
    loop = pipeline_of(FLEET)
    loop.load_model = lambda _fleet, _version: chosen
    feed(loop, readings(0, 40))
    loop.advance([installed(chosen, "shadow")])
    return loop, chosen.manifest.version


def rows(loop: Pipeline, stream: str) -> dict[str, np.ndarray]:
    """What the shadow's columns hold of one stream, scores apart."""
    part = loop.parts["tanks"]
    assert part.shadow is not None
    slot = part.table.slots[stream]
    return {name: column[slot].copy() for name, column in part.shadow.columns if name not in SCORES}


@pytest.mark.parametrize("look_back", [0, 6], ids=["stateful", "windowed"])
def test_a_warmed_shadow_is_to_the_bit_what_it_would_be_had_it_been_there(look_back: int) -> None:
    """State, statistics and the next forecast, at once and twenty steps later."""
    model = newcomer(look_back=look_back)
    loop, version = loop_with_shadow(model)
    loop.advance(warmed(version, elsewhere(model, readings(0, 40))))
    beside = pipeline_of(FLEET, models=[model])
    feed(beside, readings(0, 40))
    for upto in (40, 60):
        if upto == 60:
            feed(loop, readings(40, 60))
            feed(beside, readings(40, 60))
        there = beside.parts["tanks"].in_force
        assert there is not None
        for stream in STREAMS:
            slot = beside.parts["tanks"].table.slots[stream]
            for name, row in rows(loop, stream).items():
                np.testing.assert_array_equal(row, there.columns[name][slot], err_msg=name)


def test_the_past_does_not_count_for_promotion() -> None:
    """A model may have learned from the very readings that warm it: its scores begin at nothing."""
    loop, version = loop_with_shadow()
    loop.advance(warmed(version, elsewhere(newcomer(), readings(0, 40))))
    shadow = loop.parts["tanks"].shadow
    assert shadow is not None
    assert not any(shadow.columns[name].any() for name in SCORES)
    assert shadow.since_use[0] == 0.0


def test_a_stream_that_went_on_meanwhile_keeps_the_state_and_loses_the_stale_forecast() -> None:
    """A memory of tick 38 at tick 40: warm, but its forecast was of tick 39."""
    loop, version = loop_with_shadow()
    loop.advance(warmed(version, elsewhere(newcomer(), readings(0, 39))))
    row = rows(loop, "a")
    assert row["warm"] == 39
    assert np.isnan(row["next"]).all()
    feed(loop, readings(40, 41))
    assert np.isfinite(rows(loop, "a")["next"]).all()


def test_streams_that_have_seen_more_in_shadow_or_are_unknown_are_left_alone() -> None:
    """Twenty live steps are worth more than a memory of ten, and a stream that never spoke here gets no slot."""
    loop, version = loop_with_shadow()
    feed(loop, readings(40, 60, streams=("a",)))
    before = rows(loop, "a")
    strangers = [one._replace(stream="z") for one in readings(0, 10, streams=("c",))]
    loop.advance(warmed(version, elsewhere(newcomer(), readings(0, 10, streams=("a", "b")) + strangers)))
    for name, row in rows(loop, "a").items():
        np.testing.assert_array_equal(row, before[name], err_msg=name)
    assert rows(loop, "b")["warm"] == 10
    assert "z" not in loop.parts["tanks"].table.slots


def test_a_memory_of_another_shape_is_no_use() -> None:
    """Nothing changes where the chunk was made by other layers, or there is nobody in shadow any more."""
    loop, version = loop_with_shadow()
    loop.advance(warmed(version, elsewhere(newcomer(units=5), readings(0, 40))))
    assert rows(loop, "a")["warm"] == 0
    loop.advance([Order(events.ModelInstalled("shadow", ""), "tanks").stamped(T0)])
    loop.advance(warmed(version, elsewhere(newcomer(), readings(0, 40))))
    assert loop.parts["tanks"].shadow is None


def test_many_streams_go_in_several_chunks_whose_cut_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """One chunk or one a stream: the same shadow."""
    whole, version = loop_with_shadow()
    whole.advance(warmed(version, elsewhere(newcomer(), readings(0, 40))))
    monkeypatch.setattr(memories, "CHUNK_BYTES", 1)
    chunks = elsewhere(newcomer(), readings(0, 40))
    assert len(chunks) == len(STREAMS)
    cut, version = loop_with_shadow()
    cut.advance(warmed(version, chunks))
    for stream in STREAMS:
        for name, row in rows(whole, stream).items():
            np.testing.assert_array_equal(row, rows(cut, stream)[name], err_msg=name)


def test_a_copy_in_the_making_is_of_the_moment_before_the_memory_came() -> None:
    """A checkpoint that began before the chunk holds the cold shadow, though it is written after it."""
    loop, version = loop_with_shadow()
    header, slices = state.begin_snapshot(loop)
    loop.advance(warmed(version, elsewhere(newcomer(), readings(0, 40))))
    assert loop.snapshot is not None
    while loop.snapshot is not None:
        slices += list(state.take_slices(loop, 64))
    again = Pipeline(Loop(), loop.load_model)
    state.restore(again, header, slices)
    assert rows(again, "a")["warm"] == 0
    assert rows(loop, "a")["warm"] == 40
