"""The ledger's writer: one transaction a micro-batch, and the few marks around it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gaugecast.config.schema import Storage
from gaugecast.errors import StorageBusy, StorageDamaged, StorageError, StorageFull
from gaugecast.faults import Faults, no_faults
from gaugecast.ledger import queries, retention, schema
from gaugecast.ledger.connection import connect_writer, translated
from gaugecast.ledger.reads import LedgerReads
from gaugecast.ledger.rows import Committed
from gaugecast.ledger.sealing import SEGMENT_ROWS, Sealer
from gaugecast.ledger.streams import StreamIds
from gaugecast.ledger.transaction import Heads, check_commit, write_commit
from gaugecast.ledger.wal import WalGuard, bound_bytes
from gaugecast.records import Commit

_NOTHING = retention.Pruned(0, 0)


class Ledger(LedgerReads):
    """The open ledger. Only one thread (the loop) may call it; only one `Ledger` may be open on a directory.

    `StateLock` sees to the second. All methods raise `StorageError` where the disk fails; after that only `close`
    may be called.
    """

    def __init__(
        self, directory: Path, storage: Storage, connection: sqlite3.Connection, *, segment_rows: int, faults: Faults
    ) -> None:
        super().__init__(directory / schema.FILE_NAME, connection)
        self._storage = storage
        self._faults = faults
        self._failed: StorageError | None = None
        self._ids = StreamIds(connection)
        self._heads = Heads.load(self._view)
        self._sealer = Sealer(self._view, rows=segment_rows, keep_bytes=storage.keep_gb * 1e9)
        self._wal_guard = WalGuard(self.path, connection, bound=bound_bytes(storage.keep_gb))
        self._parked = queries.parked_count(connection)

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
        """Make all durable at once. The i-th input gets seq `first_seq + i`, the i-th output `first_position + i`.

        The quarantine table keeps the newest `storage.quarantine_rows`.

        Raises:
            StorageFull, StorageBusy: nothing was written; the same call later stores exactly the same rows.
            StorageError: it is unknown whether anything was written; end the process.
            Defect: rows that cannot be stored, or that contradict each other or the ledger.
        """
        check_commit(commit, self._heads)
        self._faults("commit:before")
        with self._transaction():
            self._faults("commit:begun")
            heads, parked_change = write_commit(
                self._view, self._ids, self._heads, commit, quarantine_rows=self._storage.quarantine_rows
            )
            self._faults("commit:inserted")
        before, self._heads = self._heads, heads
        self._view.remember(0, ())  # what recovery has unpacked
        self._parked += parked_change
        self._faults("commit:after")
        if self._wal_guard.is_due(heads.written_bytes):
            self._guard_wal()
        return Committed(before.last_seq + 1, heads.last_seq, before.last_position + 1, heads.last_position)

    @property
    def quarantine_count(self) -> int:
        """How many refused messages are kept."""
        with translated(self.path):
            return queries.quarantine_count(self._connection)

    @property
    def refused_count(self) -> int:
        """How many refused outputs are kept, to be offered again."""
        with translated(self.path):
            return queries.refused_count(self._connection)

    def parked_count(self) -> int:
        """How many streams are parked now."""
        return self._parked

    def begin_run(self) -> bool:
        """Mark durably that a run began; return whether the one before it ended cleanly (also if there was none)."""
        with self._transaction():
            row = self._connection.execute("SELECT value FROM meta WHERE key = 'clean_shutdown'").fetchone()
            self._connection.execute("INSERT OR REPLACE INTO meta VALUES ('clean_shutdown', 0)")
        return row is None or row[0] == 1

    def end_run(self) -> None:
        """Mark durably that this run ended as asked."""
        with self._transaction():
            self._connection.execute("INSERT OR REPLACE INTO meta VALUES ('clean_shutdown', 1)")

    def note_fingerprint(self, text: str) -> None:
        """Inputs from the next one on are computed under fingerprint `text`."""
        with self._transaction():
            known = queries.fingerprints(self._connection)
            if not known or known[-1][1] != text:
                self._connection.execute("INSERT OR REPLACE INTO fingerprints VALUES (?, ?)", (self.last_seq + 1, text))

    def prune(self, floor_seq: int) -> int:
        """Seal what is confirmed, and delete what is older than `keep_days` or beyond `keep_gb`: a little of it.

        Never an input after `floor_seq` (what the older kept checkpoint stands at) is deleted, nor one whose outputs
        are not all confirmed. Call again, between batches, while it returns more than zero: one call takes some
        milliseconds. It is not synced, since what it writes may as well be done again; the next commit syncs it, too.
        Rows that are found damaged stay, and are noted in `damages`.
        """
        (synchronous,) = self._connection.execute("PRAGMA synchronous").fetchone()
        try:
            self._connection.execute("PRAGMA synchronous = NORMAL")
            with self._transaction(tidying=True):
                sealed = self._sealer.step(self._heads)
                pruned = self._retain(floor_seq, sealing=sealed > 0) if self._sealer.resting else _NOTHING
                self._faults("prune:deleted")
        except StorageDamaged as exc:
            self.damages.note(exc)
            self._sealer.give_up()
            return 0
        except BaseException:
            self._sealer.reset()
            raise
        finally:
            self._connection.execute(f"PRAGMA synchronous = {synchronous}")
        self._parked -= pruned.parked
        if pruned.rows:
            self.damages.forget(self.first_seq)
        self._faults("prune:after")
        return pruned.rows + pruned.parked + sealed

    def _retain(self, floor_seq: int, *, sealing: bool) -> retention.Pruned:
        return retention.prune(self._view, self._ids, self._storage, self._heads, floor_seq=floor_seq, sealing=sealing)

    def close(self) -> None:
        """Close the file. Does not mark the run as ended."""
        with translated(self.path):
            self._connection.close()

    def _ends(self) -> tuple[int, ...]:
        """As of our own last commit: nobody else writes."""
        return self._heads

    def _guard_wal(self) -> None:
        """After a commit, which holds whatever becomes of this: a full disk or a lock only puts it off."""
        with contextlib.suppress(StorageFull, StorageBusy), translated(self.path):
            self._wal_guard.look()

    @contextmanager
    def _transaction(self, *, tidying: bool = False) -> Iterator[None]:
        """BEGIN IMMEDIATE … COMMIT; whatever is raised inside rolls back. A failed disk is never tried again.

        Args:
            tidying: Damage is no reason to end: it lies in rows that nobody needs just now.
        """
        if self._failed is not None:
            raise StorageError(f"the ledger failed before: {self._failed}")
        try:
            with translated(self.path):
                self._connection.execute("BEGIN IMMEDIATE")
                yield
                self._connection.execute("COMMIT")
        except BaseException as exc:
            self._roll_back()
            passing = StorageFull | StorageBusy | StorageDamaged if tidying else StorageFull | StorageBusy
            if isinstance(exc, StorageError) and not isinstance(exc, passing):
                self._failed = exc
            raise
        self._ids.keep()

    def _roll_back(self) -> None:
        self._ids.undo()
        if self._connection.in_transaction:
            with translated(self.path):
                self._connection.execute("ROLLBACK")


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
