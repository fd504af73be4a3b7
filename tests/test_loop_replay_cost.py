"""What a replay would cost is learned from rounds, though these are small and a replay's batches are large."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from random import Random

import pytest

from gaugecast.loop.replay_cost import READ_BACK_S, REPLAY_BATCH, Replay, ReplayCost
from gaugecast.records import Input
from gaugecast.testing import reading, timer

TURN_S, INPUT_S = 400e-6, 30e-6


def rounds(cost: ReplayCost, sizes: Iterable[int], *, streams: int, held_up: float = 0.0) -> None:
    """Rounds of so many readings, the streams in turn, each as long as a machine of these speeds takes for it.

    Args:
        held_up: Seconds that one round in a hundred takes longer.
    """
    turn = count()
    for number, size in enumerate(sizes):
        inputs = [reading(0, 1.0, stream=f"s{next(turn) % streams}") for _ in range(size)]
        turns = -(-size // streams)
        late_s = held_up if number % 100 == 50 else 0.0
        cost.add(inputs, TURN_S * turns + INPUT_S * size + late_s)


def replay_s(inputs: int, *, streams: int) -> float:
    """What that machine needs to replay so many readings in batches of two thousand."""
    turns = inputs / REPLAY_BATCH * max(1.0, REPLAY_BATCH / streams)
    return TURN_S * turns + (INPUT_S + READ_BACK_S) * inputs


@pytest.mark.parametrize("most", [3, 20, 3000])
@pytest.mark.parametrize("streams", [1, 30, 1000])
def test_small_rounds_tell_what_large_batches_cost(streams: int, most: int) -> None:
    """Within a fifth: for one stream that is called for each reading, and for a thousand that go together."""
    rng, cost = Random(1), ReplayCost()
    sizes = [rng.randint(1, most) for _ in range(60_000 // most)]
    rounds(cost, sizes, streams=streams)
    assert cost.pending.inputs == sum(sizes)
    assert cost.seconds == pytest.approx(replay_s(sum(sizes), streams=streams), rel=0.2)


def test_a_thousand_streams_one_at_a_time_are_no_thousand_times_dearer() -> None:
    """Rounds that are all alike say nothing of large batches; what is believed then is not the sum of the rounds."""
    cost = ReplayCost()
    rounds(cost, [1] * 20_000, streams=1000)
    took_s = 20_000 * (TURN_S + INPUT_S)
    assert cost.seconds < took_s / 5
    assert cost.seconds > replay_s(20_000, streams=1000) / 2


def test_rounds_that_are_held_up_are_not_believed() -> None:
    """Half a second in which another process had the processor is none of a replay's."""
    rng, cost = Random(1), ReplayCost()
    sizes = [rng.randint(1, 20) for _ in range(3000)]
    rounds(cost, sizes, streams=1000, held_up=0.5)
    assert cost.seconds == pytest.approx(replay_s(sum(sizes), streams=1000), rel=0.5)


def test_another_machine_is_learned_anew() -> None:
    """What was measured fades: a processor that is clocked down, another model."""
    rng, cost = Random(1), ReplayCost()
    rounds(cost, [rng.randint(1, 20) for _ in range(5000)], streams=1000)
    for _ in range(40_000):
        size = rng.randint(1, 20)
        cost.add([timer(0)] * size, 3 * INPUT_S * size)
    assert cost.seconds_of(Replay(0, 1)) == pytest.approx(3 * INPUT_S + READ_BACK_S, rel=0.1)


def test_fleets_are_stepped_one_after_the_other() -> None:
    """A turn of each; what is no reading calls no engine."""
    cost = ReplayCost()
    inputs: list[Input] = [reading(0, 1.0, stream=s, fleet=f) for f, s in ("aa", "aa", "ab", "ba", "bb", "bb", "bb")]
    cost.add([*inputs, timer(0), Input.reject("not_json", 0)], 0.001)
    assert cost.pending == Replay(5, 9)


def test_what_is_given_back_is_pending_again() -> None:
    """A checkpoint that came to nothing covers nothing."""
    cost = ReplayCost()
    rounds(cost, [30], streams=10)
    taken = cost.take()
    assert taken == Replay(3, 30)
    assert cost.pending == Replay()
    rounds(cost, [7], streams=10)
    cost.give_back(taken)
    assert cost.pending == Replay(4, 37)
    cost.add([], 1.0)
    assert cost.pending == Replay(4, 37)
