"""Copies the ledger's write-ahead log (WAL) into its file, so that the loop never has to."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from gaugecast.errors import StorageError
from gaugecast.ledger.connection import connect_wal

BOUND_BYTES = 64 << 20  # a WAL longer than this is made to begin anew
_LOOK_BYTES = 64 << 10  # the loop looks at the WAL's length whenever batches have taken so much
HARD_BOUND_BYTES = 256 << 20  # from here on the loop itself sees to it
_LEAST_BOUND_BYTES = 4 << 20
_WAL_SHARE = 1 / 32  # of what the ledger may take, where that is little
BUSY_MS = 5  # and the loop may be kept from committing for about so long


def bound_bytes(keep_gb: float) -> int:
    """How long the WAL of a ledger that may take `keep_gb` 10^9 bytes may become before it is made to begin anew."""
    return min(BOUND_BYTES, max(_LEAST_BOUND_BYTES, int(keep_gb * 1e9 * _WAL_SHARE)))


class WalGuard:
    """The loop's own guard, for when commits follow one another so closely that `WalCopier` never gets the lock.

    Owned by the ledger's writer; one `stat` in some commits while all is well.
    """

    def __init__(self, ledger: Path, connection: sqlite3.Connection, *, bound: int = BOUND_BYTES) -> None:
        self._wal = str(ledger.with_name(ledger.name + "-wal"))
        self._connection = connection
        self._next_bytes = HARD_BOUND_BYTES
        self._looked_bytes = 0
        connection.execute(f"PRAGMA journal_size_limit = {bound}")  # what remains of it once it began anew

    def is_due(self, written_bytes: int) -> bool:
        """Whether enough was written since the last look, of `written_bytes` in all, for another."""
        if written_bytes - self._looked_bytes < _LOOK_BYTES:
            return False
        self._looked_bytes = written_bytes
        return True

    def look(self) -> None:
        """Make an overlong WAL begin anew. In vain while a reader is in it; then again once it grew by a quarter."""
        try:
            size = os.stat(self._wal).st_size  # not `Path.stat`, which takes as long again
        except FileNotFoundError:
            return
        if size >= self._next_bytes:
            self._connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
            self._next_bytes = size + size // 4
        elif size < HARD_BOUND_BYTES:
            self._next_bytes = HARD_BOUND_BYTES


class WalCopier:
    """A connection of its own, owned by the thread that calls it.

    Args:
        ledger: Its file.
        bound: So many bytes of WAL are borne; see `bound_bytes`.

    Attributes:
        failures_total: Attempts that failed.
        failure: What the newest failure was, or `None`; stays after it was mended.
    """

    def __init__(self, ledger: Path, *, bound: int = BOUND_BYTES) -> None:
        self._ledger, self._bound = ledger, bound
        self._connection: sqlite3.Connection | None = None
        self._version = -1
        self.failures_total = 0
        self.failure: Exception | None = None

    def copy(self) -> None:
        """Copy what was committed since the last copy. Failures are counted: the WAL grows until they are mended."""
        try:
            if self._connection is None:
                if not self._ledger.exists():
                    return
                self._connection = connect_wal(self._ledger, busy_ms=BUSY_MS)
            self._copy(self._connection)
        except (sqlite3.Error, StorageError) as exc:
            self.failure = exc  # a full disk, mostly
            self.failures_total += 1

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()

    def _copy(self, connection: sqlite3.Connection) -> None:
        """Copy without blocking the loop; only a WAL that grew too long is blocked for, and for an instant.

        Under steady load the WAL never begins anew by itself, since there are always newer frames than the copied
        ones. After two passive rounds few are left, and RESTART, which takes the write lock, has only these to copy.
        """
        version = connection.execute("PRAGMA data_version").fetchone()[0]
        if version == self._version:
            return
        _, frames, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        page_bytes = connection.execute("PRAGMA page_size").fetchone()[0]
        if frames * page_bytes > self._bound:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        self._version = version  # only now, so that a copy that failed is tried again though nothing new came
