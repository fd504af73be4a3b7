"""(stream, step) names a message for ever: parked and let go of, retired and back, over checkpoints and the bound."""

from __future__ import annotations

import pytest

from gaugecast import events
from gaugecast.pipeline import Pipeline, state
from gaugecast.pipeline.step_memory import StepMemory
from gaugecast.records import Order
from gaugecast.streams.snapshot import Slice
from gaugecast.testing import SECOND, T0, feed, fleet_of, outputs_of, pipeline_of, reading, timer

PARKING = fleet_of("p", park_after_ns=10 * SECOND)


def steps_of(pipeline: Pipeline, *at_s: float, stream: str = "a") -> list[int]:
    """Numbers of the messages that readings make."""
    outcomes = feed(pipeline, [reading(at, 1.0, stream=stream) for at in at_s])
    return [output.step for output in outputs_of(outcomes)]


def retire_and_return(pipeline: Pipeline, event: events.FleetRetired) -> None:
    """The fleet leaves the configuration and comes back."""
    pipeline.advance([Order(event, "tanks").stamped(T0), Order.configuring(PARKING).stamped(T0)])


def through_a_checkpoint(pipeline: Pipeline) -> Pipeline:
    """What a restart makes of it."""
    header, slices = state.begin_snapshot(pipeline)
    slices += [Slice(*one) for _ in range(9) for one in state.take_slices(pipeline, 1 << 30)]
    restored = pipeline_of()
    state.restore(restored, header, slices)
    return restored


@pytest.mark.parametrize("restarted", [False, True])
def test_a_stream_whose_parked_state_is_gone_goes_on_counting(restarted: bool) -> None:
    """It stayed away for longer than its state is kept; its state is new, its numbers go on."""
    pipeline = pipeline_of(PARKING)
    assert steps_of(pipeline, 0, 1, 2) == [1, 2, 3]
    assert len(pipeline.advance([timer(20)]).parked) == 1
    pipeline = through_a_checkpoint(pipeline) if restarted else pipeline
    assert steps_of(pipeline, 100, 101) == [4, 5]


@pytest.mark.parametrize("restarted", [False, True])
def test_a_fleet_that_comes_back_goes_on_counting(restarted: bool) -> None:
    """Its streams' states are forgotten, their numbers are not; a stream that never spoke begins at 1."""
    pipeline = pipeline_of(PARKING)
    steps_of(pipeline, 0, 1)
    retire_and_return(pipeline, events.FleetRetired(steps_kept=True))
    pipeline = through_a_checkpoint(pipeline) if restarted else pipeline
    assert steps_of(pipeline, 2) == [3]
    assert steps_of(pipeline, 2, stream="new") == [1]


def test_a_fleet_that_the_first_version_retired_begins_anew() -> None:
    """What an old event does not name means what it meant then: a replay of old ledgers gives their bytes."""
    pipeline = pipeline_of(PARKING)
    steps_of(pipeline, 0, 1)
    retire_and_return(pipeline, events.FleetRetired())
    assert steps_of(pipeline, 2) == [1]


def test_a_parked_state_that_is_older_than_the_memory_does_not_turn_numbers_back() -> None:
    """A stream that had to begin anew beside its parked state, since there was no room to bring it back."""
    pipeline = pipeline_of(PARKING)
    steps_of(pipeline, 0, 1)
    (parked,) = pipeline.advance([timer(20)]).parked
    assert steps_of(pipeline, 30) == [3]
    retire_and_return(pipeline, events.FleetRetired(steps_kept=True))
    back = Order(events.StreamUnparked(), "tanks", "a", parked.state).stamped(T0 + 40 * SECOND)
    pipeline.advance([back])
    assert steps_of(pipeline, 40) == [4]


def test_a_checkpoint_of_the_first_version_is_understood() -> None:
    """It says nothing of absent streams."""
    pipeline = pipeline_of(PARKING)
    header, slices = state.begin_snapshot(pipeline)
    del header["steps"], header["clock_ahead_ns"]
    restored = pipeline_of()
    state.restore(restored, header, slices)
    assert steps_of(restored, 0) == [1]


def test_beyond_its_bound_numbers_leave_gaps_and_never_meet() -> None:
    """Who left first is remembered by a floor only; the parked state still knows its own number."""
    memory = StepMemory(most=2)
    for stream, step in (("a", 5), ("b", 9), ("c", 2), ("d", 3)):
        memory.leave("f", stream, step)
    assert memory.come_back("f", "d") == 3
    assert memory.come_back("f", "a") == 9
    assert memory.come_back("f", "a", parked=5) == 5
    assert memory.come_back("f", "new") == 9
    assert memory.come_back("g", "new") == 0
    memory.leave("f", "a", 9)
    assert memory.come_back("f", "a") == 9


def test_its_text_is_that_of_now() -> None:
    """A checkpoint is made of it after any change; what is empty leaves nothing behind."""
    memory = StepMemory()
    assert memory.to_text() == "{}"
    memory.leave("f", "a", 5)
    copy = StepMemory()
    copy.restore(memory.to_text())
    assert copy == memory
    assert copy.come_back("f", "a") == 5
    assert copy.to_text() == "{}"
    assert copy != memory
