"""Stragglers: what is behind a gap waits for what belongs into it, and all is stepped in order, within bounds."""

from __future__ import annotations

import random
from typing import Any

import pytest

from gaugecast.fleet import Fleet
from gaugecast.pipeline.stragglers import places_for
from gaugecast.records import Input, Order, Verdict
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

STEPPED, HELD, LATE, DUPLICATE, REJECTED, NONE, SAME_PERIOD = (int(v) for v in Verdict)
NAN = float("nan")


def patient(names: str = "p", **settings: Any) -> Fleet:
    """A second a tick; stragglers may be ten seconds late."""
    return fleet_of(names, **{"lateness_ns": 10 * SECOND, "tolerant": True, **settings})


def books(pipeline: Any, received: int) -> Any:
    """The counts, once they add up."""
    t = pipeline.totals()["tanks"]
    rejected = sum(pipeline.rejects.values())
    assert t.stepped + t.held + t.late + t.duplicate + t.same_period + rejected == received
    return t


def begun(fleet: Fleet, *, upto: int = 12) -> Any:
    """A pipeline whose stream is under way and has nothing waiting."""
    pipeline = pipeline_of(fleet)
    feed(pipeline, [reading(i, 20.0 + i) for i in range(upto)])
    feed(pipeline, [timer(upto + 10)])
    return pipeline


def test_what_follows_without_a_gap_is_stepped_at_once() -> None:
    """Nobody waits for nothing."""
    pipeline = begun(patient())
    outcomes = feed(pipeline, [reading(i, 1.0 * i) for i in range(12, 20)])
    assert verdicts_of(outcomes) == [STEPPED] * 8
    assert len(messages_of(outcomes)) == 8


def test_a_reading_behind_a_gap_waits_until_the_gap_is_closed() -> None:
    """Then all are stepped in order, by the input that closed it, as if they had come so."""
    pipeline, sorted_ = begun(patient()), begun(patient())
    outcomes = feed(pipeline, [reading(i, 1.0 * i) for i in (12, 15, 14, 13, 16)])
    assert verdicts_of(outcomes) == [STEPPED, HELD, HELD, STEPPED, STEPPED]
    assert [len(one.outputs) for one in outcomes] == [1, 0, 0, 3, 1]
    expected = feed(sorted_, [reading(i, 1.0 * i) for i in range(12, 17)])
    assert bodies_of(outcomes) == bodies_of(expected)
    t = books(pipeline, 17)
    assert (t.held, t.stepped, t.late) == (0, 17, 0)


def test_a_gap_is_given_up_when_a_reading_has_waited_long_enough() -> None:
    """By a timer; and one that comes after all is late."""
    pipeline = begun(patient())
    feed(pipeline, [reading(12, 1.0), reading(14, 2.0, received_s=30), reading(15, 3.0, received_s=31)])
    assert pipeline.due(T0 + 39 * SECOND) is False
    assert messages_of(feed(pipeline, [timer(39.9)])) == []
    made = messages_of(feed(pipeline, [timer(40.0)]))
    assert [m["observed"]["p"] for m in made] == [2.0, 3.0]
    assert verdicts_of(feed(pipeline, [reading(13, 9.0, received_s=41)])) == [LATE]
    assert books(pipeline, 16).late == 1


def test_a_gap_is_given_up_when_event_time_has_gone_on() -> None:
    """So a backlog that comes at once does not wait for the clock."""
    pipeline = begun(patient())
    outcomes = feed(pipeline, [reading(i, 1.0 * i, received_s=500) for i in [12, *range(14, 30)]])
    assert len(messages_of(outcomes)) == 17
    assert books(pipeline, 29).held == 0


def test_what_waits_while_we_hear_nothing_goes_on_waiting() -> None:
    """What belongs into the gap may be at the broker."""
    pipeline = begun(patient())
    feed(pipeline, [reading(12, 1.0), reading(14, 2.0)])
    deaf = Input.timer(T0 + 500 * SECOND, listening=False)
    assert messages_of(feed(pipeline, [deaf])) == []
    assert len(messages_of(feed(pipeline, [reading(13, 1.5, received_s=501)]))) == 2


def test_a_batch_newest_first_loses_nothing() -> None:
    """Also the first one of a new stream."""
    pipeline = pipeline_of(patient())
    outcomes = feed(pipeline, [reading(i, 1.0 * i, received_s=100) for i in range(9, -1, -1)])
    outcomes += feed(pipeline, [timer(110)])
    assert [m["observed"]["p"] for m in messages_of(outcomes)] == [float(i) for i in range(10)]
    assert books(pipeline, 10).late == 0


def test_what_waits_is_not_taken_twice() -> None:
    """A copy of what waits, and of what was taken."""
    pipeline = begun(patient())
    inputs = [reading(12, 1.0), reading(14, 2.0), reading(14, 2.0, dup=True), reading(13, 3.0), reading(13, 3.0)]
    assert verdicts_of(feed(pipeline, inputs)) == [STEPPED, HELD, DUPLICATE, STEPPED, LATE]
    assert books(pipeline, 17).duplicate == 1


def test_so_many_wait_and_no_more() -> None:
    """The oldest goes on when there is no room; nothing is lost but the gap."""
    fleet = patient(lateness_ns=1 * SECOND, period_ns=SECOND)
    pipeline = begun(fleet)
    most = places_for(fleet)
    feed(pipeline, [reading(12, 1.0)])
    burst = [reading(14 + i * 1e-4, float(i), received_s=25) for i in range(most + 5)]
    outcomes = feed(pipeline, burst)
    part = pipeline.parts["tanks"]
    assert part.totals.held <= most
    assert verdicts_of(outcomes)[:most] == [HELD] * most
    feed(pipeline, [timer(60)])
    assert books(pipeline, 13 + most + 5).held == 0


def test_windows_stay_open_for_stragglers() -> None:
    """A mean takes what comes late into it, as long as `lateness` says."""
    fleet = patient(aggregates=("mean",), grace_ns=0)
    pipeline = pipeline_of(fleet)
    feed(pipeline, [reading(0.1, 1.0), reading(1.1, 10.0), reading(0.2, 3.0, received_s=5), reading(1.2, 20.0)])
    made = messages_of(feed(pipeline, [timer(11.2), timer(13), timer(30), timer(31)]))
    assert [m["observed"]["p"] for m in made] == [2.0, 15.0]
    assert books(pipeline, 4).late == 0


@pytest.mark.parametrize("seed", range(4))
def test_how_a_disordered_stream_is_cut_changes_nothing(seed: int) -> None:
    """Batches of any size: the same messages and the same state; in order, and none late that came in time."""
    rng = random.Random(seed)
    fleet = patient("pq", feature_capture="feature", grace_ns=2 * SECOND, horizon=2)
    sent = sorted((i + rng.uniform(0, 6), i) for i in range(60))
    inputs = []
    for received, i in sent:
        values = (20.0 + i % 5, NAN) if rng.random() < 0.3 else (20.0 + i % 5, 5.0)
        inputs.append(reading(i, *values, received_s=received))
        if rng.random() < 0.1:
            inputs.append(timer(received))
    inputs.append(timer(1000))
    whole, pieces = (pipeline_of(fleet, models=[model_for(fleet)]) for _ in range(2))
    expected = bodies_of(feed(whole, inputs, len(inputs)))
    assert bodies_of(feed(pieces, inputs, rng.randint(1, 9))) == expected
    assert differences(pieces, whole) == []
    t = books(whole, 60)
    assert (t.late, t.held) == (0, 0)


def test_a_configuration_without_lateness_takes_what_waits() -> None:
    """It cannot wait any longer; a fleet that leaves settles it, too."""
    pipeline = begun(patient())
    feed(pipeline, [reading(12, 1.0), reading(14, 2.0)])
    made = feed(pipeline, [Order.configuring(fleet_of("p", tolerant=True)).stamped(T0)])
    assert [m["observed"]["p"] for m in messages_of(made)] == [2.0]
    assert books(pipeline, 14).held == 0
