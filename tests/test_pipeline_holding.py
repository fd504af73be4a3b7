"""Sensors that report on change: silence means the same value, for as long as `hold` says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from gaugecast import events
from gaugecast.config.schema import Loop
from gaugecast.fleet import Fleet
from gaugecast.pipeline import Pipeline, state
from gaugecast.records import Input, Order, Verdict
from gaugecast.streams.snapshot import Slice
from gaugecast.testing import (
    SECOND,
    T0,
    bodies_of,
    feed,
    fleet_of,
    messages_of,
    model_for,
    pipeline_of,
    reading,
    timer,
    verdicts_of,
)
from support.state_bytes import differences

NAN = float("nan")
STEPPED, HELD, LATE, DUPLICATE, REJECTED, NONE, SAME_PERIOD = (int(v) for v in Verdict)


def held_fleet(names: str = "p", **settings: Any) -> Fleet:
    """A second a tick, held for five; a tick is over half a second and a tenth after its middle."""
    return fleet_of(names, hold_ns=5 * SECOND, grace_ns=SECOND // 10, tolerant=True, **settings)


def told(messages: Sequence[dict[str, Any]]) -> list[tuple[float, float | None, bool]]:
    """When, what, and whether it is `unchanged`, of feature p."""
    return [(m["at"] - T0 / SECOND, m["observed"]["p"], "unchanged" in m["quality"]) for m in messages]


def test_a_tick_at_which_nothing_came_is_stepped_when_it_is_over() -> None:
    """By a timer, once, with the value before, marked `unchanged`; its input has no verdict."""
    pipeline = pipeline_of(held_fleet())
    feed(pipeline, [reading(0, 20.0)])
    assert pipeline.due(T0 + 1_599_000_000) is False
    assert messages_of(feed(pipeline, [timer(1.599)])) == []
    outcome = pipeline.advance([timer(1.6)])
    assert outcome.verdicts == [NONE]
    assert told(messages_of([outcome])) == [(1.0, 20.0, True)]
    assert messages_of(feed(pipeline, [timer(1.7)])) == []
    assert pipeline.totals()["tanks"].unchanged_steps == 1
    assert pipeline.totals()["tanks"].stepped == 1


def test_due_is_told_by_the_time_a_held_tick_is_over() -> None:
    """The loop may trust `look_again_ns`."""
    pipeline = pipeline_of(held_fleet())
    feed(pipeline, [reading(0, 20.0)])
    now = T0
    for _ in range(400):
        if pipeline.due(now):
            break
        now = pipeline.look_again_ns
    assert T0 + 1_600_000_000 <= now <= T0 + 1_650_000_000


def test_silence_is_held_for_so_long_and_is_then_a_gap() -> None:
    """Five steps, then nothing; what comes much later begins anew."""
    pipeline = pipeline_of(held_fleet())
    feed(pipeline, [reading(0, 20.0)])
    assert told(messages_of(feed(pipeline, [timer(60)]))) == [(float(i), 20.0, True) for i in range(1, 6)]
    assert pipeline.due(T0 + 100 * SECOND) is False
    (back,) = messages_of(feed(pipeline, [reading(100, 21.0)]))
    assert "warming" in back["quality"]
    assert pipeline.totals()["tanks"].resets == 1


@pytest.mark.parametrize("timers", [[], [1.7], [1.7, 2.7, 3.65], [3.9]])
def test_a_held_tick_is_the_same_whoever_steps_it(timers: Sequence[float]) -> None:
    """The timer, or the next reading: the same messages, byte for byte, and the same state."""
    fleet = held_fleet("pq", feature_capture="feature")
    plain, timed = (pipeline_of(fleet, models=[model_for(fleet)]) for _ in range(2))
    before = [reading(i / 2, 20 + i, 5.0) for i in range(0, 16, 2)]
    after = [reading(11.1, 22.0, 5.5), reading(12, 23.0, 5.5)]
    expected = bodies_of(feed(plain, [*before, *after]))
    between = [timer(7 + at) for at in timers]
    assert bodies_of(feed(timed, [*before, *between, *after])) == expected
    assert [line for line in differences(timed, plain) if "totals" not in line] == []


def test_what_was_not_heard_is_no_silence() -> None:
    """While we are away, or have not caught up, nothing is held: the sensors may have spoken."""
    pipeline = pipeline_of(held_fleet())
    feed(pipeline, [reading(0, 20.0)])
    deaf = Input.timer(T0 + 3 * SECOND, listening=False)
    assert pipeline.due(T0 + 3 * SECOND, listening=False) is False
    assert messages_of(feed(pipeline, [deaf])) == []
    assert len(messages_of(feed(pipeline, [timer(3.6)]))) == 3


def test_silence_counts_by_the_streams_own_clock() -> None:
    """A sensor whose clock is an hour behind, or a backlog that comes at once, is not answered for too early."""
    pipeline = pipeline_of(held_fleet())
    feed(pipeline, [reading(i, 20.0 + i, received_s=3600) for i in range(3)])
    assert messages_of(feed(pipeline, [timer(3601.5)])) == []
    assert told(messages_of(feed(pipeline, [timer(3601.6)]))) == [(3.0, 22.0, True)]


def test_what_comes_too_late_for_its_tick_holds_from_then_on() -> None:
    """It is late all the same; and one that is older than what is known changes nothing."""
    pipeline = pipeline_of(held_fleet())
    outcomes = feed(pipeline, [reading(0, 20.0), timer(2.6), reading(1.4, 25.0, received_s=2.7)])
    assert verdicts_of(outcomes)[-1] == LATE
    assert told(messages_of(feed(pipeline, [timer(4.9)])))[-1][1:] == (25.0, True)
    feed(pipeline, [reading(0.5, 7.0, received_s=5)])
    assert told(messages_of(feed(pipeline, [timer(5.9)])))[-1][1:] == (25.0, True)


def test_a_burst_in_one_tick_leaves_its_last_value() -> None:
    """The first steps, the others are of the same period, and the last is what holds."""
    pipeline = pipeline_of(held_fleet())
    outcomes = feed(pipeline, [reading(0, 20.0), reading(0.1, 21.0), reading(0.2, 22.0)])
    assert verdicts_of(outcomes) == [STEPPED, SAME_PERIOD, SAME_PERIOD]
    assert told(messages_of(feed(pipeline, [timer(1.9)]))) == [(1.0, 22.0, True)]


def test_a_feature_that_says_nothing_is_held_beside_one_that_speaks() -> None:
    """Not partial: it is known; each as long as it was heard itself."""
    fleet = held_fleet("pq", feature_capture="feature")
    pipeline = pipeline_of(fleet)
    feed(pipeline, [reading(0, 20.0, NAN), reading(0, NAN, 5.0)])
    (message,) = messages_of(feed(pipeline, [reading(1, 21.0, NAN), timer(1.2)]))
    assert message["observed"] == {"p": 21.0, "q": 5.0}
    assert "unchanged" in message["quality"]
    assert "partial" not in message["quality"]
    late = messages_of(feed(pipeline, [reading(4, 22.0, NAN), timer(9.7), timer(9.8)]))
    assert [m["observed"]["q"] for m in late] == [5.0, 5.0, 5.0, 5.0, None, None, None, None]


def test_a_reset_ends_what_holds() -> None:
    """Whoever resets a stream means that nothing is known."""
    pipeline = pipeline_of(held_fleet())
    feed(pipeline, [reading(0, 20.0), Order(events.StreamsReset(), "tanks").stamped(T0)])
    assert messages_of(feed(pipeline, [timer(3)])) == []
    assert "warming" in messages_of(feed(pipeline, [reading(4, 21.0)]))[0]["quality"]


def test_without_event_time_the_tick_of_arrival_is_held() -> None:
    """And follows where the machine's clock is set."""
    pipeline = pipeline_of(held_fleet(time_path=None, on_arrival=True))
    feed(pipeline, [reading(0, 20.0, key=0)])
    assert told(messages_of(feed(pipeline, [timer(1.6)]))) == [(1.0, 20.0, True)]
    step = events.ClockStepped(3600 * SECOND, ticks=True)
    feed(pipeline, [Order(step).stamped(T0 + 3602 * SECOND)])
    assert told(messages_of(feed(pipeline, [timer(3602.6)]))) == [(3602.0, 20.0, True)]


def test_what_holds_is_in_the_checkpoint() -> None:
    """A restart in the middle of silence goes on as if it had not been."""
    fleet = held_fleet()
    whole = pipeline_of(fleet)
    feed(whole, [reading(0, 20.0), timer(1.7)])
    header, slices = state.begin_snapshot(whole)
    while whole.snapshot is not None:
        slices += list(state.take_slices(whole, 1 << 20))
    again = Pipeline(Loop(new_streams_per_s=1e6), lambda *_: None)
    state.restore(again, header, [Slice(*one) for one in slices])
    assert bodies_of(feed(again, [timer(9)])) == bodies_of(feed(whole, [timer(9)]))


def test_a_fleet_begins_and_ends_to_hold_without_losing_its_streams() -> None:
    """Another `hold` in the file: what was heard under the one before still holds."""
    pipeline = pipeline_of(held_fleet())
    feed(pipeline, [reading(0, 20.0)])
    longer = fleet_of("p", hold_ns=8 * SECOND, grace_ns=SECOND // 10, tolerant=True)
    feed(pipeline, [Order.configuring(longer).stamped(T0)])
    assert len(messages_of(feed(pipeline, [timer(60)]))) == 8
    feed(pipeline, [Order.configuring(fleet_of("p", tolerant=True)).stamped(T0)])
    assert messages_of(feed(pipeline, [reading(9, 21.0)]))[0]["step"] == 10
    assert messages_of(feed(pipeline, [timer(90)])) == []


def test_a_learner_sees_held_steps_as_measured() -> None:
    """Without a gap between them: what it cannot learn of others it learns here."""
    fleet = held_fleet()
    pipeline = pipeline_of(fleet, models=[model_for(fleet)], trace=True)
    outcomes = feed(pipeline, [reading(4 * i, 20.0 + np.sin(i)) for i in range(6)])
    traces = [trace for outcome in outcomes for _, trace in outcome.traces]
    assert len(traces) == 21
    assert all(not trace.steps.gap.any() for trace in traces)
    assert all(trace.steps.seen.all() for trace in traces[1:])
