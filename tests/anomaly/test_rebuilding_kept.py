"""What is remembered for an autoencoder, who puts it in force, and for how long it stays."""

from __future__ import annotations

from dataclasses import replace

import pytest

from anomaly.rebuilding import (
    BREAKS,
    FLEET,
    WINDOW,
    at_work,
    autoencoder_for,
    checkpointed,
    keys,
    looks,
    promoted,
    saw,
    taken_away,
    told,
    watching,
    with_stride,
)
from gaugecast import events
from gaugecast.fleet import Fleet
from gaugecast.pipeline import state
from gaugecast.pipeline.looking import roles_of, version_of
from gaugecast.pipeline.rebuilding import REBUILT
from gaugecast.records import Order
from gaugecast.streams.snapshot import Slice
from gaugecast.testing import T0, feed, outputs_of, pipeline_of, reading, timer
from gaugecast.watching import AnomalySettings
from support.state_bytes import differences


@pytest.mark.parametrize("stops", [3, BREAKS + 12])
def test_a_checkpoint_leads_to_the_same_scores_and_events(stops: int) -> None:
    """Taken while the window fills, and while an event is open."""
    pipeline = watching(FLEET, with_stride(autoencoder_for(), 2))
    feed(pipeline, saw(stops))
    restored = checkpointed(pipeline, pipeline)
    rest = saw(begin=stops)
    assert keys(outputs_of(feed(restored, rest))) == keys(outputs_of(feed(pipeline, rest)))
    assert version_of(restored.parts["tanks"]) == version_of(pipeline.parts["tanks"]) != ""
    assert differences(restored, pipeline) == []


def test_a_window_that_no_checkpoint_keeps_is_noticed() -> None:
    """Mutant: without its columns what is said after a restart is another thing."""
    pipeline = watching(FLEET, autoencoder_for())
    feed(pipeline, saw(BREAKS + 12))
    restored = checkpointed(pipeline, pipeline, lost=REBUILT)
    rest = saw(begin=BREAKS + 12)
    assert keys(outputs_of(feed(restored, rest))) != keys(outputs_of(feed(pipeline, rest)))


def test_a_replay_puts_it_in_force_and_takes_it_away_at_the_same_places() -> None:
    """Events are inputs: in batches that are cut otherwise the same is said."""
    inputs = [*saw(60), taken_away(), *saw(70, begin=60), promoted(autoencoder_for()), *saw(begin=70)]
    one, other = watching(), watching()
    assert keys(outputs_of(feed(one, inputs, 1))) == keys(outputs_of(feed(other, inputs, 50)))
    assert differences(one, other) == []


def test_a_checkpoint_of_before_goes_on_without_it() -> None:
    """It names none, and has no window; what was put in force later is there from its event on."""
    before, model = watching(in_force=False), autoencoder_for()
    feed(before, saw(20))
    restored = checkpointed(before, before)
    assert version_of(restored.parts["tanks"]) == ""
    feed(restored, [promoted(model), *saw(begin=20)])
    assert version_of(restored.parts["tanks"]) == model.manifest.version


def parked_after(seconds: int, fleet: Fleet = FLEET) -> Fleet:
    """The same, with streams that are parked."""
    return replace(fleet, park_after_ns=seconds * 1_000_000_000)


@pytest.mark.parametrize("meanwhile", ["nothing", "away", "another"])
def test_a_parked_stream_comes_back_whoever_looks_by_then(meanwhile: str) -> None:
    """The same autoencoder has its window again, which a gap ends; another begins with an empty one."""
    fleet, other = parked_after(60), autoencoder_for(seed=5)
    pipeline = watching(fleet, autoencoder_for(), other)
    feed(pipeline, saw(30))
    (aside,) = pipeline.advance([timer(400)]).parked
    pipeline.advance({"nothing": [], "away": [taken_away()], "another": [promoted(other)]}[meanwhile])
    pipeline.advance([Order(events.StreamUnparked(), "tanks", "a", state=aside.state).stamped(T0)])
    rebuilding, slot = looks(pipeline).rebuilding, pipeline.parts["tanks"].table.slots["a"]
    filled = None if rebuilding is None else int(rebuilding.columns["filled"][slot])
    assert filled == {"nothing": WINDOW, "away": None, "another": 0}[meanwhile]
    assert len(outputs_of(feed(pipeline, [reading(500 + i, 10.0, 50.0) for i in range(10)]))) == 10


def test_a_renamed_stream_goes_on_with_its_window() -> None:
    """With all else that is remembered of it."""
    pipeline = watching()
    feed(pipeline, [*saw(30), Order(events.StreamRenamed("z"), "tanks", "a").stamped(T0)])
    feed(pipeline, [reading(30, 10.0, 50.0, stream="z")])
    slot = pipeline.parts["tanks"].table.slots["z"]
    assert int(at_work(pipeline).columns["filled"][slot]) == WINDOW


def test_an_open_event_ends_after_it_was_taken_away() -> None:
    """Nobody finds anything strange any more; how things were is no matter."""
    pipeline = watching()
    opened = outputs_of(feed(pipeline, saw(BREAKS + 20)))
    assert told(opened)[0]["event"] == "begin"
    later = outputs_of(feed(pipeline, [taken_away(), *saw(begin=BREAKS + 20)]))
    assert told(later)[-1]["event"] == "end"
    assert looks(pipeline).detectors == looks(watching(in_force=False)).detectors


def test_what_is_asked_between_two_steps_knows_of_a_change() -> None:
    """The reason of the last step, where another number of detectors looked at it."""
    pipeline = watching(in_force=False)
    feed(pipeline, [*saw(BREAKS + 10), promoted(autoencoder_for())])
    part = pipeline.parts["tanks"]
    assert looks(pipeline).reason(part.table.slots["a"], part.table) == ""


def test_it_stays_with_the_fleet_and_leaves_with_its_table() -> None:
    """A fleet that is configured otherwise goes on with it; one that looks for no anomalies has none, nor later."""
    pipeline = watching()
    feed(pipeline, saw(20))
    for fleet, stays in (
        (replace(FLEET, anomaly=AnomalySettings(settle=0, hold=9)), True),
        (replace(FLEET, anomaly=None), False),
        (FLEET, False),
    ):
        pipeline.advance([Order.configuring(fleet).stamped(T0)])
        assert bool(version_of(pipeline.parts["tanks"])) is stays
    pipeline.advance([Order.configuring(replace(FLEET, anomaly=None)).stamped(T0), promoted(autoencoder_for())])
    assert version_of(pipeline.parts["tanks"]) == ""


def test_weights_that_are_lost_leave_their_role_empty() -> None:
    """The others look on."""
    pipeline = watching()
    feed(pipeline, saw(20))
    header, slices = state.begin_snapshot(pipeline)
    while pipeline.snapshot is not None:
        slices += list(state.take_slices(pipeline, 3000))
    restored = pipeline_of(max_streams=500)
    restored.load_model = lambda _fleet, _version: None
    state.restore(restored, header, [Slice(name, start, rows.copy()) for name, start, rows in slices])
    assert version_of(restored.parts["tanks"]) == ""
    assert restored.parts["tanks"].anomalies is not None
    assert roles_of(restored.parts["tanks"]) == ["in_force", "shadow", "detector"]  # of which the loss is told
