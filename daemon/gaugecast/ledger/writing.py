"""Writing the ledger, wherever it lies: one transaction a micro-batch, and the few marks around it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from gaugecast.config.schema import Storage
from gaugecast.errors import StorageBusy, StorageDamaged, StorageError, StorageFull
from gaugecast.faults import Faults
from gaugecast.ledger import queries, retention
from gaugecast.ledger.reads import LedgerReads
from gaugecast.ledger.rows import Committed
from gaugecast.ledger.sealing import Sealer
from gaugecast.ledger.sql import Connection, Home
from gaugecast.ledger.streams import StreamIds
from gaugecast.ledger.transaction import Heads, check_commit, write_commit
from gaugecast.records import Commit

_NOTHING = retention.Pruned(0, 0)
_FINGERPRINT = "INSERT INTO fingerprints VALUES (?, ?) ON CONFLICT (seq) DO UPDATE SET text = excluded.text"


class LedgerWriter(LedgerReads):
    """The open ledger, but for how a transaction begins and ends there. Only one thread (the loop) may call it.

    All methods raise `StorageError` where the disk fails; after that only `close` may be called.
    """

    def __init__(
        self, home: Home, storage: Storage, connection: Connection, *, segment_rows: int, faults: Faults
    ) -> None:
        self._storage = storage
        self._faults = faults
        self._segment_rows = segment_rows
        self._failed: StorageError | None = None
        super().__init__(home, connection)

    def _attach(self, connection: Connection) -> None:
        """Write over this connection from now on: whatever was remembered of the ledger is read anew."""
        super()._attach(connection)
        self._ids = StreamIds(connection)
        self._heads = Heads.load(self._view)
        self._sealer = Sealer(self._view, rows=self._segment_rows, keep_bytes=self._storage.keep_gb * 1e9)
        self._parked = queries.parked_count(connection)

    def _begin(self, *, tidying: bool) -> None:
        """Begin a transaction that writes; one that tidies up need not be durable when it ends."""
        raise NotImplementedError

    def _end(self) -> None:
        """End it; what was written is durable then."""
        self._connection.execute("COMMIT")

    def _unsynced(self) -> AbstractContextManager[None]:
        """Around a transaction that tidies up."""
        return nullcontext()

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
        return Committed(before.last_seq + 1, heads.last_seq, before.last_position + 1, heads.last_position)

    @property
    def quarantine_count(self) -> int:
        """How many refused messages are kept."""
        with self._home.errors():
            return queries.quarantine_count(self._connection)

    @property
    def refused_count(self) -> int:
        """How many refused outputs are kept, to be offered again."""
        with self._home.errors():
            return queries.refused_count(self._connection)

    def parked_count(self) -> int:
        """How many streams are parked now."""
        return self._parked

    def begin_run(self) -> bool:
        """Mark durably that a run began; return whether the one before it ended cleanly (also if there was none)."""
        with self._transaction():
            row = self._connection.execute("SELECT value FROM meta WHERE key = 'clean_shutdown'").fetchone()
            self._connection.execute(queries.SET_META, ("clean_shutdown", 0))
        return row is None or row[0] == 1

    def end_run(self) -> None:
        """Mark durably that this run ended as asked."""
        with self._transaction():
            self._connection.execute(queries.SET_META, ("clean_shutdown", 1))

    def note_fingerprint(self, text: str) -> None:
        """Inputs from the next one on are computed under fingerprint `text`."""
        with self._transaction():
            known = queries.fingerprints(self._connection)
            if not known or known[-1][1] != text:
                self._connection.execute(_FINGERPRINT, (self.last_seq + 1, text))

    def prune(self, floor_seq: int) -> int:
        """Seal what is confirmed, and delete what is older than `keep_days` or beyond `keep_gb`: a little of it.

        Never an input after `floor_seq` (what the older kept checkpoint stands at) is deleted, nor one whose outputs
        are not all confirmed. Call again, between batches, while it returns more than zero: one call takes some
        milliseconds. It is not synced, since what it writes may as well be done again; the next commit syncs it, too.
        Rows that are found damaged stay, and are noted in `damages`.
        """
        try:
            with self._unsynced(), self._transaction(tidying=True):
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
        self._parked -= pruned.parked
        if pruned.rows:
            self.damages.forget(self.first_seq)
        self._faults("prune:after")
        return pruned.rows + pruned.parked + sealed

    def _retain(self, floor_seq: int, *, sealing: bool) -> retention.Pruned:
        return retention.prune(
            self._view, self._ids, self._storage, self._heads, home=self._home, floor_seq=floor_seq, sealing=sealing
        )

    def close(self) -> None:
        """Close the connection. Does not mark the run as ended."""
        with self._home.errors():
            self._connection.close()

    def _ends(self) -> tuple[int, ...]:
        """As of our own last commit: nobody else writes."""
        return self._heads

    @contextmanager
    def _transaction(self, *, tidying: bool = False) -> Iterator[None]:
        """From `_begin` to `_end`; whatever is raised inside rolls back. A failed disk is never tried again.

        Args:
            tidying: Damage is no reason to end: it lies in rows that nobody needs just now.
        """
        if self._failed is not None:
            raise StorageError(f"the ledger failed before: {self._failed}")
        try:
            with self._home.errors():
                self._begin(tidying=tidying)
                yield
                self._end()
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
            with self._home.errors():
                self._connection.execute("ROLLBACK")
