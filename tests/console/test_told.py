"""What the console remembers of streams that somebody watches."""

from __future__ import annotations

from gaugecast.console.told import MOST_STEPS, MOST_STREAMS, Told
from gaugecast.control.answers import AheadRow, IntervalRow, StreamRow


def row(at_s: float | None, stream: str = "a", lower: float = 1.0) -> StreamRow:
    """With one interval at the first of two horizons."""
    ahead = [
        AheadRow(in_s=1, forecast=1.5, intervals=[IntervalRow(level=0.8, lower=lower, upper=2.0)]),
        AheadRow(in_s=2),
    ]
    return StreamRow(fleet="f", stream=stream, feature="p", at_s=at_s, quality=["partial"], ahead=ahead)


def test_what_was_told_is_found_by_the_instant_of_its_step() -> None:
    """The narrowest interval at each horizon, and the quality in words; told twice, the newest."""
    told = Told()
    told.note([row(1.5)])
    told.note([row(1.5, lower=0.5)])
    told.note([row(None)])
    (said,) = told.of("f", "a").values()
    assert said.words == "a value was missing"
    assert said.bounds == {"p": [(0.5, 2.0), None]}
    assert told.of("f", "other") == {}


def test_old_steps_and_streams_are_let_go_of() -> None:
    """So that a console that runs for a year takes no more than one that runs for an hour."""
    told = Told()
    for step in range(MOST_STEPS + 5):
        told.note([row(float(step))])
    assert (len(told.of("f", "a")), min(told.of("f", "a"))) == (MOST_STEPS, 5_000_000)
    for number in range(MOST_STREAMS):
        told.note([row(1.0, f"s{number}")])
    assert told.of("f", "a") == {}
