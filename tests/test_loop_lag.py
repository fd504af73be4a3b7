"""When unconfirmed forecasts stop the reading, and when they do not."""

from __future__ import annotations

from dataclasses import dataclass

from gaugecast.loop.lag import SILENT_S, LagBound


@dataclass
class Made:
    """A publisher and its connection, as a test wants them."""

    confirmed: int = 0
    lag: int = 0
    connected: bool = True


def bound_over(made: Made) -> LagBound:
    """A bound of 10."""
    return LagBound(made, made, most=10)


def test_reading_waits_while_the_broker_confirms_and_too_many_are_open() -> None:
    """At the bound not yet; and it goes on as soon as the lag is back there."""
    made = Made(lag=10)
    bound = bound_over(made)
    assert not bound.holds(0.0)
    made.lag, made.confirmed = 11, 1
    assert bound.holds(1.0)
    made.lag, made.confirmed = 10, 2
    assert not bound.holds(2.0)


def test_a_broker_that_is_silent_or_away_stops_nothing() -> None:
    """Until it confirms again."""
    made = Made(lag=11, confirmed=1)
    bound = bound_over(made)
    made.confirmed = 2
    assert bound.holds(100.0)
    assert bound.holds(100.0 + SILENT_S - 0.1)
    assert not bound.holds(100.0 + SILENT_S)
    made.confirmed = 3
    assert bound.holds(110.0)
    made.connected = False
    assert not bound.holds(110.1)


def test_silence_counts_only_while_there_is_something_to_confirm() -> None:
    """After a quiet night the first burst is held back as any other."""
    made = Made()
    bound = bound_over(made)
    assert not bound.holds(0.0)
    assert not bound.holds(36_000.0)
    made.lag = 50
    assert bound.holds(36_001.0)


def test_what_is_told_of_lag_does_not_flicker_at_the_bound() -> None:
    """It ends where the lag is half of it: in an overload it swings about the bound all the time."""
    made = Made(lag=11)
    bound = bound_over(made)
    told = []
    for made.lag in (10, 11, 10, 6, 5, 6, 10, 11):
        bound.holds(0.0)
        told.append(bound.lagging)
    assert told == [False, True, True, True, False, False, False, True]
