"""The two homes that a ledger may have, for tests that hold for both."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from gaugecast.config.schema import Storage
from gaugecast.ledger import Ledger, LedgerReader
from gaugecast.ledger.reads import LedgerReads, Reader
from gaugecast.ledger.writing import LedgerWriter
from gaugecast.records import Input

if TYPE_CHECKING:
    from support.postgres import Postgres


_DEFAULT = Storage()


class LedgerHome(Protocol):
    """A place for one ledger."""

    def open(self, storage: Storage = ..., **more: Any) -> LedgerWriter:
        """It, made where there is none; as the next process would open it."""

    def reader(self) -> Reader:
        """It, to be read."""

    def fresh(self) -> LedgerHome:
        """Another place, where there is none."""


class InFile:
    """SQLite."""

    def __init__(self, directory: Path) -> None:
        self.directory, self._numbers = directory, itertools.count()

    def open(self, storage: Storage = _DEFAULT, **more: Any) -> LedgerWriter:
        """As of `LedgerHome`."""
        return Ledger.open(self.directory, storage, **more)

    def reader(self) -> Reader:
        """As of `LedgerHome`."""
        return LedgerReader(self.directory)

    def fresh(self) -> LedgerHome:
        """As of `LedgerHome`."""
        directory = self.directory / str(next(self._numbers))
        directory.mkdir()
        return InFile(directory)


class InPostgres:
    """A schema; checkpoints do not hold pruning up here, as they are told by the caller."""

    def __init__(self, server: Postgres) -> None:
        self._server, self.place = server, server.new_place()

    def open(self, storage: Storage = _DEFAULT, **more: Any) -> LedgerWriter:
        """As of `LedgerHome`."""
        from gaugecast.cluster.postgres.ledger import PostgresLedger

        ledger = PostgresLedger.open(self.place, storage, **more)
        ledger._floor_seq = 1 << 62
        return ledger

    def reader(self) -> Reader:
        """As of `LedgerHome`."""
        from gaugecast.cluster.postgres.reader import PostgresReader

        return PostgresReader(self.place)

    def fresh(self) -> LedgerHome:
        """As of `LedgerHome`."""
        return InPostgres(self._server)


def seal_all(ledger: LedgerWriter, floor_seq: int = 0) -> int:
    """Prune until nothing is left to do; how many calls it took."""
    for steps in range(10_000):
        if ledger.prune(floor_seq) == 0:
            return steps
    raise AssertionError("pruning never ends")


def segments(ledger: LedgerWriter) -> int:
    """How many segments there are."""
    found: int = ledger._connection.execute("SELECT count(*) FROM segments").fetchone()[0]
    return found


def told(ledger: LedgerReads) -> tuple[list[Input], list[int], list[object]]:
    """Inputs, verdicts, and outputs without what is only kept while it is unconfirmed."""
    batches = list(ledger.replay(0, most=7))
    outputs: list[object] = list(ledger.outputs(0, ledger.last_seq))
    return [x for b in batches for x in b.inputs], [v for b in batches for v in b.verdicts], outputs
