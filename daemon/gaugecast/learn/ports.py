"""What the learner needs of the other edges; `service.learning` hands them in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from gaugecast.model import Model
from gaugecast.pipeline import Pipeline
from gaugecast.records import Input


class StoredBatch(Protocol):
    """Consecutive inputs; the i-th has seq `first_seq + i`."""

    @property
    def first_seq(self) -> int: ...
    @property
    def inputs(self) -> list[Input]: ...


class History(Protocol):
    """The ledger, read-only; every call sees what is durable then."""

    @property
    def first_seq(self) -> int: ...
    @property
    def last_seq(self) -> int: ...
    @property
    def received_at_ns(self) -> int: ...
    def replay(self, after_seq: int, *, most: int = 2000) -> Iterator[StoredBatch]: ...


class Store(Protocol):
    """Weights by fleet and version."""

    def load(self, fleet: str, version: str) -> Model: ...
    def add(self, fleet: str, model: Model) -> str: ...


#: Opens the ledger and restores the pipeline from the newest checkpoint; (reader, the seq that it stands at).
OpenHistory = Callable[[Pipeline], tuple[History, int]]
#: Sends a command to the loop and gives its answer. Raises `GaugecastError` where it is refused or nobody answers.
Ask = Callable[[Mapping[str, Any]], Mapping[str, Any]]
