"""The ledger's writer over PostgreSQL: the same rows as over SQLite, behind a token, through a server's restarts."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from gaugecast.cluster.postgres import fence
from gaugecast.cluster.postgres.connection import PostgresConnection, translated
from gaugecast.cluster.postgres.home import home_of
from gaugecast.cluster.postgres.place import Place
from gaugecast.cluster.postgres.schema import check_version, make_tables
from gaugecast.config.schema import Storage
from gaugecast.errors import ConfigError, Defect, StorageBusy
from gaugecast.faults import Faults, no_faults
from gaugecast.ledger import queries
from gaugecast.ledger.reads import LedgerReads
from gaugecast.ledger.rows import Committed, Pending, RefusedOutput
from gaugecast.ledger.sealing import SEGMENT_ROWS
from gaugecast.ledger.sql import Connection
from gaugecast.ledger.transaction import Heads
from gaugecast.ledger.writing import LedgerWriter
from gaugecast.records import Commit

#: A server that is away is called again so often: a call may take seconds, and the link is to be kept meanwhile.
_CALL_S = 1.0
_FLOOR = "SELECT seq FROM checkpoints WHERE NOT daily ORDER BY seq DESC LIMIT 1 OFFSET 1"
_T = TypeVar("_T")


class _Doubt(NamedTuple):
    """A transaction whose COMMIT was asked for and not answered.

    Attributes:
        before: The ends before it.
        of_commit: It was a micro-batch's.
    """

    xid: str
    before: Heads
    of_commit: bool


class PostgresLedger(LedgerWriter):
    """The open ledger of one schema. Only one thread (the loop) may call it; all its methods are `LedgerWriter`'s.

    Whoever opens one takes the next token; from then on all that an older one wants to write raises `Fenced`, and its
    process is to end. While the server is away, writing raises `StorageBusy`, the outbox is empty, counts are those of
    before; the session is renewed by whoever asks next. A commit whose answer was lost is asked for by its transaction
    when the same one comes again, so that nothing is written twice.

    Attributes:
        place: Where it lies.
        token: Ours; 0 before `acquire`.
    """

    def __init__(
        self, place: Place, storage: Storage, session: PostgresConnection, *, segment_rows: int, faults: Faults,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self.place, self.token = place, 0
        self._session, self._monotonic, self._call_at_s = session, monotonic, 0.0
        self._xid = ""
        self._committing = False
        self._doubt: _Doubt | None = None
        self._through: Committed | None = None
        self._floor_seq = 0
        self._notes: dict[str, int] = {}
        self._slots: range | None = None
        self._counts: dict[str, int] = {}
        super().__init__(home_of(place), storage, session, segment_rows=segment_rows, faults=faults)

    @classmethod
    def open(
        cls, place: Place, storage: Storage, *, acquire: bool = True, slots: range | None = None,
        segment_rows: int = SEGMENT_ROWS, faults: Faults = no_faults,
    ) -> PostgresLedger:  # fmt: skip
        """Open a schema's ledger, made where there is none, and take the next token.

        Args:
            acquire: Without, it can be read, to be near its end when `acquire` is called.
            slots: Of which streams a partition has the rows; noted when it is first opened.
            segment_rows, faults: As of `Ledger.open`.

        Raises:
            StorageError: The database does not answer, refuses, or has a ledger that we do not know.
            ConfigError: It has rows of other slots.
        """
        with translated(place):
            session = PostgresConnection(place, name="ledger")
            try:
                make_tables(session, place)
                check_version(session, place)
                ledger = cls(place, storage, session, segment_rows=segment_rows, faults=faults)
                ledger._slots = slots
                if acquire:
                    ledger.acquire()
                else:
                    ledger._check_slots()
                return ledger
            except BaseException:
                session.close()
                raise

    def acquire(self) -> None:
        """Take the next token; waits for a transaction of the one before that is under way, some seconds at most."""
        with translated(self.place):
            self.token = fence.take(self._session, fence.WRITER)
            self._attach(self._session)
            self._check_slots()

    def _ends(self) -> tuple[int, ...]:
        """As of our own last commit; before there was any, as the writer has them now."""
        return super()._ends() if self.token else LedgerReads._ends(self)

    # -- the writer's transactions

    def commit(self, commit: Commit) -> Committed:
        """As of `LedgerWriter`; after a lost answer it is seen first whether the same commit went through."""
        with self._home.errors():
            self._call()
        self._committing = True
        try:
            if self._through is None:
                return super().commit(commit)
            # The rows are there. What the broker said since is not.
            rest = Commit(
                confirmed=commit.confirmed, refused_outputs=commit.refused_outputs, redelivered=commit.redelivered
            )
            super().commit(rest)
            done, self._through = self._through, None
            return done
        finally:
            self._committing = False

    def note(self, name: str, number: int) -> None:
        """Let a number be noted by the next commit, in its transaction: of the batch that it was made of, say."""
        self._notes[name] = number

    def noted(self, name: str) -> int:
        """The number that a durable commit has noted last; 0 = none did."""
        with self._reading():
            row = self._connection.execute("SELECT value FROM meta WHERE key = ?", (f"note:{name}",)).fetchone()
        return 0 if row is None else int(row[0])

    def prune(self, floor_seq: int) -> int:
        """As of `LedgerWriter`; never past the older of the two checkpoints that are rows, wherever files are."""
        with self._home.errors():
            self._call()
            if floor_seq > self._floor_seq:
                row = self._connection.execute(_FLOOR).fetchone()
                self._floor_seq = 0 if row is None else int(row[0])
        return super().prune(min(floor_seq, self._floor_seq))

    def _begin(self, *, tidying: bool) -> None:
        self._call()
        if not self.token:
            raise Defect(f"{self.place}: expected `acquire` before anything is written")
        self._xid = fence.begin(self._session, self.token, synced=not tidying).xid
        if self._committing and self._notes:
            rows = [(f"note:{name}", number) for name, number in self._notes.items()]
            self._connection.executemany(queries.SET_META, rows)

    def _end(self) -> None:
        self._doubt = _Doubt(self._xid, self._heads, self._committing)
        self._connection.execute("COMMIT")
        self._doubt = None
        if self._committing:
            self._notes.clear()

    def _roll_back(self) -> None:
        if self._session.lost:
            self._ids.undo()
            return
        self._doubt = None  # the server has answered: with an error, so that nothing was written
        super()._roll_back()

    # -- a server that is away

    def _look(self) -> None:
        self._call()

    def _call(self) -> None:
        """See that there is a session, and what became of a transaction whose end was not answered.

        Raises:
            StorageBusy: The server is away, or has not ended that transaction yet.
            Fenced: Another process has taken over meanwhile.
        """
        if not self._session.lost:
            return
        now_s = self._monotonic()
        if now_s < self._call_at_s:
            raise StorageBusy(f"{self.place}: does not answer")
        self._call_at_s = now_s + _CALL_S
        session = PostgresConnection(self.place, name="ledger")
        try:
            if self.token:
                fence.check(self.token, fence.newest(session, fence.WRITER))
            went_through = self._doubt is not None and _went_through(session, self._doubt, self.place)
            self._attach(session)
        except BaseException:
            session.close()
            raise
        self._session = session
        doubt, self._doubt = self._doubt, None
        if doubt is not None and went_through and doubt.of_commit:
            self._notes.clear()
            before, now = doubt.before, self._heads
            self._through = self._through or Committed(
                before.last_seq + 1, now.last_seq, before.last_position + 1, now.last_position
            )

    def _patiently(self, name: str, ask: Callable[[], int]) -> int:
        """A count for people, as it was last known where the server is away."""
        try:
            with self._reading():
                self._counts[name] = ask()
        except StorageBusy:
            pass
        return self._counts.get(name, 0)

    @property
    def size_bytes(self) -> int:
        """What the schema takes in the database."""
        return self._patiently("size", lambda: self._home.size_bytes(self._connection))

    @property
    def quarantine_count(self) -> int:
        """How many refused messages are kept."""
        return self._patiently("quarantine", lambda: _count(self._connection, "quarantine"))

    @property
    def refused_count(self) -> int:
        """How many refused outputs are kept, to be offered again."""
        return self._patiently("refused", lambda: queries.refused_count(self._connection))

    def pending(self, after: int, most: int) -> list[Pending]:
        """As of `LedgerReads`; none while the server is away."""
        try:
            return super().pending(after, most)
        except StorageBusy:
            return []

    def refused_outputs(self, after: int, most: int) -> list[RefusedOutput]:
        """As of `LedgerReads`; none while the server is away."""
        try:
            return super().refused_outputs(after, most)
        except StorageBusy:
            return []

    def _check_slots(self) -> None:
        """Those that are noted must be ours; where none are, they are noted once there is a token to write with."""
        slots = self._slots
        if slots is None:
            return
        known = range(self.noted("slots_from"), self.noted("slots_to"))
        if not known and self.token:
            with self._transaction():
                rows = [("note:slots_from", slots.start), ("note:slots_to", slots.stop)]
                self._connection.executemany(queries.SET_META, rows)
        elif known and known != slots:
            raise ConfigError(
                f"{self.place}: expected the slots {known.start}…{known.stop - 1} that its rows are of, got "
                f"{slots.start}…{slots.stop - 1}; the number of partitions holds for as long as their ledgers"
            )


def _went_through(session: PostgresConnection, doubt: _Doubt, place: Place) -> bool:
    """Whether the transaction was committed. Raises `StorageBusy` while the server has not ended it."""
    status = session.execute("SELECT pg_xact_status(CAST(? AS TEXT)::xid8)", (doubt.xid,)).fetchone()[0]
    if status == "in progress":
        raise StorageBusy(f"{place}: transaction {doubt.xid} is still under way")
    return bool(status == "committed")


def _count(connection: Connection, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
