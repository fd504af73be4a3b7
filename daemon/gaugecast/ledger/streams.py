"""Streams as integers: rows name a stream by an id, which is looked up once and remembered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from gaugecast.ledger.sql import Connection

CACHED = 250_000  # names; beyond this the cache begins anew
_AT_ONCE = 256  # names in one statement
#: A list of one takes SQLite three times as long.
_ONE = "fleet = ? AND stream = ?"
_T = TypeVar("_T")


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
        missing = [name for name in dict.fromkeys(names) if name[1] not in self._ids.get(name[0], ())]
        for chunk in _chunks(missing):
            for fleet, stream, stream_id in self._found(chunk, seq):
                self._ids.setdefault(fleet, {})[stream] = stream_id
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

    def _found(self, names: Sequence[tuple[str, str]], seq: int) -> list[tuple[str, str, int]]:
        """Each with its id, which is made where there is none."""
        flat = [text for name in names for text in name]
        one_or_more = _ONE if len(names) == 1 else f"(fleet, stream) IN (VALUES {_rows(names, 2)})"
        known = self._connection.execute(
            f"SELECT fleet, stream, id, touched_seq FROM streams WHERE {one_or_more}", flat
        ).fetchall()
        old = [(seq, row[2]) for row in known if row[3] < self.generation]
        if old:
            self._connection.executemany("UPDATE streams SET touched_seq = ? WHERE id = ?", old)
        found = [(row[0], row[1], int(row[2])) for row in known]
        there = {name[:2] for name in found}
        new = [name for name in names if name not in there]
        if new:
            made = self._connection.execute(
                f"INSERT INTO streams (fleet, stream, touched_seq) VALUES {_rows(new, 3)} RETURNING fleet, stream, id",
                [value for name in new for value in (*name, seq)],
            )
            found += [(row[0], row[1], int(row[2])) for row in made.fetchall()]
        return found


class StreamNames:
    """From id to (fleet, stream), for readers. Owned by whoever owns the connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.names: dict[int, tuple[str, str]] = {}

    def learn(self, ids: Iterable[int]) -> None:
        """Look up those of `ids` that are not known yet."""
        if len(self.names) > CACHED:
            self.names.clear()
        for chunk in _chunks([stream_id for stream_id in ids if stream_id not in self.names]):
            rows = self._connection.execute(
                f"SELECT id, fleet, stream FROM streams WHERE id IN ({', '.join('?' * len(chunk))})", chunk
            )
            self.names.update((row[0], (row[1], row[2])) for row in rows.fetchall())


def _chunks(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """As many as one statement takes; whole powers of two, so that few statements are prepared."""
    begin = 0
    while begin < len(items):
        size = min(_AT_ONCE, 1 << (len(items) - begin).bit_length() - 1)
        yield items[begin : begin + size]
        begin += size


def _rows(items: Sequence[object], width: int) -> str:
    """Places for so many rows of parameters."""
    return ", ".join([f"({', '.join('?' * width)})"] * len(items))
