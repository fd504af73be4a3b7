"""What was heard of a hurt cluster, folded: copies, order, and how long it was silent after which hurt."""

from __future__ import annotations

import msgspec

from cluster.judging import fold, waves
from gaugecast_sim.sink import Received


def heard(stream: str, step: int, at_s: float, value: float = 1.0) -> Received:
    """A forecast that came then."""
    body = msgspec.json.encode({"stream": stream, "step": step, "forecast": value})
    return Received(b"t", body, round(at_s * 1e9), 1, False, False)


def test_silence_belongs_to_the_hurt_before_it_ended() -> None:
    """Of all streams the longest; what was there before the first hurt has a name of its own."""
    messages = [
        heard("a", 1, 1.0),
        heard("a", 2, 2.5),
        heard("b", 1, 3.0),
        heard("a", 3, 7.5),
        heard("b", 2, 7.0),
        heard("a", 4, 8.0),
    ]
    hurts = [("ingest killed", 3_500_000_000), ("node killed", 7_600_000_000)]
    assert fold(messages, hurts).silence_s == {"nothing": 1.5, "ingest killed": 5.0, "node killed": 0.5}


def test_copies_are_counted_and_held_against_the_first() -> None:
    """The same bytes do no harm; an earlier step that comes first after a later one is disorder."""
    found = fold([heard("a", 1, 1), heard("a", 1, 2), heard("a", 1, 3, 2.0), heard("a", 3, 4), heard("a", 2, 5)])
    assert (found.copies, found.torn, found.disordered) == (2, 1, 1)


def test_a_wave_is_as_high_as_what_came_and_was_not_answered() -> None:
    """Ten readings a second, two seconds of silence, then two at once until none waits."""
    times = (
        [0.1 * n for n in range(1, 11)] + [3.0 + 0.05 * n for n in range(1, 41)] + [5.0 + 0.1 * n for n in range(1, 11)]
    )
    messages = [heard("a", step, at_s) for step, at_s in enumerate(times)]
    found = waves(messages, [("node killed", 1_000_000_000)], rate=10.0)["node killed"]
    assert found.waiting == 20
    assert 3.0 < found.caught_up_s < 4.0
