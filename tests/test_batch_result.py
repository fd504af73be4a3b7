"""What a fleet counts: lateness in nanoseconds, and totals that outlive the fleet's leaving and coming back."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest

from gaugecast import events
from gaugecast.align.gates import MOST_LATE_NS
from gaugecast.errors import StorageError
from gaugecast.fleet import Fleet
from gaugecast.pipeline import Pipeline, state
from gaugecast.pipeline.batch_result import Totals
from gaugecast.records import FIRST_NS, Input, Order
from gaugecast.testing import SECOND, T0, feed, fleet_of, pipeline_of, reading

NAN = float("nan")
JOINED = fleet_of("pq", feature_capture="feature", grace_ns=2 * SECOND)
RETIRED = Order(events.FleetRetired(), "tanks").stamped(T0)


def totals_of(fleet: Fleet, *inputs: Input) -> Totals:
    """What the fleet has counted after these."""
    pipeline = pipeline_of(fleet)
    feed(pipeline, inputs)
    return pipeline.parts["tanks"].totals


def test_a_late_reading_counts_how_far_it_lies_behind_the_newest_step() -> None:
    """2.25 s and 4 s behind the reading at 5 s, by event time; when they arrive has no say."""
    late = (reading(2.75, 1.0, received_s=90), reading(1, 1.0, received_s=91))
    counted = totals_of(fleet_of("p"), *(reading(t, 20.0) for t in range(6)), *late)
    assert (counted.late, counted.late_ns) == (2, 6_250_000_000)


def test_the_newest_may_stand_in_an_open_tick_and_be_of_another_feature() -> None:
    """The open tick at 7 s has only `p`; a `q` of 4 s is 3 s late."""
    counted = totals_of(JOINED, reading(5, 20.0, 5.0), reading(7, 21.0, NAN), reading(4, NAN, 5.0))
    assert (counted.late, counted.held, counted.late_ns) == (1, 1, 3 * SECOND)


def test_with_aggregates_the_newest_reading_counts_and_not_its_tick() -> None:
    """The tick of 5.4 s is that of 5 s, yet a reading of 2.4 s is 3 s late."""
    fleet = fleet_of("p", aggregates=("mean",))
    counted = totals_of(fleet, reading(0, 1.0), reading(5.4, 1.0), reading(2.4, 1.0))
    assert (counted.late, counted.late_ns) == (1, 3 * SECOND)


def test_what_came_twice_and_what_has_no_event_time_add_nothing() -> None:
    """`p` of 5 s comes twice while `q` stands at 6 s; numbers as large as instants say nothing of time."""
    pipeline = pipeline_of(JOINED)
    for stream in "ab":
        feed(pipeline, [reading(5, 20.0, NAN, stream=stream), reading(6, NAN, 5.0, stream=stream)])
    pipeline.advance([reading(5, 20.0, NAN, stream="a"), reading(4, 1.0, NAN, stream="b")])
    counted = pipeline.totals()["tanks"]
    assert (counted.duplicate, counted.late, counted.late_ns) == (1, 1, 2 * SECOND)
    numbered = fleet_of("p", time_path=None, sequence_path=("n",))
    counted = totals_of(numbered, reading(5, 20.0, key=2 * T0), reading(6, 20.0, key=2 * T0 - 9))
    assert (counted.late, counted.late_ns) == (1, 0)


def test_a_reading_of_another_century_counts_as_a_year() -> None:
    """One absurd stamp must not drown the mean; and a thousand of them in one batch are summed without overflow."""
    fleet = fleet_of("p")
    streams = [f"s{i}" for i in range(1000)]
    pipeline = pipeline_of(fleet)
    pipeline.advance([reading(0, 20.0, stream=stream) for stream in streams])
    absurd = (FIRST_NS - T0) / 1e9
    pipeline.advance([reading(absurd, 20.0, stream=stream, received_s=1.0) for stream in streams])
    counted = pipeline.parts["tanks"].totals
    assert (counted.late, counted.late_ns) == (1000, 1000 * MOST_LATE_NS)
    header, slices = state.begin_snapshot(pipeline)
    again = pipeline_of(max_streams=2000)
    state.restore(again, json.loads(json.dumps(header)), [*slices, *state.take_slices(pipeline, 1 << 30)])
    assert again.parts["tanks"].totals == counted


def test_how_late_does_not_depend_on_the_cut() -> None:
    """The newest is that at the reading's turn, also where both come in one batch."""
    course = [reading(t, 20.0) for t in (0, 1, 5, 2, 6, 3)]
    whole, single = pipeline_of(fleet_of("p")), pipeline_of(fleet_of("p"))
    whole.advance(course)
    feed(single, course)
    assert whole.totals() == single.totals()
    assert whole.totals()["tanks"].late_ns == 6 * SECOND


def test_a_checkpoint_that_counted_less_is_restored() -> None:
    """Of before lateness was counted: it begins at 0, all else goes on. More than is known is refused."""
    pipeline = pipeline_of(fleet_of("p"))
    feed(pipeline, [reading(t, 20.0) for t in (0, 1, 5, 2)])
    header, slices = state.begin_snapshot(pipeline)
    slices += list(state.take_slices(pipeline, 1 << 30))
    names = [f.name for f in fields(Totals)]
    known = names.index("late_ns")
    told = header["fleets"]["tanks"]["totals"]  # type: ignore[index]
    del told[known:]
    restored = pipeline_of()
    state.restore(restored, header, slices)
    counted = restored.parts["tanks"].totals
    assert (counted.stepped, counted.late, counted.late_ns) == (3, 1, 0)
    told += [0] * (len(names) - known) + [1]
    with pytest.raises(StorageError, match="totals"):
        state.restore(pipeline_of(), header, slices)


def test_what_a_fleet_held_is_settled_when_it_is_retired() -> None:
    """Its open tick is closed: nothing is held any longer, and nothing is lost."""
    pipeline = pipeline_of(JOINED)
    feed(pipeline, [reading(0, 20.0, 5.0), reading(1, 21.0, NAN)])
    assert pipeline.totals()["tanks"].held == 1
    pipeline.advance([RETIRED])
    assert pipeline.parts == {}
    left = pipeline.totals()["tanks"]
    assert (left.stepped, left.held, left.forecasts) == (2, 0, 2)
    assert left == pipeline.retired["tanks"]


def test_totals_go_on_where_a_fleet_leaves_and_comes_back() -> None:
    """Twice, with streams late, twice, held: seen from outside no count ever goes down, but what is held."""
    pipeline = pipeline_of(JOINED)
    course = [reading(0, 20.0, 5.0), reading(5, 20.0, NAN), reading(2, 1.0, 1.0), reading(5, 20.0, NAN)]
    before = pipeline.totals()["tanks"].as_list()
    held = [f.name for f in fields(Totals)].index("held")
    for inputs in (course, [RETIRED], [Order.configuring(JOINED).stamped(T0)], course, [RETIRED]):
        for one in inputs:
            pipeline.advance([one])
            now = pipeline.totals()["tanks"].as_list()
            assert [n for i, n in enumerate(now) if n < before[i] and i != held] == []
            before = now
    assert pipeline.totals()["tanks"].stepped == 2 * 2
    assert pipeline.totals()["tanks"].late_ns == 2 * 3 * SECOND


def test_totals_are_copies() -> None:
    """Whoever is told them may keep them: they stand still while the pipeline goes on."""
    pipeline = pipeline_of(fleet_of("p"))
    told = pipeline.totals()
    feed(pipeline, [reading(0, 20.0)])
    assert told["tanks"].stepped == 0
    pipeline.advance([RETIRED])
    pipeline.totals()["tanks"].stepped = 99
    assert pipeline.totals()["tanks"].stepped == 1


def test_a_fleet_that_is_retired_and_was_never_there_counts_nothing() -> None:
    """It left the configuration while the event was under way."""
    pipeline: Pipeline = pipeline_of()
    pipeline.advance([RETIRED])
    assert pipeline.totals() == {}
