"""What one commit writes: the rows of a micro-batch, in the order in which the tables are filled."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from itertools import count, repeat
from typing import NamedTuple
from zlib import crc32

from gaugecast.errors import Defect
from gaugecast.events import encode_event
from gaugecast.ledger.queries import heads as stored_heads
from gaugecast.ledger.queries import pack_wide
from gaugecast.ledger.streams import StreamIds
from gaugecast.records import Commit, Input, Kind, Output, Refused

MARK_NS = 3_600_000_000_000  # a slow ledger gets an entry in the sparse index at least once an hour
DROP_CHUNK = 1024  # bodies are dropped when so many are confirmed, so that whole pages come free
REFUSED_OUTPUTS_KEPT = 10_000
_WIDE = 1 << 63
# sqlite3 takes exact ints in a fast path; enums and bools go through its adapters, at about 0.5 µs each.
_plain = tuple(range(256)).__getitem__


class Heads(NamedTuple):
    """The ends of the ledger after a commit, and what was last done at them."""

    last_seq: int
    last_position: int
    confirmed: int
    received_at_ns: int
    mark_seq: int  # newest entry of the sparse index
    mark_at_ns: int
    dropped: int  # bodies up to this position are gone

    @classmethod
    def load(cls, connection: sqlite3.Connection) -> Heads:
        """Read them from the tables."""
        last_seq, last_position, confirmed, received_at_ns = stored_heads(connection)
        mark = connection.execute("SELECT first_seq, received_at_ns FROM marks ORDER BY first_seq DESC LIMIT 1")
        mark_seq, mark_at_ns = mark.fetchone() or (0, 0)
        oldest = connection.execute("SELECT min(position) FROM outbox").fetchone()[0]
        dropped = confirmed if oldest is None else min(oldest - 1, confirmed)
        return cls(last_seq, last_position, confirmed, received_at_ns, mark_seq, mark_at_ns, dropped)


def check_commit(commit: Commit, heads: Heads) -> None:
    """Raise `Defect` where the parts of a commit contradict each other or the ledger."""
    if len(commit.verdicts) != len(commit.inputs):
        raise Defect(f"expected a verdict for each of {len(commit.inputs)} inputs, got {len(commit.verdicts)}")
    if commit.outputs and not commit.inputs:
        raise Defect(f"expected inputs for {len(commit.outputs)} outputs, got none")
    if commit.confirmed is not None and commit.confirmed > heads.last_position:
        raise Defect(f"expected a confirmed position ≤ {heads.last_position}, got {commit.confirmed}")


def write_commit(
    connection: sqlite3.Connection, ids: StreamIds, heads: Heads, commit: Commit, *, quarantine_rows: int,
    mark_every: int,
) -> tuple[Heads, int]:  # fmt: skip
    """Fill the tables; return the new ends and by how many the parked streams have grown.

    Args:
        quarantine_rows: So many refused messages are kept.
        mark_every: Inputs between two entries of the sparse index.
    """
    after = heads
    if commit.inputs:
        after = _add_mark(connection, after, commit.inputs[0].received_at_ns, mark_every)
        after = _add_inputs(connection, ids, after, commit)
        after = _add_outputs(connection, ids, heads.last_seq + 1, after, commit.outputs)
    parked_change = _move_parked(connection, ids, after, commit)
    _add_quarantine(connection, commit.refused, quarantine_rows)
    after = _settle_outputs(connection, after, commit)
    connection.execute(
        "UPDATE heads SET last_seq = ?, last_position = ?, confirmed = ?, received_at_ns = ? WHERE id = 0", after[:4]
    )
    return after, parked_change


def _add_mark(connection: sqlite3.Connection, heads: Heads, at_ns: int, mark_every: int) -> Heads:
    first = heads.last_seq + 1
    if heads.mark_seq and first - heads.mark_seq < mark_every and at_ns - heads.mark_at_ns < MARK_NS:
        return heads
    connection.execute("INSERT INTO marks VALUES (?, ?, ?)", (first, heads.last_position + 1, at_ns))
    return heads._replace(mark_seq=first, mark_at_ns=at_ns)


def _add_inputs(connection: sqlite3.Connection, ids: StreamIds, heads: Heads, commit: Commit) -> Heads:
    """Column by column, since a Python expression per row and column would cost more than SQLite does."""
    kind, fleet, stream, at_ns, received_at_ns, values, key, delivery, dup, reason, event = zip(*commit.inputs)  # noqa: B905
    detail = reason if not any(event) else [encode_event(e) if e else r for r, e in zip(reason, event, strict=True)]
    stream_ids, names = _input_streams(ids, commit.inputs, fleet, stream, heads.last_seq + 1)
    rows = zip(
        count(heads.last_seq + 1), stream_ids, map(_plain, kind), map(_plain, commit.verdicts),
        at_ns, received_at_ns, [None if k == at else k for k, at in zip(key, at_ns, strict=True)],
        delivery if max(delivery) < _WIDE else map(pack_wide, delivery), map(_plain, dup), values, detail, names,
    )  # fmt: skip
    connection.executemany("INSERT INTO inputs VALUES (?,?,?,?,?,?,?,?,?,?,?,?)", rows)
    newest = max(heads.received_at_ns, received_at_ns[-1])
    return heads._replace(last_seq=heads.last_seq + len(commit.inputs), received_at_ns=newest)


def _input_streams(
    ids: StreamIds, inputs: Sequence[Input], fleets: Sequence[str], streams: Sequence[str], seq: int
) -> tuple[list[int], Iterable[str | None]]:
    """Each input's stream id, and its name where it is a reject of a stream that has no id."""
    known = ids.ids
    try:
        return [known[fleet][stream] for fleet, stream in zip(fleets, streams, strict=True)], repeat(None)
    except KeyError:
        ids.learn(sorted({(x.fleet, "" if x.kind == Kind.REJECT else x.stream) for x in inputs}), seq)
    spelled = [stream not in known[fleet] for fleet, stream in zip(fleets, streams, strict=True)]
    stream_ids = [known[x.fleet]["" if s else x.stream] for x, s in zip(inputs, spelled, strict=True)]
    return stream_ids, [stream if s else None for stream, s in zip(streams, spelled, strict=True)]


def _add_outputs(
    connection: sqlite3.Connection, ids: StreamIds, first_seq: int, heads: Heads, outputs: Sequence[Output]
) -> Heads:
    if not outputs:
        return heads
    cause, fleet, stream, step, forecast, topic, body, retain, qos = zip(*outputs)  # noqa: B905
    if min(cause) < 0 or first_seq + max(cause) > heads.last_seq:
        raise Defect(f"expected outputs of inputs 0…{heads.last_seq - first_seq}, got {min(cause)}…{max(cause)}")
    known, first = ids.ids, heads.last_position + 1
    try:
        stream_ids = [known[f][s] for f, s in zip(fleet, stream, strict=True)]
    except KeyError:
        ids.learn(sorted(set(zip(fleet, stream, strict=True))), first_seq)
        stream_ids = [known[f][s] for f, s in zip(fleet, stream, strict=True)]
    seqs = [first_seq + i for i in cause]
    forecasts = zip(count(first), seqs, stream_ids, step, forecast, map(crc32, body))
    connection.executemany("INSERT INTO outputs VALUES (?,?,?,?,?,?)", forecasts)
    bodies = zip(count(first), topic, map(_plain, retain), map(_plain, qos), body)
    connection.executemany("INSERT INTO outbox VALUES (?,?,?,?,?)", bodies)
    return heads._replace(last_position=heads.last_position + len(outputs))


def _move_parked(connection: sqlite3.Connection, ids: StreamIds, heads: Heads, commit: Commit) -> int:
    """Close the rows of streams that came back and add rows for those put aside; return the growth."""
    if not commit.parked and not commit.unparked:
        return 0
    seq, at_ns = heads.last_seq, heads.received_at_ns
    ids.learn({(x.fleet, x.stream) for x in commit.parked} | set(commit.unparked), seq)
    passing: set[int] = set()  # put aside and brought back within this very commit
    growth = 0
    for fleet, stream in commit.unparked:
        stream_id = ids.ids[fleet][stream]
        closed = connection.execute(
            "UPDATE parked SET unparked_seq = ? WHERE stream_id = ? AND unparked_seq IS NULL", (seq, stream_id)
        ).rowcount
        growth -= closed
        if not closed:
            passing.add(stream_id)
    rows = {ids.ids[x.fleet][x.stream]: x.state for x in commit.parked}
    kept = [(stream_id, seq, None, at_ns, state) for stream_id, state in rows.items() if stream_id not in passing]
    connection.executemany("INSERT OR REPLACE INTO parked VALUES (?, ?, ?, ?, ?)", kept)
    return growth + len(kept)


def _add_quarantine(connection: sqlite3.Connection, refused: Sequence[Refused], most: int) -> None:
    if not refused:
        return
    connection.executemany("INSERT INTO quarantine VALUES (NULL,?,?,?,?,?,?,?)", refused[-most:] if most else ())
    connection.execute("DELETE FROM quarantine WHERE id <= (SELECT max(id) FROM quarantine) - ?", (most,))


def _settle_outputs(connection: sqlite3.Connection, heads: Heads, commit: Commit) -> Heads:
    """Move refused outputs aside, note the confirmed position, drop bodies that nobody needs."""
    for position, reason in commit.refused_outputs:
        connection.execute(
            "INSERT OR REPLACE INTO refused_outputs SELECT b.position, o.stream_id, b.topic, b.retain, b.qos, b.body, ?"
            " FROM outbox b JOIN outputs o ON o.position = b.position WHERE b.position = ?",
            (reason, position),
        )
        connection.execute("DELETE FROM outbox WHERE position = ?", (position,))
    if commit.refused_outputs:
        connection.execute(
            "DELETE FROM refused_outputs WHERE position <="
            " (SELECT position FROM refused_outputs ORDER BY position DESC LIMIT 1 OFFSET ?)",
            (REFUSED_OUTPUTS_KEPT,),
        )
    for position in commit.redelivered:
        connection.execute("DELETE FROM refused_outputs WHERE position = ?", (position,))
    confirmed = heads.confirmed if commit.confirmed is None else max(heads.confirmed, commit.confirmed)
    dropped = heads.dropped
    if confirmed - dropped >= DROP_CHUNK:
        dropped = min(confirmed, dropped + 4 * DROP_CHUNK)
        connection.execute("DELETE FROM outbox WHERE position <= ?", (dropped,))
    return heads._replace(confirmed=confirmed, dropped=dropped)
