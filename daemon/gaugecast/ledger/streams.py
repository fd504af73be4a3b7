"""Streams as integers: rows name a stream by an id, which is looked up once and remembered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gaugecast.ledger.sql import Connection

CACHED = 250_000  # names; beyond this the cache begins anew


class StreamIds:
    """From (fleet, stream) to id, for the writer. Owned by the ledger's writer.

    Ids made in a transaction are remembered only when it is committed. In each *generation* a stream's first use
    is noted in its row (`touched_seq`), so that pruning can tell which names no kept row uses.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._ids: dict[str, dict[str, int]] = {}
        self._fresh: list[tuple[str, str]] = []
        self._cached = 0
        row = connection.execute("SELECT value FROM meta WHERE key = 'generation'").fetchone()
        self.generation: int = 0 if row is None else row[0]
        self.searched_id = 0  # how far pruning has searched for unused names in this generation

    @property
    def ids(self) -> dict[str, dict[str, int]]:
        """`ids[fleet][stream]`, for look-ups in bulk; a `KeyError` asks for `learn`."""
        return self._ids

    def of(self, fleets: Sequence[str], streams: Sequence[str]) -> list[int]:
        """The ids of many streams; a `KeyError` asks for `learn`."""
        known = self._ids
        if fleets.count(fleets[0]) == len(fleets):
            return list(map(known[fleets[0]].__getitem__, streams))
        return [known[fleet][stream] for fleet, stream in zip(fleets, streams, strict=True)]

    def learn(self, names: Iterable[tuple[str, str]], seq: int) -> None:
        """Look up or make the ids of all `names`, inside the transaction that begins at `seq`."""
        for fleet, stream in names:
            known = self._ids.setdefault(fleet, {})
            if stream not in known:
                known[stream] = self._find(fleet, stream, seq)
                self._fresh.append((fleet, stream))
                self._cached += 1

    def keep(self) -> None:
        """The transaction is durable: what was learned holds."""
        self._fresh.clear()
        if self._cached > CACHED:
            self.forget()

    def undo(self) -> None:
        """The transaction was rolled back: what was learned in it never was."""
        for fleet, stream in self._fresh:
            del self._ids[fleet][stream]
        self._cached -= len(self._fresh)
        self._fresh.clear()

    def forget(self, generation: int | None = None) -> None:
        """Empty the cache; with `generation` (a seq) every later use is noted again."""
        self._ids.clear()
        self._cached = 0
        if generation is not None:
            self.generation, self.searched_id = generation, 0

    def _find(self, fleet: str, stream: str, seq: int) -> int:
        row = self._connection.execute(
            "SELECT id, touched_seq FROM streams WHERE fleet = ? AND stream = ?", (fleet, stream)
        ).fetchone()
        if row is None:
            made = self._connection.execute(
                "INSERT INTO streams (fleet, stream, touched_seq) VALUES (?, ?, ?) RETURNING id", (fleet, stream, seq)
            ).fetchall()
            return int(made[0][0])
        if row[1] < self.generation:
            self._connection.execute("UPDATE streams SET touched_seq = ? WHERE id = ?", (seq, row[0]))
        return int(row[0])


class StreamNames:
    """From id to (fleet, stream), for readers. Owned by whoever owns the connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.names: dict[int, tuple[str, str]] = {}

    def learn(self, ids: Iterable[int]) -> None:
        """Look up those of `ids` that are not known yet."""
        if len(self.names) > CACHED:
            self.names.clear()
        for stream_id in ids:
            if stream_id not in self.names:
                row = self._connection.execute("SELECT fleet, stream FROM streams WHERE id = ?", (stream_id,))
                self.names[stream_id] = row.fetchone()
