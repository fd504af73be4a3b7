"""Steps that wait: features in separate messages, timers, silence, aggregates, and readings without time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gaugecast import events
from gaugecast.pipeline.intake import DELIVERIES
from gaugecast.records import Order, Verdict
from gaugecast.testing import (
    SECOND,
    T0,
    feed,
    fleet_of,
    messages_of,
    model_for,
    pipeline_of,
    reading,
    timer,
    verdicts_of,
)

NAN = float("nan")
STEPPED, HELD, LATE, DUPLICATE, REJECTED, NONE, *_ = (int(v) for v in Verdict)
JOINED = fleet_of("pq", feature_capture="feature", grace_ns=2 * SECOND)


# -- features in separate messages


def test_features_in_separate_messages_are_one_step() -> None:
    """The tick closes when the last feature has spoken; the first was held."""
    pipeline = pipeline_of(JOINED)
    outcomes = feed(pipeline, [reading(0, 20.0, NAN), reading(0.1, NAN, 5.0)])
    assert verdicts_of(outcomes) == [HELD, STEPPED]
    (message,) = messages_of(outcomes)
    assert message["observed"] == {"p": 20.0, "q": 5.0}
    assert message["quality"] == ["warming", "fallback"]
    totals = pipeline.parts["tanks"].totals
    assert (totals.held, totals.stepped, totals.forecasts) == (0, 2, 1)


def test_a_later_tick_closes_an_open_one() -> None:
    """What never came is the model's own forecast (here: the last value), and the step says `partial`."""
    pipeline = pipeline_of(JOINED)
    feed(pipeline, [reading(0, 20.0, NAN), reading(0, NAN, 5.0), reading(1, 21.0, NAN)])
    outcomes = feed(pipeline, [reading(2, 22.0, NAN)])
    (message,) = messages_of(outcomes)
    assert message["quality"] == ["partial", "fallback"]
    assert message["observed"] == {"p": 21.0, "q": None}
    assert message["forecast"] == {"p": 21.0, "q": 5.0}
    assert verdicts_of(outcomes) == [HELD]


def test_an_absent_feature_is_the_models_forecast() -> None:
    """With a model in force, what is fed for it is what was forecast for it."""
    model = model_for(JOINED)
    pipeline = pipeline_of(JOINED, models=[model])
    made = feed(pipeline, [reading(i, 20 + np.sin(i), 5 + i % 3) for i in range(9)])
    expected = messages_of(made)[-1]["forecast"]["q"]
    feed(pipeline, [reading(9, 20.1, NAN), timer(20)])
    part = pipeline.parts["tanks"]
    assert part.table["x"][0][1] == pytest.approx(expected, rel=1e-8)
    assert part.table["seen"][0].tolist() == [True, False]


def test_a_timer_closes_a_tick_after_its_grace_and_not_before() -> None:
    """The wait is counted in arrival time from the tick's first reading; the output's cause is the timer."""
    pipeline = pipeline_of(JOINED)
    feed(pipeline, [reading(0, 20.0, NAN, received_s=10.0), reading(0.2, 20.1, NAN, received_s=11.5)])
    assert pipeline.due(T0 + 11 * SECOND) is False
    assert messages_of(feed(pipeline, [timer(11.9)])) == []
    outcome = pipeline.advance([timer(12.0)])
    assert outcome.verdicts == [NONE]
    assert [o.cause for o in outcome.outputs] == [0]
    assert messages_of([outcome])[0]["observed"] == {"p": 20.1, "q": None}


def test_due_is_told_by_the_time_it_is_due() -> None:
    """The loop may trust `look_again_ns`: before it nothing is due, and what is due is said at once after it."""
    pipeline = pipeline_of(JOINED)
    feed(pipeline, [reading(0, 20.0, NAN, received_s=10.0)])
    now = T0 + 10 * SECOND
    for _ in range(400):
        if pipeline.due(now):
            break
        assert pipeline.look_again_ns > now
        now = pipeline.look_again_ns
    assert T0 + 12 * SECOND <= now <= T0 + 12 * SECOND + 50_000_000


# -- stale streams


def test_a_silent_stream_is_called_stale_once() -> None:
    """One message, the last forecast again; the next reading ends it, and silence after it counts anew."""
    pipeline = pipeline_of(fleet_of("p", stale_after_ns=10 * SECOND))
    feed(pipeline, [reading(0, 20.0), reading(1, 21.0)])
    made = messages_of(feed(pipeline, [timer(10.9), timer(11.0), timer(12.0), timer(500.0)]))
    assert [(m["step"], m["quality"]) for m in made] == [(3, ["fallback", "stale"])]
    assert made[0]["forecast"] == {"p": 21.0}
    assert made[0]["observed"] == {"p": None}
    assert pipeline.due(T0 + 600 * SECOND) is False
    (back,) = messages_of(feed(pipeline, [reading(600, 22.0)]))
    assert back["step"] == 4
    assert "stale" not in back["quality"]
    assert len(messages_of(feed(pipeline, [timer(611)]))) == 1


def test_a_clock_that_is_set_forward_makes_no_stream_stale() -> None:
    """Remembered arrivals move along with the step."""
    pipeline = pipeline_of(fleet_of("p", stale_after_ns=10 * SECOND))
    feed(pipeline, [reading(0, 20.0)])
    step = Order(events.ClockStepped(3600 * SECOND)).stamped(T0 + 3601 * SECOND)
    assert messages_of(feed(pipeline, [step, timer(3605)])) == []
    assert len(messages_of(feed(pipeline, [timer(3610)]))) == 1


def test_a_step_that_is_taken_back_makes_silence_count_as_before() -> None:
    """A year ahead and back: the stream is called stale ten seconds after its reading, by the true time."""
    pipeline = pipeline_of(fleet_of("p", stale_after_ns=10 * SECOND))
    feed(pipeline, [reading(0, 20.0)])
    year = 365 * 86_400 * SECOND
    forth = Order(events.ClockStepped(year, ticks=True)).stamped(T0 + SECOND + year)
    back = Order(events.ClockStepped(-year, ticks=True)).stamped(T0 + 5 * SECOND)
    assert messages_of(feed(pipeline, [forth, timer(2 + year / SECOND), back, timer(9)])) == []
    assert pipeline.clock_ahead_ns == 0
    assert len(messages_of(feed(pipeline, [timer(10)]))) == 1


@pytest.mark.parametrize(("ticks", "gaps"), [(True, 0), (False, 1)])
@pytest.mark.parametrize("step_s", [3600.4, 31_536_000.0])
def test_readings_without_time_find_no_gap_where_the_clock_was_set(step_s: float, ticks: bool, gaps: int) -> None:
    """They are dated by the machine's clock, and their ticks move along; events of 0.1.0 did not ask for it."""
    pipeline = pipeline_of(fleet_of("p", time_path=None))
    feed(pipeline, [reading(i, 20.0, key=0, delivery=i + 1) for i in range(5)])
    step = Order(events.ClockStepped(round(step_s * SECOND), ticks=ticks)).stamped(T0 + round((5 + step_s) * SECOND))
    feed(pipeline, [step, *(reading(i + step_s, 20.0, key=0, delivery=i + 1) for i in range(5, 9))])
    totals = pipeline.parts["tanks"].totals
    assert (totals.gaps, totals.resets, totals.stepped) == (gaps, gaps, 9)


def test_windows_without_time_move_by_whole_periods_when_the_clock_is_set() -> None:
    """Aggregates stay on the clock; the step is rounded, and no window is doubled or left out."""
    pipeline = pipeline_of(fleet_of("a", aggregates=("sum",), time_path=None))
    feed(pipeline, [reading(i / 4, 1.0, key=0, delivery=i + 1) for i in range(20)])
    step = Order(events.ClockStepped(3600 * SECOND, ticks=True)).stamped(T0 + 3605 * SECOND)
    feed(pipeline, [step, *(reading(3600 + i / 4, 1.0, key=0, delivery=i + 1) for i in range(20, 40))])
    totals = pipeline.parts["tanks"].totals
    assert (totals.gaps, totals.resets) == (0, 0)
    assert pipeline.parts["tanks"].table["phase"][0] % SECOND == 0


def test_a_stream_with_an_open_tick_is_not_parked_over_its_readings() -> None:
    """What is held is held in memory only: the tick closes first, and only silence after that parks the stream."""
    fleet = fleet_of("pq", feature_capture="feature", grace_ns=60 * SECOND, park_after_ns=10 * SECOND)
    pipeline = pipeline_of(fleet)
    feed(pipeline, [reading(0, 1.0, 2.0), reading(1, 1.0, NAN)])
    assert pipeline.advance([timer(30)]).parked == []
    assert pipeline.due(T0 + 30 * SECOND + 1) is False
    assert pipeline.parts["tanks"].totals.held == 1
    outcome = pipeline.advance([timer(61)])
    assert len(outcome.outputs) == 1
    assert [p.stream for p in pipeline.advance([timer(75)]).parked] == ["a"]
    assert pipeline.parts["tanks"].totals.held == 0


def test_a_stream_that_never_speaks_after_another_configuration_is_called_stale_and_parked() -> None:
    """Its silence is counted from its last reading; no forecast is left to be said again. Speaking ends it as ever."""
    waits: dict[str, Any] = {"stale_after_ns": 10 * SECOND, "park_after_ns": 30 * SECOND}
    pipeline = pipeline_of(fleet_of("p", **waits))
    feed(pipeline, [reading(0, 20.0), reading(1, 21.0), reading(1, 5.0, stream="b")])
    other = Order.configuring(fleet_of("pq", **waits)).stamped(T0 + 5 * SECOND)
    assert messages_of(feed(pipeline, [other, timer(10.9)])) == []
    made = messages_of(feed(pipeline, [timer(11.0), timer(12.0)]))
    assert [(m["stream"], m["step"], m["at"], m["quality"]) for m in made] == [
        ("a", 3, T0 / 1e9 + 1, ["fallback", "stale"]),
        ("b", 2, T0 / 1e9 + 1, ["fallback", "stale"]),
    ]
    assert made[0]["forecast"] == {"p": None, "q": None}
    (back,) = messages_of(feed(pipeline, [reading(20.25, 7.0, 8.0, stream="b")]))
    assert (back["step"], back["at"], back["quality"]) == (3, T0 / 1e9 + 20.25, ["warming", "fallback"])
    outcome = pipeline.advance([timer(31)])
    assert [p.stream for p in outcome.parked] == ["a"]
    assert pipeline.streams == 1


# -- aggregates


def test_aggregates_join_what_a_tick_brings() -> None:
    """Mean, minimum, maximum and sum over the readings of one tick; the step's time is the tick's."""
    fleet = fleet_of("abcd", aggregates=("mean", "min", "max", "sum"))
    pipeline = pipeline_of(fleet)
    inputs = [reading(t, v, v, v, v) for t, v in ((9.8, 1.0), (10.0, 5.0), (10.2, 3.0))]
    outcomes = feed(pipeline, [*inputs, reading(11.0, 0.0, 0.0, 0.0, 0.0)])
    assert verdicts_of(outcomes) == [HELD] * 4
    (message,) = messages_of(outcomes)
    assert message["observed"] == {"a": 3.0, "b": 1.0, "c": 5.0, "d": 9.0}
    assert message["at"] == T0 / 1e9 + 10
    totals = pipeline.parts["tanks"].totals
    assert (totals.stepped, totals.held) == (3, 1)


def test_windows_of_aggregates_stay_on_the_clock() -> None:
    """A sensor's own phase does not move them."""
    pipeline = pipeline_of(fleet_of("a", aggregates=("sum",)))
    made = messages_of(feed(pipeline, [reading(0.37 + i / 4, 1.0) for i in range(41)]))
    assert {m["at"] % 1 for m in made} == {0.0}
    assert {m["observed"]["a"] for m in made[1:]} == {4.0}


# -- payloads without time


def test_without_event_time_every_reading_is_a_step() -> None:
    """Also those that come at one instant: a backlog is as many steps as it has messages."""
    fleet = fleet_of("p", time_path=None)
    pipeline = pipeline_of(fleet)
    inputs = [reading(0.0, float(i), received_s=5.0, key=0, delivery=i + 1) for i in range(9)]
    outcomes = feed(pipeline, inputs, 4)
    assert verdicts_of(outcomes) == [STEPPED] * 9
    assert [m["observed"]["p"] for m in messages_of(outcomes)] == list(range(9))
    assert pipeline.parts["tanks"].totals.gaps == 0


def test_a_redelivery_without_time_counts_once() -> None:
    """DUP and a delivery that was seen: duplicate. Not DUP, or not seen: the next reading."""
    pipeline = pipeline_of(fleet_of("p", time_path=None))
    inputs = [reading(0, 1.0, key=0, delivery=d, dup=dup) for d, dup in ((7, False), (7, True), (7, False), (8, True))]
    assert verdicts_of(feed(pipeline, inputs)) == [STEPPED, DUPLICATE, STEPPED, STEPPED]


def test_a_lost_session_ends_what_deliveries_mean() -> None:
    """Packet ids begin anew: a DUP of an id that was used before is another message."""
    pipeline = pipeline_of(fleet_of("p", time_path=None))
    lost = Order(events.SessionLost()).stamped(T0)
    again = reading(1, 1.0, key=0, delivery=7, dup=True)
    assert verdicts_of(feed(pipeline, [reading(0, 1.0, key=0, delivery=7), lost, again])) == [STEPPED, NONE, STEPPED]


@pytest.mark.long
def test_the_memory_of_deliveries_is_bounded() -> None:
    """The newest are kept; it never holds more than its bound."""
    pipeline = pipeline_of(fleet_of("p", time_path=None))
    inputs = [reading(0, 1.0, key=0, delivery=i + 1) for i in range(DELIVERIES + 10)]
    pipeline.advance(inputs)
    assert pipeline.deliveries.as_list() == list(range(11, DELIVERIES + 11))


def test_sequence_numbers_tell_readings_apart() -> None:
    """A number counts once and must rise; one that falls is late, the last one again a duplicate."""
    pipeline = pipeline_of(fleet_of("p", time_path=None, sequence_path=("n",)))
    inputs = [reading(i, float(i), key=n) for i, n in enumerate((5, 6, 6, 4, 9))]
    assert verdicts_of(feed(pipeline, inputs)) == [STEPPED, STEPPED, DUPLICATE, LATE, STEPPED]
