"""What ingests and partitions need of the world: Ray and PostgreSQL fill it, and the simulation with fakes."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from gaugecast.cluster.batches import Batch
from gaugecast.loop.ports import Connected
from gaugecast.records import Message


class Fate(enum.Enum):
    """What became of a batch that was sent."""

    COMMITTED = "committed"
    UNKNOWN = "unknown"  # no answer: its partition died, or moved; the same batch is sent again
    STALE = "stale"  # a later process of our name has sent something: we must end


class Answer(NamedTuple):
    """Of one partition to the one batch that was on its way to it."""

    partition: int
    position: int
    fate: Fate


class Partitions(Protocol):
    """The way to the partitions."""

    def send(self, partition: int, batch: Batch) -> None: ...
    def take_answers(self) -> list[Answer]: ...


class Heard(Protocol):
    """What an ingest needs of the connection that hears."""

    @property
    def connected(self) -> bool: ...
    def ack(self, messages: Sequence[Message]) -> int: ...
    def take_connects(self) -> Sequence[Connected]: ...


class Asked(Protocol):
    """What an ingest needs of the connection that speaks."""

    def ask(self, topic: str, body: bytes) -> None: ...


class Source(Protocol):
    """What an ingest needs of `mqtt.Link`."""

    @property
    def subscriber(self) -> Heard: ...
    @property
    def sender(self) -> Asked: ...
    def poll(self, most: int, wait_s: float, linger_s: float = 0.0) -> list[Message]: ...
