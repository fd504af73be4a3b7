"""What the learner needs of the other edges; `service.learning` hands them in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from gaugecast.events import Event
from gaugecast.fleet import Fleet
from gaugecast.model import Model
from gaugecast.pipeline import Pipeline
from gaugecast.records import Input


class StoredBatch(Protocol):
    """Consecutive inputs; the i-th has seq `first_seq + i`."""

    @property
    def first_seq(self) -> int: ...
    @property
    def inputs(self) -> Sequence[Input]: ...


class LedgerHistory(Protocol):
    """The ledger, read-only; every call sees what is durable then. `renew`: whether it is another one since."""

    def renew(self) -> bool: ...
    @property
    def first_seq(self) -> int: ...
    @property
    def last_seq(self) -> int: ...
    @property
    def received_at_ns(self) -> int: ...
    def events(self, after_seq: int = 0) -> list[tuple[int, str, Event]]: ...
    def replay(self, after_seq: int, *, most: int = 2000, upto_seq: int | None = None) -> Iterator[StoredBatch]: ...


class Store(Protocol):
    """Weights by fleet and version."""

    def load(self, fleet: str, version: str) -> Model: ...
    def add(self, fleet: str, model: Model) -> str: ...


#: Makes an empty pipeline.
NewPipeline = Callable[[], Pipeline]
#: A pipeline restored from the newest checkpoint (or empty), and the seq that it stands at.
RestoreNewest = Callable[[NewPipeline], tuple[Pipeline, int]]
#: Sends a command to the loop and gives its answer. Raises `GaugecastError` where it is refused or nobody answers.
Ask = Callable[[Mapping[str, Any]], Mapping[str, Any]]
#: Puts what a newcomer (fleet, version) remembers of the streams where the loop finds it.
Remember = Callable[[str, str, list[bytes]], None]
#: What a model remembers of all streams of a fleet, once it has gone over the ledger's past.
Warm = Callable[[Fleet, Model], list[bytes]]
