"""Outputs that wait in memory between the ledger and the broker, in runs that share their flags."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby


@dataclass(frozen=True, slots=True)
class Run:
    """Outputs one after another, by column.

    Attributes:
        arrived_s: When what they were made of arrived, monotonic; `None` where they were read back from the ledger.
    """

    positions: Sequence[int]
    topics: Sequence[str]
    bodies: Sequence[bytes]
    qos: int
    retain: bool
    arrived_s: float | None

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def size(self) -> int:
        """Bytes of the bodies."""
        return sum(map(len, self.bodies))

    def cut(self, places: slice) -> Run:
        """A stretch of them."""
        columns = self.positions[places], self.topics[places], self.bodies[places]
        return Run(*columns, self.qos, self.retain, self.arrived_s)

    def pick(self, places: Sequence[int]) -> Run:
        """Some of them."""
        positions, topics = [self.positions[i] for i in places], [self.topics[i] for i in places]
        return Run(positions, topics, [self.bodies[i] for i in places], self.qos, self.retain, self.arrived_s)


class SendQueue:
    """Owned by the publisher.

    Attributes:
        size: Bytes of the bodies that wait.
    """

    def __init__(self) -> None:
        self._runs: deque[Run] = deque()
        self._count = self.size = 0

    def __len__(self) -> int:
        """How many outputs wait."""
        return self._count

    @property
    def qos(self) -> int:
        """Of the first that waits."""
        return self._runs[0].qos

    def add(
        self, positions: Sequence[int], topics: Sequence[str], bodies: Sequence[bytes], *,
        flags: Iterable[tuple[int, bool]], arrived_s: float | None = None,
    ) -> None:  # fmt: skip
        """Let outputs wait whose (QoS, retain) are `flags`."""
        begin = 0
        for (qos, retain), alike in groupby(flags):
            run = slice(begin, begin + len(list(alike)))
            self._runs.append(Run(positions[run], topics[run], bodies[run], qos, retain, arrived_s))
            begin = run.stop
        self._count += begin
        self.size += sum(map(len, bodies))

    def take(self, most: int) -> Run:
        """Up to so many of those that wait first, all with the same flags."""
        run = self._runs.popleft()
        if len(run) > most:
            self._runs.appendleft(run.cut(slice(most, None)))
            run = run.cut(slice(most))
        self._count -= len(run)
        self.size -= run.size
        return run

    def clear(self) -> None:
        """Nothing waits any more."""
        self._runs.clear()
        self._count = self.size = 0
