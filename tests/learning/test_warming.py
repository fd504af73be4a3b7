"""A stored model goes over the ledger's past before it goes on trial, and the loop takes what it remembers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gaugecast import events
from gaugecast.config.schema import Loop, Storage
from gaugecast.errors import ModelError
from gaugecast.fleet import Feature
from gaugecast.ledger.store import Ledger
from gaugecast.pipeline import Pipeline, memories
from gaugecast.pipeline.solo import begins_after
from gaugecast.records import Commit, Input, Order
from gaugecast.service.warming import warm
from gaugecast.storage.models import ModelStore
from learning.worlds import FLEET, configured, event, reading, small_model, timer

OTHER = replace(FLEET, features=(*FLEET.features, Feature("level")))


def write(directory: Path, *inputs: Input) -> None:
    """A ledger that holds these inputs and was closed."""
    ledger = Ledger.open(directory, Storage(directory=directory), segment_rows=10)
    ledger.commit(Commit(inputs, [0] * len(inputs), []))
    ledger.close()


def past(ticks: range, streams: str = "ab") -> list[Input]:
    """Readings, and a timer a tick."""
    made: list[Input] = []
    for tick in ticks:
        made += [reading(tick, [float(tick % 7), tick * 0.5], stream=stream) for stream in streams]
        made.append(timer(tick + 0.9))
    return made


def loop_at_the_end(inputs: list[Input]) -> Pipeline:
    """The loop's pipeline after the inputs, a newcomer just put on trial."""
    loop = Pipeline(Loop(), lambda _fleet, _version: small_model())
    loop.advance(inputs)
    loop.advance([event(events.ModelInstalled("shadow", small_model().manifest.version))])
    return loop


def shadow_rows(loop: Pipeline) -> dict[str, dict[str, bytes]]:
    """By stream and column, what the model on trial remembers."""
    part = loop.parts["tanks"]
    assert part.shadow is not None
    columns = [(name, column) for name, column in part.shadow.columns if name in ("state", "stats", "next", "warm")]
    return {name: {c: column[slot].tobytes() for c, column in columns} for name, slot in part.table.slots.items()}


def test_what_it_remembers_of_the_ledger_is_what_it_would_know_had_it_been_on_trial_all_along(tmp_path: Path) -> None:
    """To the bit, for every stream."""
    inputs = [configured(), *past(range(30))]
    write(tmp_path, *inputs)
    cold, always = loop_at_the_end(inputs), loop_at_the_end(inputs[:1])
    always.advance(inputs[1:])
    for chunk in warm(tmp_path, Loop(), FLEET, small_model(), most=10_000):
        told = events.ShadowWarmed(small_model().manifest.version)
        cold.advance([Order(told, "tanks", state=chunk).stamped(0)])
    assert shadow_rows(cold) == shadow_rows(always)


def test_it_goes_back_no_further_than_asked(tmp_path: Path) -> None:
    """The newest twelve inputs are four ticks: four timers and eight readings."""
    write(tmp_path, configured(), *past(range(30)))
    chunks = warm(tmp_path, Loop(), FLEET, small_model(), most=12)
    loop = loop_at_the_end([configured(), *past(range(30))])
    loop.advance([Order(events.ShadowWarmed("x"), "tanks", state=chunks[0]).stamped(0)])
    part = loop.parts["tanks"]
    assert part.shadow is not None
    assert part.shadow.columns["warm"][part.table.slots["a"]] == 4


def test_more_streams_may_come_at_once_than_new_ones_are_let_in(tmp_path: Path) -> None:
    """The bound on new streams a second was kept when they came; here they all come at once."""
    streams = [f"s{i}" for i in range(40)]
    write(tmp_path, configured(), *(reading(tick, [1.0, tick], stream=s) for tick in range(3) for s in streams))
    chunks = warm(tmp_path, Loop(new_streams_per_s=1), FLEET, small_model(), most=1000)
    kept = [memories.decode(chunk) for chunk in chunks]
    assert sorted(r.stream for memory in kept for r in memory.streams) == sorted(streams)


def test_readings_under_another_configuration_are_left_out(tmp_path: Path) -> None:
    """They may have had other features; a change of topics alone does not count."""
    topics = replace(FLEET, subscribe=("other/{tank}",))
    told = [(1, configured(OTHER)), (5, configured(FLEET)), (9, configured(topics))]
    kept = [(seq, "tanks", one.event) for seq, one in told if one.event is not None]
    bounds = {"first_seq": 1, "upto_seq": 20}
    assert begins_after(kept, {"tanks": topics}, most=100, **bounds) == 5
    assert begins_after(kept, {"tanks": topics}, most=12, **bounds) == 8
    assert begins_after([], {"tanks": topics}, most=100, **bounds) == 0


def test_a_memory_is_taken_once_whole_or_damaged(tmp_path: Path) -> None:
    """A damaged one is refused, and gone: who asks again is not refused for ever."""
    loop = loop_at_the_end([configured(), *past(range(5))])
    loop.advance(past(range(5, 9)))
    chunks = list(memories.memories_of(loop.parts["tanks"], "shadow"))
    store = ModelStore(tmp_path)
    version = store.add("tanks", small_model())
    store.leave_memory("tanks", version, chunks)
    assert store.take_memory("tanks", version) == chunks
    assert store.take_memory("tanks", version) == []
    store.leave_memory("tanks", version, [chunks[0][:-3]])
    with pytest.raises(ModelError, match="memory"):
        store.take_memory("tanks", version)
    assert store.take_memory("tanks", version) == []
