"""When a crossing is told of: begin, update, end; no chatter."""

from __future__ import annotations

import numpy as np

from gaugecast.forecast import telling
from gaugecast.forecast.crossings import alarm
from gaugecast.streams.columns import Columns

REACH = 60


class Told:
    """One threshold of one stream, fed probabilities."""

    def __init__(self) -> None:
        self.columns = Columns(alarm.spec_of(1), 1)
        self.tick = 0
        self.events: list[tuple[int, str]] = []

    def feed(self, *likely: float, median: float = 10.0, crossed: bool = False) -> list[str]:
        """What is told at each; the median stays as far ahead as said."""
        begun = len(self.events)
        for p in likely:
            self.tick += 1
            state = {name: array[:1] for name, array in self.columns}
            instants = np.array([[[median / 2, median, 2 * median]]])
            judged = alarm.judge(
                state, np.array([[p]]), instants, crossed=np.array([[crossed]]), at=np.array([self.tick * 10**9]),
                tick=np.array([self.tick]), reach=np.array([REACH]),
            )  # fmt: skip
            for name, rows in state.items():
                self.columns[name][:1] = rows
            self.events += [(self.tick, telling.EVENTS[k]) for k in judged.event.tolist()]
        return [event for _, event in self.events[begun:]]


def test_an_event_begins_when_a_crossing_is_likelier_than_not() -> None:
    """And ends when one has been unlikely for some ticks in a row."""
    told = Told()
    assert told.feed(0.1, 0.3, 0.49) == []
    assert told.feed(0.55) == ["begin"]
    assert told.feed(0.2, 0.2) == []
    assert told.feed(0.2) == ["end"]


def test_a_probability_that_wavers_does_not_chatter() -> None:
    """Around the level at which it began, and in single dips."""
    told = Told()
    told.feed(0.6)
    assert "end" not in told.feed(*[0.45, 0.55, 0.1, 0.6] * 50)
    assert "begin" not in [event for _, event in told.events[1:]]


def test_what_was_told_is_told_again_when_it_is_no_longer_so() -> None:
    """Not at once, and not for little."""
    told = Told()
    told.feed(0.6)
    assert told.feed(0.9, 0.9) == []
    assert told.feed(0.9) == ["update"]
    assert told.feed(*[0.88] * 3) == []


def test_an_instant_that_comes_nearer_as_foretold_is_no_news() -> None:
    """Only one that lies elsewhere by then."""
    told = Told()
    for left in range(40, 20, -1):
        told.feed(0.9, median=float(left))
    assert [event for _, event in told.events] == ["begin"]
    assert told.feed(0.9, median=40.0) == ["update"]


def test_the_crossing_itself_is_told_at_once_and_so_is_the_way_back() -> None:
    """Whether it was foretold or not."""
    told = Told()
    assert told.feed(0.1, crossed=True) == ["begin"]
    told = Told()
    told.feed(0.6)
    assert told.feed(0.6, crossed=True) == ["update"]
    assert told.feed(0.6) == ["update"]


def test_what_is_not_known_is_not_likely() -> None:
    """A stream that begins anew ends its event."""
    told = Told()
    told.feed(0.6)
    assert told.feed(*[float("nan")] * 3) == ["end"]
