"""From event times to ticks: which reading counts, to which tick it belongs, and clocks that are wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaugecast.align.ticks import follow_phase, phase_at, tick_of, ticks_along
from gaugecast.records import Verdict
from gaugecast.testing import feed, fleet_of, messages_of, outputs_of, pipeline_of, reading, verdicts_of

STEPPED, HELD, LATE, DUPLICATE = (int(v) for v in (Verdict.STEPPED, Verdict.HELD, Verdict.LATE, Verdict.DUPLICATE))
NAN = float("nan")
_instants = st.integers(-(2**61), 2**61)


@given(at=_instants, phase=st.integers(-(2**40), 2**40), period=st.integers(1, 10**15))
def test_a_tick_is_the_nearest_multiple_of_the_period(at: int, phase: int, period: int) -> None:
    """For any instant: its distance from its tick is at most half a period."""
    tick = int(tick_of(np.array([at]), np.array([phase]), period)[0])
    assert abs(2 * (at - phase - tick * period)) <= period
    assert int(phase_at(np.array([at]), np.array([tick]), period)[0]) == at - tick * period


@given(at=_instants, period=st.integers(8, 10**15))
def test_a_phase_moves_towards_its_reading_and_never_past_it(at: int, period: int) -> None:
    """One eighth of the way, and not at all where nothing is to be learned."""
    tick = tick_of(np.array([at]), np.array([0]), period)
    moved = follow_phase(np.array([at]), tick, np.array([0]), period, np.array([True]))
    distance = at - int(tick[0]) * period
    assert min(0, distance) <= int(moved[0]) <= max(0, distance)
    assert follow_phase(np.array([at]), tick, np.array([0]), period, np.array([False])).tolist() == [0]


@given(
    moves=st.lists(st.integers(-40, 90), max_size=60), period=st.integers(8, 50), phase=st.integers(-99, 99),
    cut=st.integers(0, 60),
)  # fmt: skip
def test_ticks_along_a_stream_are_those_of_its_readings_one_by_one(
    moves: list[int], period: int, phase: int, cut: int
) -> None:
    """However the readings are cut: the same ticks and the same phase as reading by reading."""
    at = phase + np.cumsum(np.array([0, *moves]))
    expected, here, newest = [], phase, -(2**60)
    for one in at.tolist():
        tick = tick_of(np.array([one]), np.array([here]), period)
        learn = np.array([one - newest > period // 2])
        here = int(follow_phase(np.array([one]), tick, np.array([here]), period, learn)[0])
        newest = max(newest, one)
        expected.append(int(tick[0]))
    first, middle = ticks_along(at[:cut], phase, -(2**60), period) if cut else (at[:0], phase)
    before = int(at[:cut].max()) if cut else -(2**60)
    rest, end = ticks_along(at[cut:], middle, before, period)
    assert [*first.tolist(), *rest.tolist()] == expected
    assert end == here or not len(at[cut:])


@pytest.mark.no_cover
@pytest.mark.parametrize(("ratio", "jitter"), [(60.02 / 60, 0.15), (59.98 / 60, 0.15)])
def test_a_sensor_that_runs_slow_or_fast_neither_doubles_nor_skips(ratio: float, jitter: float) -> None:
    """60.02 s on a period of 60 s, 5,000 readings: every one a step of its own, no gap, nothing late."""
    rng = np.random.default_rng(3)
    pipeline = pipeline_of(fleet_of("p"))
    inputs = [reading(i * ratio + 0.37 + float(rng.uniform(-jitter, jitter)), i) for i in range(5000)]
    outcomes = feed(pipeline, inputs, 1000)
    assert set(verdicts_of(outcomes)) == {STEPPED}
    totals = pipeline.parts["tanks"].totals
    assert (totals.forecasts, totals.gaps, totals.late) == (5000, 0, 0)


def test_a_real_gap_is_seen_for_what_it_is() -> None:
    """The phase follows the sensor, yet three absent readings are three absent ticks."""
    pipeline = pipeline_of(fleet_of("p", bridge=5))
    feed(pipeline, [reading(i * 1.0003, 1.0) for i in range(2000)])
    feed(pipeline, [reading(2003 * 1.0003, 1.0)])
    totals = pipeline.parts["tanks"].totals
    assert (totals.gaps, totals.bridged_steps) == (1, 3)


def test_late_and_duplicate_readings_are_refused_and_told_apart() -> None:
    """An older time is late, the very same time a duplicate; neither makes a forecast."""
    pipeline = pipeline_of(fleet_of("p"))
    outcomes = feed(pipeline, [reading(t, 1.0) for t in (0, 1, 2, 1.5, 2, 0.2, 3)])
    assert verdicts_of(outcomes) == [STEPPED, STEPPED, STEPPED, LATE, DUPLICATE, LATE, STEPPED]
    assert len(outputs_of(outcomes)) == 4


def test_a_second_reading_of_a_closed_tick_is_late() -> None:
    """A sensor that is twice too fast gives one step a period."""
    pipeline = pipeline_of(fleet_of("p"))
    outcomes = feed(pipeline, [reading(i / 2, 1.0) for i in range(200)])
    totals = pipeline.parts["tanks"].totals
    assert 90 <= totals.forecasts <= 110
    assert totals.gaps == 0
    assert set(verdicts_of(outcomes)) == {STEPPED, LATE}


def test_a_feature_counts_once_however_it_comes() -> None:
    """Of a reading that repeats one feature and brings another, the new one is taken."""
    pipeline = pipeline_of(fleet_of("pq", feature_capture="feature"))
    outcomes = feed(pipeline, [reading(0, 1.0, NAN), reading(0, 9.0, 2.0), reading(0, 1.0, 2.0)])
    assert verdicts_of(outcomes) == [HELD, STEPPED, DUPLICATE]
    assert messages_of(outcomes)[0]["observed"] == {"p": 1.0, "q": 2.0}


def test_a_clock_that_was_set_back_is_believed_after_twenty_readings() -> None:
    """Late in order and in real time: the stream re-anchors, begins anew, and goes on in the new time."""
    pipeline = pipeline_of(fleet_of("p"))
    feed(pipeline, [reading(1000 + i, 1.0) for i in range(10)])
    back = [reading(i, 1.0, received_s=1010 + i) for i in range(30)]
    assert verdicts_of(feed(pipeline, back)) == [LATE] * 19 + [STEPPED] * 11
    totals = pipeline.parts["tanks"].totals
    assert (totals.reanchored, totals.resets, totals.gaps) == (1, 1, 1)


def test_a_joined_stream_whose_clock_was_set_back_gets_all_its_features_back() -> None:
    """Both features carry the same times; twenty ticks, not twenty messages, and then none of them waits."""
    pipeline = pipeline_of(fleet_of("pq", feature_capture="feature"))
    both = [(1.0, NAN), (NAN, 2.0)]
    feed(pipeline, [reading(1000 + i, *values) for i in range(5) for values in both])
    back = [reading(i, *values, received_s=1010 + i) for i in range(30) for values in both]
    verdicts = verdicts_of(feed(pipeline, back))
    assert set(verdicts[:38]) == {LATE}
    assert verdicts[38:] == [HELD, STEPPED] * 11
    assert pipeline.parts["tanks"].totals.reanchored == 1


@pytest.mark.parametrize("dup", [True, False])
def test_redelivery_and_old_buffers_never_re_anchor_a_stream(dup: bool) -> None:
    """Hundreds of old readings: with DUP at any pace, without it in a burst. They are late, and nothing else."""
    pipeline = pipeline_of(fleet_of("p"))
    feed(pipeline, [reading(1000 + i, 1.0) for i in range(10)])
    pace = 1.0 if dup else 0.01
    old = [reading(i, 1.0, received_s=1010 + pace * i, dup=dup) for i in range(400)]
    assert set(verdicts_of(feed(pipeline, old, 50))) == {LATE}
    assert pipeline.parts["tanks"].totals.reanchored == 0
    assert verdicts_of(feed(pipeline, [reading(1010, 1.0, received_s=1500)])) == [STEPPED]


def test_late_readings_that_are_not_in_order_or_not_alone_never_re_anchor() -> None:
    """Times that jump about, and late ones among good ones, are late for ever."""
    pipeline = pipeline_of(fleet_of("p"))
    feed(pipeline, [reading(1000, 1.0)])
    jumping = [reading(900 - i, 1.0, received_s=1000 + i) for i in range(100)]
    assert set(verdicts_of(feed(pipeline, jumping))) == {LATE}
    mixed = [one for i in range(60) for one in (reading(i, 1.0, received_s=1100 + i), reading(1101 + i, 1.0))]
    assert set(verdicts_of(feed(pipeline, mixed))[::2]) == {LATE}
    assert pipeline.parts["tanks"].totals.reanchored == 0


def test_a_stuck_gateway_never_re_anchors_a_stream() -> None:
    """The same old reading again and again is a duplicate or late, no run."""
    pipeline = pipeline_of(fleet_of("p"))
    feed(pipeline, [reading(1000, 1.0)])
    stuck = [reading(500, 1.0, received_s=1000 + 10 * i) for i in range(100)]
    assert set(verdicts_of(feed(pipeline, stuck))) == {LATE}


def test_a_sequence_that_begins_again_is_believed_after_twenty_readings() -> None:
    """A sensor that restarts counts from one: late while it could be a redelivery, then taken."""
    pipeline = pipeline_of(fleet_of("p", time_path=None, sequence_path=("n",)))
    feed(pipeline, [reading(i, 1.0, key=1000 + i) for i in range(10)])
    verdicts = verdicts_of(feed(pipeline, [reading(10 + i, 1.0, key=i) for i in range(25)]))
    assert verdicts == [LATE] * 19 + [STEPPED] * 6


@settings(max_examples=60, deadline=None)
@given(
    moves=st.lists(
        st.tuples(st.floats(-40, 40, allow_nan=False), st.sampled_from([0.0, 0.01, 1.0, 30.0]), st.booleans()),
        min_size=1,
        max_size=60,
    ),
    joined=st.booleans(),
)
def test_any_times_keep_the_books_and_the_ticks_in_order(moves: list[tuple[float, float, bool]], joined: bool) -> None:
    """Whatever times come: each reading has one verdict, forecasts are in order of ticks, counts add up."""
    pipeline = pipeline_of(fleet_of("pq", feature_capture="feature" if joined else ""))
    at, now, ticks, inputs = 0.0, 0.0, [], []
    for move, wait, dup in moves:
        at, now = at + move, now + wait
        values = (1.0, NAN) if joined and move > 0 else (1.0, 2.0)
        inputs.append(reading(at, *values, received_s=now, dup=dup))
    for one in inputs:
        pipeline.advance([one])
        ticks.append(int(pipeline.parts["tanks"].table["tick"][0]))
    assert ticks == sorted(ticks)
    totals = pipeline.parts["tanks"].totals
    assert totals.stepped + totals.held + totals.late + totals.duplicate == len(inputs)


def test_a_run_of_late_readings_is_counted_row_by_row() -> None:
    """What one stream does leaves no trace in the columns of another that travels along."""
    pipeline = pipeline_of(fleet_of("p"))
    feed(pipeline, [reading(10, 1.0, stream="good"), reading(10, 1.0, stream="bad")])
    table = pipeline.parts["tanks"].table
    good = table.slots["good"]
    before = [table[name][good] for name in ("late_run", "late_at", "late_first_at", "late_received")]
    pipeline.advance([reading(11, 1.0, stream="good"), reading(3, 1.0, stream="bad")])
    assert [table[name][good] for name in ("late_run", "late_at", "late_first_at", "late_received")] == before
    assert table["late_run"][table.slots["bad"]] == 1
