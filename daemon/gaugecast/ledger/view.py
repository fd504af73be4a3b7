"""What every question to a ledger needs: a connection, the names behind ids, and what was just unpacked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from gaugecast.ledger.rows import StoredOutput
from gaugecast.ledger.sql import Connection
from gaugecast.ledger.streams import StreamNames


class Ends(NamedTuple):
    """The ends of the ledger; inputs up to `sealed_seq` are in segments."""

    last_seq: int
    last_position: int
    confirmed: int
    received_at_ns: int
    sealed_seq: int
    sealed_position: int


class View:
    """An open connection, and what is remembered along with it. Of the thread that owns the connection.

    Attributes:
        legacy: Whether there may be rows in tables of version 1.
    """

    def __init__(self, connection: Connection, *, legacy: bool = False) -> None:
        self.connection = connection
        self.names = StreamNames(connection)
        self.legacy = legacy
        self._segment = 0
        self._outputs: Sequence[StoredOutput] = ()

    def known_outputs(self, segment: int) -> Sequence[StoredOutput] | None:
        """All outputs of a segment, if it is the one that was remembered."""
        return self._outputs if segment == self._segment else None

    def remember(self, segment: int, outputs: Sequence[StoredOutput]) -> None:
        """Keep a segment's outputs, until others are kept or none (0): a replay asks for them slice by slice."""
        self._segment, self._outputs = segment, outputs

    def ends(self) -> Ends:
        """The ends as of now: those of the newest batch, or what was noted since."""
        row = self.connection.execute(
            "SELECT h.last_seq, h.last_position, h.confirmed, h.received_at_ns, h.sealed_seq, h.sealed_position,"
            " b.seq, b.position, b.confirmed, b.received_at_ns FROM heads h LEFT JOIN"
            " (SELECT first_seq + inputs - 1 AS seq, first_position + outputs - 1 AS position, confirmed,"
            " received_at_ns FROM batches ORDER BY first_seq DESC LIMIT 1) b ON 1 = 1"
        ).fetchone()
        noted, newest = row[:4], row[6:]
        if newest[0] is not None:
            received_at_ns = noted[3] if noted[0] >= newest[0] else newest[3]  # a clock that was wrong goes back
            noted = *map(max, noted[:3], newest), received_at_ns
        return Ends(*noted, *row[4:6])

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Several questions about one and the same state of the ledger; to be left before anybody waits."""
        if self.connection.in_transaction:
            yield
            return
        self.connection.execute("BEGIN")
        try:
            yield
        finally:
            self.connection.execute("COMMIT")
