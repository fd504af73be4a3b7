"""How much history is kept: pruning by age and size, in bounded chunks."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from gaugecast.config.schema import Storage
from gaugecast.ledger import queries
from gaugecast.ledger.streams import StreamIds
from gaugecast.ledger.transaction import Heads

_DAY_NS = 86_400 * 10**9
_VACUUM_PAGES = 256  # pages given back to the file system in one call


class Pruned(NamedTuple):
    """How many rows of history went, and how many parked streams."""

    rows: int
    parked: int


def prune(
    connection: sqlite3.Connection, ids: StreamIds, storage: Storage, heads: Heads, *, floor_seq: int, chunk: int
) -> Pruned:
    """Delete at most `chunk` rows of each kind inside an open transaction; return how many went.

    Age is counted from the newest input's arrival, not from a clock: an idle ledger keeps what it has.
    """
    bound = _bound(connection, storage, heads, floor_seq=floor_seq)
    first = queries.first_seq(connection)
    bound_seq, bound_position = (first, 0) if bound is None else bound
    until = min(bound_seq, first + chunk)
    deleted = connection.execute("DELETE FROM inputs WHERE seq < ?", (until,)).rowcount
    oldest = connection.execute("SELECT min(position) FROM outputs").fetchone()[0]
    if oldest is not None and oldest < bound_position:
        last = min(bound_position, oldest + chunk)
        connection.execute("DELETE FROM outbox WHERE position < ?", (last,))
        deleted += connection.execute("DELETE FROM outputs WHERE position < ?", (last,)).rowcount
    if deleted:
        _prune_side_tables(connection, queries.first_seq(connection))
    parked = _prune_parked(connection, heads.received_at_ns - int(storage.keep_days * _DAY_NS), chunk=chunk)
    deleted += _prune_streams(connection, ids, heads, chunk=chunk)
    _give_back(connection)
    return Pruned(deleted, parked)


def _bound(connection: sqlite3.Connection, storage: Storage, heads: Heads, *, floor_seq: int) -> tuple[int, int] | None:
    """(seq, position) before which all may go, or `None`: an entry of the sparse index, thus between two commits."""
    oldest_ns = heads.received_at_ns - int(storage.keep_days * _DAY_NS)
    by_age = connection.execute(
        # the entry before the first young one: rows between them may be of either age
        "SELECT max(first_seq) FROM marks WHERE first_seq <= ?1 AND first_position <= ?2 AND received_at_ns <= ?3",
        (floor_seq + 1, heads.confirmed + 1, oldest_ns),
    ).fetchone()[0]
    bound = by_age
    if _used_bytes(connection) > storage.keep_gb * 1e9:
        bound = max(by_age or 0, _second_mark(connection, heads, floor_seq) or 0) or None
    if bound is None:
        return None
    position = connection.execute("SELECT first_position FROM marks WHERE first_seq = ?", (bound,)).fetchone()[0]
    return bound, position


def _second_mark(connection: sqlite3.Connection, heads: Heads, floor_seq: int) -> int | None:
    """The border after the oldest stretch of kept rows, if it may go."""
    found: int | None = connection.execute(
        "SELECT min(first_seq) FROM marks WHERE first_seq > ? AND first_seq <= ? AND first_position <= ?",
        (queries.first_seq(connection), floor_seq + 1, heads.confirmed + 1),
    ).fetchone()[0]
    return found


def _used_bytes(connection: sqlite3.Connection) -> int:
    pages, free, page_bytes = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * page_bytes)


def _prune_side_tables(connection: sqlite3.Connection, first_seq: int) -> None:
    """Delete what no kept input can refer to; `first_seq` is the oldest kept one."""
    connection.execute(
        "DELETE FROM marks WHERE first_seq < (SELECT max(first_seq) FROM marks WHERE first_seq <= ?)", (first_seq,)
    )
    connection.execute(
        "DELETE FROM fingerprints WHERE seq < (SELECT max(seq) FROM fingerprints WHERE seq <= ?)", (first_seq,)
    )
    # Versions that came back are needed by a replay from before they came back, which is no longer possible.
    connection.execute("DELETE FROM parked WHERE unparked_seq < ?", (first_seq,))


def _prune_parked(connection: sqlite3.Connection, oldest_ns: int, *, chunk: int) -> int:
    """Forget streams that were parked before `oldest_ns`; rows are in order of time."""
    last = connection.execute(
        "SELECT max(number) FROM (SELECT rowid AS number, parked_at_ns FROM parked ORDER BY rowid LIMIT ?)"
        " WHERE parked_at_ns < ?",
        (chunk, oldest_ns),
    ).fetchone()[0]
    if last is None:
        return 0
    return connection.execute("DELETE FROM parked WHERE rowid <= ? AND unparked_seq IS NULL", (last,)).rowcount


def _prune_streams(connection: sqlite3.Connection, ids: StreamIds, heads: Heads, *, chunk: int) -> int:
    """Delete names that no kept row uses, once in each length of history, `chunk` ids a call; return how many went.

    A name's `touched_seq` is its first use in a generation. Once every kept row is of the present generation, a
    name that was not touched in it is used by none. Then the next generation begins.
    """
    output = connection.execute("SELECT seq FROM outputs ORDER BY position LIMIT 1").fetchone()
    oldest = queries.first_seq(connection) if output is None else min(queries.first_seq(connection), output[0])
    if oldest <= ids.generation or ids.generation > heads.last_seq:
        return 0
    first, ids.searched_id = ids.searched_id, ids.searched_id + chunk
    gone = connection.execute(
        "DELETE FROM streams WHERE id > ?1 AND id <= ?2 AND touched_seq < ?3"
        " AND NOT EXISTS (SELECT 1 FROM parked p WHERE p.stream_id = streams.id)"
        " AND id NOT IN (SELECT stream_id FROM refused_outputs)",
        (first, ids.searched_id, ids.generation),
    ).rowcount
    if connection.execute("SELECT 1 FROM streams WHERE id > ? LIMIT 1", (ids.searched_id,)).fetchone() is None:
        generation = heads.last_seq + 1
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('generation', ?)", (generation,))
        ids.forget(generation)
    return gone


def _give_back(connection: sqlite3.Connection) -> None:
    """Shrink the file a little where more than a quarter of it is free."""
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    free = connection.execute("PRAGMA freelist_count").fetchone()[0]
    if free * 4 > pages and free > 4 * _VACUUM_PAGES:
        for _ in range(_VACUUM_PAGES):  # the module steps this statement once, whatever number it is given
            connection.execute("PRAGMA incremental_vacuum(1)")
