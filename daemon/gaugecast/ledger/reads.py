"""What can be asked of a ledger over one connection, by the loop that writes it or by anybody else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from gaugecast.errors import StorageDamaged
from gaugecast.events import Event
from gaugecast.ledger import queries, told
from gaugecast.ledger.damage import Damaged, Damages
from gaugecast.ledger.history import Wanted, history
from gaugecast.ledger.rows import HistoryPage, Pending, Quarantined, RefusedOutput, StoredBatch, StoredOutput, Told
from gaugecast.ledger.sql import Connection, Home
from gaugecast.ledger.view import View
from gaugecast.records import FIRST_NS, LAST_NS


class LedgerReads:
    """The reading half of `Ledger` and of `LedgerReader`, whose thread it belongs to.

    Attributes:
        damages: What was found damaged by whoever was given the same ones.

    Args:
        home: Where the ledger lies.

    Raises:
        StorageError: from all calls: the disk fails, or the ledger is damaged (`StorageDamaged`).
    """

    def __init__(self, home: Home, connection: Connection) -> None:
        self._home = home
        self.damages = Damages()
        self._attach(connection)

    def _attach(self, connection: Connection) -> None:
        """Read over this connection from now on."""
        self._connection = connection
        self._view = View(connection, legacy=self._home.has_legacy(connection))

    def _look(self) -> None:
        """Before each question: whether the file is still what it was."""

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Around each question: errors become ours, and damage is noted."""
        try:
            with self._home.errors():
                self._look()
                yield
        except StorageDamaged as exc:
            self.damages.note(exc)
            if isinstance(exc, Damaged):
                raise StorageDamaged(f"{self._home.name}: {exc}") from exc
            raise

    @property
    def last_seq(self) -> int:
        """The newest durable input; 0 before the first."""
        return self._ends()[0]

    @property
    def last_position(self) -> int:
        """The newest durable output; 0 before the first."""
        return self._ends()[1]

    @property
    def confirmed(self) -> int:
        """All outputs up to this position were delivered or given up."""
        return self._ends()[2]

    @property
    def received_at_ns(self) -> int:
        """`received_at_ns` of the newest durable input; 0 before the first."""
        return self._ends()[3]

    @property
    def first_seq(self) -> int:
        """The oldest kept input; one past the newest where none is kept."""
        with self._reading():
            return queries.first_seq(self._view)

    @property
    def size_bytes(self) -> int:
        """What the ledger takes on the disk."""
        return self._home.size_bytes(self._connection)

    def stream_names(self) -> list[tuple[str, str]]:
        """(fleet, stream) of all streams that kept rows name, in order."""
        with self._reading():
            return queries.stream_names(self._connection)

    def replay(self, after_seq: int, *, most: int = 2000, upto_seq: int | None = None) -> Iterator[StoredBatch]:
        """Inputs with seq > `after_seq` in order, in batches of at most `most` that need not equal the commits."""
        with self._reading():
            yield from queries.replay(self._view, after_seq, most=most, upto_seq=upto_seq)

    def events(self, after_seq: int = 0) -> list[tuple[int, str, Event]]:
        """(seq, fleet, event) of the kept events with seq > `after_seq`, in order."""
        with self._reading():
            return queries.events(self._view, after_seq)

    def outputs(self, after_seq: int, upto_seq: int) -> Iterator[StoredOutput]:
        """Outputs of the inputs with `after_seq` < seq ≤ `upto_seq`, in order of position."""
        with self._reading():
            yield from queries.outputs(self._view, after_seq, upto_seq)

    def pending(self, after: int, most: int) -> list[Pending]:
        """Unconfirmed outputs with position > `after`, in order, at most `most`."""
        with self._reading():
            return queries.pending(self._view, after, most)

    def history(
        self, fleet: str, stream: str, *, from_ns: int | None = None, to_ns: int | None = None, most: int = 2000
    ) -> Iterator[HistoryPage]:
        """One stream's readings with `from_ns` ≤ at < `to_ns`, and the outputs around them, newest first.

        Args:
            most: Readings in a page. No transaction is held open between two pages.
        """
        with self._reading():
            stream_id = queries.stream_id(self._connection, fleet, stream)
            if stream_id is not None:
                low = FIRST_NS - 1 if from_ns is None else from_ns
                high = LAST_NS + 1 if to_ns is None else to_ns
                yield from history(self._view, Wanted(stream_id, fleet, stream, low, high), most=most)

    def refused_outputs(self, after: int, most: int) -> list[RefusedOutput]:
        """Outputs that the broker refused or that expired, with position > `after`, in order, at most `most`."""
        with self._reading():
            return queries.refused_outputs(self._view, after, most)

    def quarantined(self, most: int, *, reason: str | None = None) -> list[Quarantined]:
        """The newest refused messages (of one reason of `records.REJECT_REASONS`), newest first."""
        with self._reading():
            return queries.quarantined(self._connection, most, reason=reason)

    def told(self, after: int = 0, most: int = 2000) -> list[Told]:
        """What was told of crossings and anomalies, of those behind number `after` the oldest, oldest first."""
        with self._reading():
            return told.after(self._connection, after, most) if self._home.has_told(self._connection) else []

    def parked_state(self, fleet: str, stream: str, *, at_seq: int | None = None) -> bytes | None:
        """State of a stream that is parked now (or was after input `at_seq`, for replay), or `None`."""
        with self._reading():
            return queries.parked_state(self._connection, fleet, stream, at_seq=at_seq)

    def parked_count(self) -> int:
        """How many streams are parked now."""
        with self._reading():
            return queries.parked_count(self._connection)

    def fingerprints(self) -> list[tuple[int, str]]:
        """(seq, fingerprint) in order: the fingerprint holds from this input on."""
        with self._reading():
            return queries.fingerprints(self._connection)

    def _ends(self) -> tuple[int, ...]:
        """Last seq, last position, confirmed position, newest `received_at_ns`."""
        with self._reading():
            return self._view.ends()


class Reader(LedgerReads):
    """A ledger for everybody but the loop: only read, whether somebody writes it or not. One thread at a time."""

    def renew(self) -> bool:
        """Open the ledger anew where another has taken its place; whether it has."""
        return False

    def close(self) -> None:
        """Close what is open."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
