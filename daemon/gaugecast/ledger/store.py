"""The ledger's writer over an SQLite file."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gaugecast.config.schema import Storage
from gaugecast.errors import StorageBusy, StorageError, StorageFull
from gaugecast.faults import Faults, no_faults
from gaugecast.ledger import schema
from gaugecast.ledger.connection import connect_writer, translated
from gaugecast.ledger.file import home_of
from gaugecast.ledger.rows import Committed
from gaugecast.ledger.sealing import SEGMENT_ROWS
from gaugecast.ledger.wal import WalGuard, bound_bytes
from gaugecast.ledger.writing import LedgerWriter
from gaugecast.records import Commit


class Ledger(LedgerWriter):
    """The open ledger. Only one thread (the loop) may call it; only one `Ledger` may be open on a directory.

    `StateLock` sees to the second. All methods raise `StorageError` where the disk fails; after that only `close`
    may be called.

    Attributes:
        path: The file.
    """

    _connection: sqlite3.Connection

    def __init__(
        self, directory: Path, storage: Storage, connection: sqlite3.Connection, *, segment_rows: int, faults: Faults
    ) -> None:
        self.path = directory / schema.FILE_NAME
        super().__init__(home_of(self.path), storage, connection, segment_rows=segment_rows, faults=faults)
        self._wal_guard = WalGuard(self.path, connection, bound=bound_bytes(storage.keep_gb))

    @classmethod
    def open(
        cls, directory: Path, storage: Storage, *, create: bool = True,
        segment_rows: int = SEGMENT_ROWS, faults: Faults = no_faults,
    ) -> Ledger:  # fmt: skip
        """Open `directory`/ledger.sqlite, and make it if `create`; one of an earlier version becomes one of ours.

        Args:
            segment_rows: So many old inputs are sealed into one segment; the granularity of pruning.
            faults: Called with each point of `FAULT_POINTS` that is passed.

        Raises:
            StorageError: no ledger, a damaged one, or one of another version or application.
        """
        path = directory / schema.FILE_NAME
        if not create and not path.exists():
            raise StorageError(f"expected a ledger at {path}, found none")
        with translated(path):
            connection = connect_writer(path)
            try:
                if schema.is_empty(connection):
                    schema.create_tables(connection)
                if schema.check_version(connection, path) < schema.VERSION:
                    _upgrade(connection, faults)
                return cls(directory, storage, connection, segment_rows=segment_rows, faults=faults)
            except BaseException:
                connection.close()
                raise

    def commit(self, commit: Commit) -> Committed:
        """As of `LedgerWriter`; then it is seen to that the WAL stays within its bound."""
        done = super().commit(commit)
        if self._wal_guard.is_due(self._heads.written_bytes):
            # The commit holds whatever becomes of this: a full disk or a lock only puts it off.
            with contextlib.suppress(StorageFull, StorageBusy), translated(self.path):
                self._wal_guard.look()
        return done

    def _begin(self, *, tidying: bool) -> None:  # noqa: ARG002  (`_unsynced` has seen to it)
        self._connection.execute("BEGIN IMMEDIATE")

    @contextmanager
    def _unsynced(self) -> Iterator[None]:
        (synchronous,) = self._connection.execute("PRAGMA synchronous").fetchone()
        try:
            self._connection.execute("PRAGMA synchronous = NORMAL")
            yield
        finally:
            self._connection.execute(f"PRAGMA synchronous = {synchronous}")


def _upgrade(connection: sqlite3.Connection, faults: Faults) -> None:
    """Make a file of version 1 one of ours, or leave it as it is: in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        faults("upgrade:begun")
        schema.upgrade(connection)
        faults("upgrade:made")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    faults("upgrade:after")
