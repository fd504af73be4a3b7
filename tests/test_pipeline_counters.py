"""Counters: totals come, rates are modelled, and the messages say both."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gaugecast.align.rates import Counted, rates_of
from gaugecast.fleet import Feature, Fleet
from gaugecast.testing import SECOND, bodies_of, feed, fleet_of, messages_of, model_for, pipeline_of, reading, timer
from support.state_bytes import differences

HOUR_NS = 3600 * SECOND


def meters(**settings: Any) -> Fleet:
    """Fleet `tanks`: a counter p, with its rate an hour, and a number q; a second a tick."""
    fleet = fleet_of("pq", tolerant=True, **settings)
    counter = Feature("p", path=("p",), counter=True, per_ns=HOUR_NS)
    return replace(fleet, features=(counter, fleet.features[1]))


def rates(totals: list[float]) -> list[float | None]:
    """Observed rates, an hour, of totals a second apart."""
    pipeline = pipeline_of(meters())
    made = messages_of(feed(pipeline, [reading(i, total, 1.0) for i, total in enumerate(totals)]))
    assert [m["totals"]["p"] for m in made] == [None if total != total else total for total in totals]
    return [m["observed"]["p"] for m in made]


def test_the_rate_is_modelled_and_the_total_is_said_beside_it() -> None:
    """One a second is 3,600 an hour; the first total has no rate yet."""
    assert rates([100, 101, 103, 103]) == [None, 3600.0, 7200.0, 0.0]


def test_a_counter_that_begins_again_has_no_rate_for_a_step() -> None:
    """Whatever it begins with."""
    assert rates([100, 101, 5, 6]) == [None, 3600.0, None, 3600.0]


def test_a_lone_zero_is_a_glitch() -> None:
    """No rate then, and afterwards that of both periods."""
    assert rates([100, 101, 0, 103, 104]) == [None, 3600.0, None, 3600.0, 3600.0]


def test_a_zero_that_stays_is_a_beginning() -> None:
    """It stood still since; then it counts from the zero."""
    assert rates([100, 101, 0, 0, 0, 2, 3]) == [None, 3600.0, None, 0.0, 0.0, 7200.0, 3600.0]


def test_a_counter_at_zero_from_the_start_is_no_glitch() -> None:
    """It has not counted yet."""
    assert rates([0, 0, 1, 2]) == [None, 0.0, 3600.0, 3600.0]


def test_behind_a_gap_the_rate_is_that_of_the_whole_gap() -> None:
    """Nothing that was counted is lost."""
    pipeline = pipeline_of(meters(bridge=5))
    made = messages_of(feed(pipeline, [reading(0, 100.0, 1.0), reading(1, 101.0, 1.0), reading(5, 105.0, 1.0)]))
    assert made[-1]["observed"]["p"] == 3600.0


def test_silence_of_a_counter_that_reports_on_change_is_a_rate_of_zero() -> None:
    """The total is what it was."""
    pipeline = pipeline_of(meters(hold_ns=60 * SECOND, grace_ns=0))
    made = messages_of(feed(pipeline, [reading(0, 100.0, 1.0), reading(1, 101.0, 1.0), timer(3.6), reading(5, 103, 1)]))
    assert [m["observed"]["p"] for m in made] == [None, 3600.0, 0.0, 0.0, 0.0, 7200.0]
    assert [m["totals"]["p"] for m in made] == [100, 101, 101, 101, 101, 103]


@pytest.mark.parametrize("size", [1, 3, 50])
def test_how_counters_are_cut_into_batches_changes_nothing(size: int) -> None:
    """Messages and state, with a model and with horizons."""
    fleet = meters(horizons=(1, 3), intervals=(0.8,))
    inputs = [reading(i, float(i * i % 50 + i), 20.0 + np.sin(i), stream=s) for i in range(50) for s in "ab"]
    whole, pieces = (pipeline_of(fleet, models=[model_for(fleet)]) for _ in range(2))
    assert bodies_of(feed(pieces, inputs, size)) == bodies_of(feed(whole, inputs, len(inputs)))
    assert differences(pieces, whole) == []


def test_rates_are_told_row_by_row() -> None:
    """Rows do not see each other; what is absent changes nothing."""
    before = Counted(np.array([[10.0], [np.nan]]), np.array([[0], [0]]), Counted.nothing((2, 1)).zero_at)
    rate, after = rates_of(np.array([[np.nan], [5.0]]), np.array([[SECOND], [SECOND]]), before, np.array(SECOND))
    assert np.isnan(rate).all()
    assert after.total.tolist() == [[10.0], [5.0]]
