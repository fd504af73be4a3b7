"""When an anomaly is told of, by scores alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gaugecast.forecast.anomaly import alarm
from gaugecast.forecast.telling import BEGIN, END, UPDATE
from gaugecast.streams.columns import Columns


def told_of(
    scores: Sequence[float], *, least: int = 3, off: Sequence[int] = (), silenced: Sequence[int] = ()
) -> list[tuple[int, int]]:
    """(step, what) of one stream whose score goes like this; at steps in `off` its machine is off."""
    state = {name: array.copy() for name, array in Columns(alarm.spec_of(1), 1)}
    told = []
    for step, score in enumerate(scores):
        is_off = np.array([step in off])
        judged = alarm.judge(
            state, np.full((1, 1, 1), score), settling=is_off, off=is_off, silenced=np.array([step in silenced]),
            at=np.array([step]), least=least,
        )  # fmt: skip
        told += [(step, event) for event in judged.event.tolist()]
    return told


def test_it_begins_when_it_has_lasted_and_ends_when_it_is_long_clearly_over() -> None:
    """Three steps above, then twice as many clearly below."""
    assert told_of([0.5] * 5 + [1.2] * 10 + [0.5] * 10) == [(7, BEGIN), (20, END)]


def test_less_than_the_least_is_not_told() -> None:
    """Two steps of three, again and again, with rest in between."""
    assert told_of(([1.5] * 2 + [0.2] * 4) * 10) == []


def test_what_flickers_about_the_limit_is_one_event() -> None:
    """Below the limit, but not clearly, is no end; nor is a moment clearly below."""
    assert told_of([1.1, 1.1, 1.1, *[0.9, 1.1] * 50]) == [(2, BEGIN)]
    assert told_of([1.1, 1.1, 1.1, *[0.1, 0.1, 0.1, 0.1, 1.1] * 20]) == [(2, BEGIN)]


def test_a_silence_is_told_when_it_begins_and_when_it_ends() -> None:
    """At once, whatever has been told a moment before."""
    assert told_of([1.5] * 12, silenced=range(5, 9)) == [(2, BEGIN), (5, UPDATE), (9, UPDATE)]


def test_a_machine_that_is_switched_off_ends_it_at_once() -> None:
    """And nothing is told while it is off."""
    assert told_of([1.5] * 20, off=range(8, 20)) == [(2, BEGIN), (8, END)]
