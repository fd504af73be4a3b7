"""A cluster on paper: what a wish takes, and what losses, moves and absences do, step by step, from measured figures.

`python -m cluster.sizing` makes the tables of docs/scale.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

_TICK_S, _CALM_S, _LONGEST_S = 0.02, 1.0, 3600.0
#: Readings of so long wait always, on their way through.
_ABOUT_NONE_S = 0.5


@dataclass(frozen=True, slots=True)
class Measured:
    """What one process does here.

    Attributes:
        partition_us, ingest_us: Processor time of a reading, µs.
        base_mb, stream_kb: Memory of a partition without streams; of each stream.
        away_s: From the loss of a node to the first commit of its partitions' successors, s.
        move_s: So long a partition that moves is silent; from one move to the next it takes `between_s`.
        commit_s: From a batch's arrival to its commit in PostgreSQL, s.
        window: Messages that a broker sends an ingest before it waits for an ack; acks come in order.
    """

    partition_us: float
    ingest_us: float
    base_mb: float
    stream_kb: float
    away_s: float
    move_s: float
    between_s: float
    commit_s: float
    window: int = 1000


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be carried.

    Attributes:
        load: Of its capacity that a partition may use at most when all is well.
        nodes: Machines that partitions are on.
    """

    streams: int
    rate: float
    load: float = 0.5
    nodes: int = 4


@dataclass(frozen=True, slots=True)
class Sized:
    """What it takes."""

    partitions: int
    ingests: int
    memory_gb: float
    commits_s: float
    cores: float


class Away(NamedTuple):
    """Some parts are away from one instant to another, s."""

    since_s: float
    until_s: float
    partitions: Sequence[int] = ()
    ingests: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Wave:
    """What absences do.

    Attributes:
        silence_s: The longest time in which a partition commits nothing.
        others_s: The longest time in which none of those that were there all the time did: an ingest whose window is
            full of what one waits for has nothing for the others.
        waiting: Readings that wait at most, at brokers and ingests.
        caught_up_s: After the first absence begins, until about none waits.
    """

    silence_s: float
    others_s: float
    waiting: int
    caught_up_s: float


def size(wish: Wish, one: Measured) -> Sized:
    """Partitions, ingests, memory and commits a second for a wish."""
    partitions = max(1, math.ceil(wish.rate * one.partition_us / 1e6 / wish.load))
    ingests = max(1, math.ceil(wish.rate * one.ingest_us / 1e6 / wish.load))
    memory_gb = partitions * one.base_mb / 1e3 + wish.streams * one.stream_kb / 1e6
    commits_s = partitions * min(1 / one.commit_s, wish.rate / partitions)
    cores = wish.rate * (one.partition_us + one.ingest_us) / 1e6
    return Sized(partitions, ingests, round(memory_gb, 1), round(commits_s), round(cores, 1))


class Plant:
    """Ingests and partitions at work, tick by tick. Readings come evenly, over ingests and over partitions.

    Of a message all before it must have been committed before it is acked, so what an ingest may pass on hangs on the
    partition that is furthest behind.
    """

    def __init__(self, partitions: int, ingests: int, *, rate: float, one: Measured) -> None:
        self.rate, self.now_s = rate, 0.0
        self._one, self._per_tick = one, _TICK_S * 1e6 / one.partition_us
        self._passed = np.zeros(ingests)  # readings that an ingest has passed on, to all partitions together
        self._done = np.zeros((ingests, partitions))  # of these, what a partition has committed
        self.still_s = np.zeros(partitions)  # since a partition has committed anything

    @property
    def waiting(self) -> float:
        """Readings that have come and are not committed."""
        return self.now_s * self.rate - float(self._done.sum())

    def tick(self, away: Sequence[Away]) -> None:
        """A step, in which these are away."""
        self.now_s += _TICK_S
        ingests, partitions = self._done.shape
        hears, works = np.ones(ingests, bool), np.ones(partitions, bool)
        for each in away:
            hears[list(each.ingests)], works[list(each.partitions)] = False, False
        allowed = partitions * self._done.min(axis=1) + self._one.window
        come = np.minimum(self.now_s * self.rate / ingests, allowed)
        self._passed = np.where(hears, np.maximum(come, self._passed), self._passed)
        left = self._passed[:, None] / partitions - self._done
        share = works * np.minimum(1.0, self._per_tick / np.maximum(left.sum(axis=0), 1e-9))
        self._done += left * share
        self.still_s = np.where((left * share).sum(axis=0) > 1e-9, 0.0, self.still_s + _TICK_S)


def simulate(partitions: int, ingests: int, *, rate: float, one: Measured, absences: Sequence[Away]) -> Wave:
    """What these absences do to a plant that was well before."""
    plant = Plant(partitions, ingests, rate=rate, one=one)
    hurt = {number for each in absences for number in each.partitions}
    well = [number for number in range(partitions) if number not in hurt]
    begin_s, end_s = min(each.since_s for each in absences), max(each.until_s for each in absences)
    most, silent_s, others_s = 0.0, 0.0, 0.0
    while plant.now_s < end_s or _ABOUT_NONE_S * rate < plant.waiting < _LONGEST_S * rate:
        plant.tick([each for each in absences if each.since_s <= plant.now_s < each.until_s])
        most, silent_s = max(most, plant.waiting), max(silent_s, float(plant.still_s.max()))
        others_s = max(others_s, float(plant.still_s[well].min())) if well else others_s
    return Wave(round(silent_s, 1), round(others_s, 1), round(most), round(plant.now_s - begin_s, 1))


def lose_node(wish: Wish, one: Measured) -> Wave:
    """A node with its share of everything; its parts are elsewhere after `away_s`."""
    sized = size(wish, one)
    gone = range(math.ceil(sized.partitions / wish.nodes)), range(sized.ingests // wish.nodes)
    return _simulated(wish, one, [Away(_CALM_S, _CALM_S + one.away_s, *gone)])


def join_node(wish: Wish, one: Measured) -> Wave:
    """Another node comes, and partitions move to it one at a time until none has two more than it."""
    moving = size(wish, one).partitions // (wish.nodes + 1)
    starts = [_CALM_S + number * one.between_s for number in range(max(1, moving))]
    return _simulated(wish, one, [Away(at, at + one.move_s, [number]) for number, at in enumerate(starts)])


def lose_database(wish: Wish, one: Measured, away_s: float) -> Wave:
    """No partition commits anything for so long."""
    return _simulated(wish, one, [Away(_CALM_S, _CALM_S + away_s, range(size(wish, one).partitions))])


def _simulated(wish: Wish, one: Measured, absences: Sequence[Away]) -> Wave:
    sized = size(wish, one)
    return simulate(sized.partitions, sized.ingests, rate=wish.rate, one=one, absences=absences)


#: On two slow cores, by `make cluster`.
HERE = Measured(
    partition_us=41.0,
    ingest_us=28.0,
    base_mb=160.0,
    stream_kb=3.3,
    away_s=4.7,
    move_s=2.3,
    between_s=8.0,
    commit_s=0.01,
)
WISHES = (Wish(10**5, 10**4), Wish(10**6, 10**6 / 60), Wish(10**6, 10**5, nodes=8))


def main() -> None:
    """The tables of docs/scale.md."""
    for wish in WISHES:
        print(wish, size(wish, HERE), sep="\n  ")
        for window in (HERE.window, 100_000):
            one = replace(HERE, window=window)
            print(
                f"  window {window}",
                lose_node(wish, one),
                join_node(wish, one),
                lose_database(wish, one, 5.0),
                sep="\n    ",
            )


if __name__ == "__main__":
    main()
