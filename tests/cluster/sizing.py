"""A cluster on paper: backlog and silence from figures that were measured. `python -m cluster.sizing`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Measured:
    """What one process does here.

    Attributes:
        partition_us, ingest_us: Processor time of a reading, µs.
        base_mb, stream_kb: Memory of a partition without streams; of each stream.
        away_s: From the loss of a node to the first commit of its partitions' successors, s.
        commit_s: From a batch's arrival to its commit in PostgreSQL, s.
    """

    partition_us: float
    ingest_us: float
    base_mb: float
    stream_kb: float
    away_s: float
    commit_s: float


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


@dataclass(frozen=True, slots=True)
class Lost:
    """What the loss of one node does to the partitions on it.

    Attributes:
        silence_s: Without a forecast.
        backlog: Readings that wait at most, at brokers and ingests.
        caught_up_s: After the loss until nothing waits.
    """

    silence_s: float
    backlog: int
    caught_up_s: float


def size(wish: Wish, one: Measured) -> Sized:
    """Partitions, ingests, memory and commits a second for a wish."""
    partitions = max(1, math.ceil(wish.rate * one.partition_us / 1e6 / wish.load))
    ingests = max(1, math.ceil(wish.rate * one.ingest_us / 1e6 / wish.load))
    memory_gb = partitions * one.base_mb / 1e3 + wish.streams * one.stream_kb / 1e6
    commits_s = partitions * min(1 / one.commit_s, wish.rate / partitions)
    cores = wish.rate * (one.partition_us + one.ingest_us) / 1e6
    return Sized(partitions, ingests, round(memory_gb, 1), round(commits_s), round(cores, 1))


def lose_node(wish: Wish, one: Measured, *, tick_s: float = 0.1) -> Lost:
    """Second by second: partitions of a node are away, then work off what came meanwhile at all that they can."""
    sized = size(wish, one)
    away = math.ceil(sized.partitions / wish.nodes)
    rate = wish.rate * away / sized.partitions
    capacity = away * 1e6 / one.partition_us
    now_s = waiting = most = 0.0
    while now_s < one.away_s or waiting > 0:
        done = 0.0 if now_s < one.away_s else capacity * tick_s
        waiting = max(0.0, waiting + rate * tick_s - done)
        most, now_s = max(most, waiting), now_s + tick_s
        if now_s > 3600:
            break
    return Lost(round(one.away_s + one.commit_s, 1), round(most), round(now_s, 1))


#: On two slow cores, by `make cluster`; the longest silence of all that was hurt.
HERE = Measured(partition_us=41.0, ingest_us=28.0, base_mb=160.0, stream_kb=3.3, away_s=6.6, commit_s=0.01)


def main() -> None:
    """The table of docs/scale.md."""
    for wish in (Wish(10**5, 10**4), Wish(10**6, 10**6 / 60), Wish(10**6, 10**5, nodes=8)):
        for load in (0.5, 0.7):
            asked = replace(wish, load=load)
            print(asked, size(asked, HERE), lose_node(asked, HERE), sep="\n  ")


if __name__ == "__main__":
    main()
