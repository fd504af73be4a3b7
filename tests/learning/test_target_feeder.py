"""Which value becomes the target of which step: through gaps, resets and partial steps."""

from __future__ import annotations

import numpy as np
import pytest

from gaugecast import events
from gaugecast.learn.online.target_feeder import TargetFeeder
from gaugecast.pipeline import Pipeline
from gaugecast.records import Float32, Input
from learning.worlds import FLEET, NAN, event, pipeline_with, reading, small_model, timer


class Notebook:
    """Stands where the learner does, and writes down what it is shown."""

    def __init__(self) -> None:
        self.pages: dict[str, list[tuple[Float32, Float32, Float32 | None, bool]]] = {}
        self.forgotten: list[str] = []

    def observe(self, x: Float32, state_before: Float32, target: Float32 | None, *, stream: str, fresh: bool) -> None:
        self.pages.setdefault(stream, []).append((x, state_before, target, fresh))

    def forget(self, stream: str) -> None:
        self.forgotten.append(stream)


class Classroom:
    """A pipeline whose traces go to a feeder."""

    def __init__(self, streams: set[str] | None = None) -> None:
        model = small_model()
        self.pipeline: Pipeline = pipeline_with({model.manifest.version: model}, trace=True)
        self.pipeline.advance([event(events.ModelInstalled("in_force", model.manifest.version))])
        self.notes = Notebook()
        self.feeder = TargetFeeder(FLEET, model, self.notes, streams=streams)  # type: ignore[arg-type]

    def take(self, *inputs: Input) -> None:
        for one in inputs:
            for _, trace in self.pipeline.advance([one]).traces:
                self.feeder.take(trace, self.pipeline.parts["tanks"].table)

    def targets(self, stream: str = "a") -> list[Float32 | None]:
        return [None if target is None else target.ravel() for _, _, target, _ in self.notes.pages.get(stream, [])]

    def fresh(self, stream: str = "a") -> list[bool]:
        return [fresh for *_, fresh in self.notes.pages.get(stream, [])]


def walk(ticks: range, stream: str = "a") -> list[Input]:
    """Pressure climbs by 1, temperature falls by 2, and now and then not."""
    return [reading(t, (t + 0.5 * (t % 3), -2.0 * t - (t % 2)), stream=stream) for t in ticks]


def test_a_step_is_shown_once_the_next_has_come_with_its_move_as_target() -> None:
    """Target = (next − this) / scale: its sign and ratio are those of the moves."""
    room = Classroom()
    room.take(*walk(range(10)))
    assert len(room.targets()) == 9
    scale = room.feeder._last["a"][0].scale[0]
    last = room.targets()[-1]
    moves = np.array([9.0 - (8 + 1.0), (-18.0 - 1) - (-16.0)])
    # the scale moves by a hair from the step before the last to the last one
    assert last == pytest.approx(moves / scale, rel=0.3, abs=1e-6)


def test_the_first_step_of_a_stream_begins_a_run_and_the_others_go_on() -> None:
    """So that no window spans the beginning."""
    room = Classroom()
    room.take(*walk(range(6)))
    assert room.fresh() == [True, False, False, False, False]


def test_a_step_before_a_gap_has_no_target_and_the_one_after_begins_a_run() -> None:
    """A bridged gap: what came after two ticks is not the target of one step ahead."""
    room = Classroom()
    room.take(*walk(range(5)), *walk(range(7, 10)))
    assert [target is None for target in room.targets()] == [False] * 4 + [True, False, False]
    assert room.fresh() == [True, False, False, False, False, True, False]


def test_a_step_before_a_reset_has_no_target_and_the_one_after_begins_a_run() -> None:
    """A gap too long to be bridged, and a reset that was ordered."""
    room = Classroom()
    room.take(*walk(range(5)), *walk(range(50, 53)), event(events.StreamsReset()), *walk(range(53, 56)))
    missing = [i for i, target in enumerate(room.targets()) if target is None]
    assert missing == [4, 7]
    assert [i for i, fresh in enumerate(room.fresh()) if fresh] == [0, 5, 8]


def test_a_feature_that_was_absent_has_no_target_and_its_neighbour_has() -> None:
    """A partial step, closed by the timer."""
    room = Classroom()
    room.take(*walk(range(5)), reading(5, (5.0, NAN)), timer(6.9), *walk(range(6, 8)))
    unknown = [np.isnan(target).tolist() for target in room.targets() if target is not None]
    assert unknown[4] == [False, True], "expected step 4's target to know the pressure of tick 5 only"
    assert not any(map(any, unknown[1:4])), "expected only the very first step, which has no scale yet, to know nothing"


def test_the_state_that_is_shown_is_the_one_before_the_step() -> None:
    """The pipeline's own: zero at the first step, then what the step before left."""
    room = Classroom()
    seen = []
    for one in walk(range(4)):
        room.take(one)
        part = room.pipeline.parts["tanks"]
        assert part.in_force is not None
        seen.append(part.in_force.columns["state"][0].copy())
    shown = [state for _, state, _, _ in room.notes.pages["a"]]
    assert not shown[0].any()
    assert np.array_equal(shown[1], seen[0])
    assert np.array_equal(shown[2], seen[1])


def test_only_sampled_streams_are_shown_and_what_is_forgotten_begins_anew() -> None:
    """The set belongs to the fleet's learner and changes under the feeder."""
    streams = {"a"}
    room = Classroom(streams)
    both = [one for t in range(4) for s in "ab" for one in walk(range(t, t + 1), s)]
    room.take(*both)
    assert set(room.notes.pages) == {"a"}
    room.feeder.forget("a")
    streams.clear()
    streams.add("b")
    room.take(*walk(range(4, 7), "b"))
    assert room.notes.forgotten == ["a"]
    assert room.fresh("b") == [True, False]


def test_after_a_jump_no_step_is_paired_with_one_from_before() -> None:
    """`lose_place`: the old last step never gets a target, though its tick is the one before."""
    room = Classroom()
    room.take(*walk(range(4)))
    room.feeder.lose_place()
    room.take(*walk(range(4, 7)))
    assert len(room.targets()) == 5
    assert room.fresh() == [True, False, False, True, False]


def test_losses_are_those_of_forecasts_made_before_their_targets_came() -> None:
    """In units of the scale: about that of persistence for a model that hardly moves."""
    room = Classroom()
    room.take(*walk(range(60)))
    losses = room.feeder.take_losses()
    assert 0.2 < np.mean(losses[-30:]) < 3
    assert room.feeder.take_losses() == []
