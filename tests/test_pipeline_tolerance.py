"""Times and features as real sensors send them: jitter, stamps ahead, sequences that begin anew, what never comes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from gaugecast.fleet import Fleet
from gaugecast.records import Input, Verdict
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

STEPPED, HELD, LATE, DUPLICATE, REJECTED, NONE, SAME_PERIOD = (int(v) for v in Verdict)
NAN = float("nan")


def tolerant(names: str = "p", **settings: Any) -> Fleet:
    """As every configuration makes them."""
    return fleet_of(names, tolerant=True, **settings)


# -- times


@pytest.mark.parametrize("seed", range(6))
def test_jitter_of_two_fifths_of_a_period_costs_next_to_nothing(seed: int) -> None:
    """The nearest tick that is free."""
    jitter = np.random.default_rng(seed).uniform(-0.4, 0.4, 55)
    pipeline = pipeline_of(tolerant())
    verdicts = verdicts_of(feed(pipeline, [reading(i + float(off), 1.0) for i, off in enumerate(jitter)]))
    assert verdicts.count(STEPPED) >= 54
    assert pipeline.totals()["tanks"].resets == 0


def test_the_first_of_a_period_steps_and_the_others_are_told() -> None:
    """Four within the first two fifths of each period."""
    pipeline = pipeline_of(tolerant(period_ns=60 * SECOND))
    inputs = [reading(60 * i + off, i + off / 100) for i in range(10) for off in (0, 8, 16, 24)]
    outcomes = feed(pipeline, inputs)
    assert verdicts_of(outcomes) == [STEPPED, SAME_PERIOD, SAME_PERIOD, SAME_PERIOD] * 10
    assert [m["observed"]["p"] for m in messages_of(outcomes)] == [float(i) for i in range(10)]


def test_who_sends_each_second_gets_a_step_a_minute_and_keeps_its_state() -> None:
    """What is of the same period is never taken for a clock that was set back."""
    pipeline = pipeline_of(tolerant(period_ns=60 * SECOND))
    verdicts = verdicts_of(feed(pipeline, [reading(i, 1.0) for i in range(1200)], 100))
    assert 20 <= verdicts.count(STEPPED) <= 22
    totals = pipeline.totals()["tanks"]
    assert (totals.reanchored, totals.resets) == (0, 0)


@pytest.mark.parametrize(("period_s", "ahead_s"), [(15, 290), (300, 48 * 60), (15, 45)])
def test_a_stamp_ahead_of_the_others_silences_nobody(period_s: int, ahead_s: float) -> None:
    """It is refused and said why; the stream goes on with the next reading."""
    pipeline = pipeline_of(tolerant(period_ns=period_s * SECOND))
    sane = [reading(period_s * i, 1.0 * i) for i in range(10)]
    wild = reading(period_s * 10 + ahead_s, 5.0, received_s=period_s * 10)
    after = [reading(period_s * i, 1.0 * i) for i in range(11, 20)]
    outcomes = feed(pipeline, [*sane, wild, *after])
    assert verdicts_of(outcomes) == [STEPPED] * 10 + [REJECTED] + [STEPPED] * 9
    assert pipeline.rejects == {("tanks", "far_future"): 1}
    [refused] = [row for outcome in outcomes for row in outcome.refused]
    assert (refused.reason, refused.stream) == ("far_future", "a")
    assert f"{ahead_s:.0f} s ahead of its arrival" in refused.detail


def test_a_first_stamp_that_is_ahead_costs_little() -> None:
    """What it is held against cannot be right, for it is not yet."""
    pipeline = pipeline_of(tolerant(period_ns=15 * SECOND))
    wild = reading(290, 5.0, received_s=0)
    verdicts = verdicts_of(feed(pipeline, [wild, *[reading(15 * i, 1.0) for i in range(1, 20)]]))
    assert verdicts == [STEPPED, LATE, LATE, *[STEPPED] * 17]
    assert pipeline.totals()["tanks"].reanchored == 1


def test_a_clock_that_was_set_forward_is_believed_after_three() -> None:
    """In real time and in order."""
    pipeline = pipeline_of(tolerant())
    inputs = [reading(i, 1.0) for i in range(10)]
    inputs += [reading(i + 100, 1.0, received_s=i) for i in range(10, 20)]
    verdicts = verdicts_of(feed(pipeline, inputs))
    assert verdicts == [STEPPED] * 10 + [REJECTED] * 2 + [STEPPED] * 8


def test_a_clock_that_is_always_ahead_is_no_trouble() -> None:
    """Nor is a backlog of such a sensor, that comes at once."""
    pipeline = pipeline_of(tolerant())
    inputs = [reading(i + 100, 1.0, received_s=i) for i in range(10)]
    inputs += [reading(i + 100, 1.0, received_s=40) for i in range(10, 40)]
    assert verdicts_of(feed(pipeline, inputs)) == [STEPPED] * 40


# -- sequences


def numbered(n: int, at_s: float, **more: Any) -> Input:
    """A reading with a sequence number."""
    return reading(at_s, 1.0, key=n, **more)


def test_a_sequence_that_falls_to_about_0_begins_anew() -> None:
    """A device that has started again; its state goes on."""
    fleet = tolerant(time_path=None, sequence_path=("n",))
    pipeline = pipeline_of(fleet)
    numbers = [*range(100, 140), 1, 2, 3, 4]
    assert verdicts_of(feed(pipeline, [numbered(n, i) for i, n in enumerate(numbers)])) == [STEPPED] * 44
    assert pipeline.totals()["tanks"].resets == 0


def test_what_comes_again_does_not_begin_a_sequence() -> None:
    """A copy, and one that is only a little out of order."""
    fleet = tolerant(time_path=None, sequence_path=("n",))
    pipeline = pipeline_of(fleet)
    feed(pipeline, [numbered(n, n) for n in range(40)])
    again = [numbered(2, 41, dup=True), numbered(30, 42), numbered(39, 43)]
    assert verdicts_of(feed(pipeline, again)) == [LATE, LATE, DUPLICATE]


# -- a field that begins a sequence


def batches(names: Sequence[str], fleet: Fleet) -> list[Input]:
    """A reading a second, each of a batch."""
    return [reading(i, 20.0 + i)._replace(reason=name) for i, name in enumerate(names)]


def test_another_batch_begins_without_state() -> None:
    """Its first message is `warming`; a reading that names none belongs to the one before."""
    fleet = tolerant(begins_path=("batch",))
    pipeline = pipeline_of(fleet, models=[model_for(fleet)])
    made = messages_of(feed(pipeline, batches(["a"] * 6 + [""] + ["a", "b", "b", "b", "b"], fleet)))
    assert ["warming" in m["quality"] for m in made] == [True, *[False] * 7, True, *[False] * 3]
    assert pipeline.totals()["tanks"].resets == 1


# -- features that never come


def test_a_feature_that_never_comes_keeps_no_other_from_being_forecast() -> None:
    """It is null; after ten steps nobody waits for it, and no message is marked for its sake."""
    fleet = tolerant("pq", grace_ns=SECOND // 2)
    pipeline = pipeline_of(fleet, models=[model_for(fleet)])
    inputs = [one for i in range(20) for one in (reading(i, 20.0 + i % 3, NAN), timer(i + 0.5))]
    outcomes = feed(pipeline, inputs)
    made = messages_of(outcomes)
    assert len(made) == 20
    assert verdicts_of(outcomes)[::2] == [HELD] * 10 + [STEPPED] * 10
    assert made[-1]["quality"] == []
    assert made[-1]["forecast"]["q"] is None
    assert made[-1]["forecast"]["p"] is not None
    assert made[-1]["model"] is not None


def test_a_feature_that_comes_after_all_is_waited_for_again() -> None:
    """Though it always came behind the other, when the tick was closed."""
    fleet = tolerant("pq", feature_capture="feature", grace_ns=SECOND // 2)
    pipeline = pipeline_of(fleet)
    feed(pipeline, [one for i in range(12) for one in (reading(i, 20.0, NAN), timer(i + 0.5))])
    verdicts = verdicts_of(feed(pipeline, [reading(12, 20.0, NAN), reading(12, NAN, 5.0)]))
    assert verdicts in ([STEPPED, SAME_PERIOD], [STEPPED, LATE])
    assert verdicts_of(feed(pipeline, [reading(13, 20.0, NAN), reading(13, NAN, 5.0)])) == [HELD, STEPPED]


def test_old_configurations_mean_what_they_meant() -> None:
    """A ledger of before replays to the bit: jitter was late, and a stamp ahead was believed."""
    pipeline = pipeline_of(fleet_of("p", period_ns=15 * SECOND))
    inputs = [reading(0, 1.0), reading(2, 1.0), reading(15 + 290, 5.0, received_s=15), reading(30, 1.0)]
    assert verdicts_of(feed(pipeline, inputs)) == [STEPPED, LATE, STEPPED, LATE]
    assert Fleet.from_json(fleet_of("p").to_json()) == fleet_of("p")
    assert "tolerant" not in fleet_of("p").to_json()
    assert T0 > 0
