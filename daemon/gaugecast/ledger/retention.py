"""How much history is kept: sealing and pruning by age and size, in bounded steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gaugecast.config.schema import Storage
from gaugecast.events import ClockStepped, decode_event
from gaugecast.ledger import legacy, queries, sealed
from gaugecast.ledger.sql import Connection, Home
from gaugecast.ledger.streams import StreamIds
from gaugecast.ledger.transaction import Heads
from gaugecast.ledger.view import View

_DAY_NS = 86_400 * 10**9
_CHUNK = 2000  # parked streams or names gone through in one call
_BATCHES = 128  # batches deleted in one call
_PIECES = 8  # pieces deleted in one call
_PATIENCE = 1.03  # times `keep_gb`: so much is borne while batches are being sealed, since they will take a third of it


class Pruned(NamedTuple):
    """How many rows of history went, and how many parked streams."""

    rows: int
    parked: int


def prune(
    view: View, ids: StreamIds, storage: Storage, heads: Heads, *, home: Home, floor_seq: int, sealing: bool
) -> Pruned:
    """Delete a segment or some batches inside an open transaction; return how many inputs went.

    Age is counted from the newest input's arrival, not from a clock: an idle ledger keeps what it has. Steps of the
    machine's clock since a row came do not count: nothing goes for them.

    Args:
        home: Where the ledger lies.
        sealing: Batches are being sealed: then a little more than `keep_gb` is borne.
    """
    connection = view.connection
    oldest_ns = heads.received_at_ns - int(storage.keep_days * _DAY_NS)
    steps = _clock_steps(connection)
    too_large = home.used_bytes(connection) > storage.keep_gb * 1e9 * (_PATIENCE if sealing else 1)
    segment = sealed.oldest(connection)
    gone = _drop_pieces(view, segment)
    if gone:
        return Pruned(gone, 0)
    if segment is None:
        oldest = None if too_large else oldest_ns
        gone = 0 if sealing else _drop_batches(view, heads, floor_seq=floor_seq, oldest_ns=oldest, steps=steps)
    elif segment.last_seq <= floor_seq and (
        too_large or segment.received_at_ns + _stepped_since(steps, segment.last_seq) <= oldest_ns
    ):
        connection.execute("DELETE FROM segments WHERE first_seq = ?", (segment.first_seq,))
        gone = segment.last_seq - segment.first_seq + 1
    if gone:
        _prune_side_tables(connection, queries.first_seq(view))
    parked = _prune_parked(connection, oldest_ns)
    gone += _prune_streams(view, ids, heads)
    home.give_back(connection)
    return Pruned(gone, parked)


def _clock_steps(connection: Connection) -> list[tuple[int, int]]:
    """(seq, ns) of the kept events that say that the machine's clock was set; mostly none."""
    rows = connection.execute('SELECT seq, detail FROM event_rows WHERE detail LIKE \'{"event":"clock"%\'')
    events = [(seq, decode_event(detail)) for seq, detail in rows]
    return [(seq, event.step_ns) for seq, event in events if isinstance(event, ClockStepped)]


def _stepped_since(steps: Sequence[tuple[int, int]], seq: int) -> int:
    return sum(step_ns for at_seq, step_ns in steps if at_seq > seq)


def _drop_pieces(view: View, oldest: sealed.SegmentRow | None) -> int:
    """Pieces of segments that are gone, some at a time: each takes a dozen pages; how many went."""
    first_seq = view.ends().sealed_seq + 1 if oldest is None else oldest.first_seq
    return view.connection.execute(
        "DELETE FROM pieces WHERE id IN (SELECT id FROM pieces WHERE id < ? ORDER BY id LIMIT ?)",
        (sealed.piece_id(first_seq), _PIECES),
    ).rowcount


def _drop_batches(
    view: View, heads: Heads, *, floor_seq: int, oldest_ns: int | None, steps: Sequence[tuple[int, int]]
) -> int:
    """Of a ledger so slow, or so small, that it has no segment: its oldest batches, old ones or (`None`) any.

    Rows of version 1 come first, and they are sealed before they go.
    """
    ends = view.ends()
    if view.legacy and legacy.first_seq(view, ends) is not None:
        return 0
    rows = view.connection.execute(
        "SELECT first_seq, inputs, first_position + outputs - 1, received_at_ns FROM batches WHERE first_seq > ?"
        " ORDER BY first_seq LIMIT ?",
        (ends.sealed_seq, _BATCHES if oldest_ns is not None else 1),
    ).fetchall()
    count, last = 0, 0
    for first, inputs, position, received in rows:
        end = first + inputs - 1
        young = oldest_ns is not None and received + _stepped_since(steps, end) > oldest_ns
        if young or end > floor_seq or position > heads.confirmed:
            break
        count, last = count + inputs, first
    if count:
        heads.note(view.connection)
        view.connection.execute("DELETE FROM batches WHERE first_seq <= ?", (last,))
    return count


def _prune_side_tables(connection: Connection, first_seq: int) -> None:
    """Delete what no kept input can refer to; `first_seq` is the oldest kept one."""
    connection.execute("DELETE FROM event_rows WHERE seq < ?", (first_seq,))
    connection.execute(
        "DELETE FROM fingerprints WHERE seq < (SELECT max(seq) FROM fingerprints WHERE seq <= ?)", (first_seq,)
    )
    # Versions that came back are needed by a replay from before they came back, which is no longer possible.
    connection.execute("DELETE FROM parked WHERE unparked_seq < ?", (first_seq,))


def _prune_parked(connection: Connection, oldest_ns: int) -> int:
    """Forget streams that were parked before `oldest_ns`; rows are in order of time."""
    last = connection.execute(
        "SELECT max(number) FROM (SELECT rowid AS number, parked_at_ns FROM parked ORDER BY rowid LIMIT ?) AS oldest"
        " WHERE parked_at_ns < ?",
        (_CHUNK, oldest_ns),
    ).fetchone()[0]
    if last is None:
        return 0
    return connection.execute("DELETE FROM parked WHERE rowid <= ? AND unparked_seq IS NULL", (last,)).rowcount


def _prune_streams(view: View, ids: StreamIds, heads: Heads) -> int:
    """Delete names that no kept row uses, once in each length of history; return how many went.

    A name's `touched_seq` is its first use in a generation. Once every kept row is of the present generation, a
    name that was not touched in it is used by none. Then the next generation begins.
    """
    connection = view.connection
    if ids.generation > heads.last_seq or queries.first_seq(view) <= ids.generation:
        return 0
    first, ids.searched_id = ids.searched_id, ids.searched_id + _CHUNK
    gone = connection.execute(
        "DELETE FROM streams WHERE id > ? AND id <= ? AND touched_seq < ?"
        " AND NOT EXISTS (SELECT 1 FROM parked p WHERE p.stream_id = streams.id)"
        " AND id NOT IN (SELECT stream_id FROM refused_outputs)",
        (first, ids.searched_id, ids.generation),
    ).rowcount
    if connection.execute("SELECT 1 FROM streams WHERE id > ? LIMIT 1", (ids.searched_id,)).fetchone() is None:
        generation = heads.last_seq + 1
        connection.execute(queries.SET_META, ("generation", generation))
        ids.forget(generation)
    return gone
