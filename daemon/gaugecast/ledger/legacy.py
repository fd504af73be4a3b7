"""Rows of version 1 of the ledger, a row each: read until they are sealed, never written.

`inputs.key` is NULL where it equals `at_ns`; `inputs.name` spells a reject's stream out. `marks` has one row in about
a thousand inputs, at the border of two commits: all outputs of inputs ≥ first_seq have positions ≥ first_position.
"""

from __future__ import annotations

from collections.abc import Sequence

from gaugecast.ledger.packing import InputColumns, OutputColumns
from gaugecast.ledger.rows import Pending, StoredOutput
from gaugecast.ledger.sql import Connection
from gaugecast.ledger.view import Ends, View
from gaugecast.records import Kind


def first_seq(view: View, ends: Ends) -> int | None:
    """The oldest input that is not sealed."""
    found: int | None = view.connection.execute(
        "SELECT min(seq) FROM inputs WHERE seq > ?", (ends.sealed_seq,)
    ).fetchone()[0]
    return found


def inputs(view: View, after_seq: int, *, most: int) -> tuple[int, InputColumns] | None:
    """The first seq and the inputs after `after_seq`, at most `most`."""
    rows = view.connection.execute(
        'SELECT seq, kind, verdict, stream_id, at_ns, received_at_ns, key, delivery, dup, "values", detail, name'
        " FROM inputs WHERE seq > ? ORDER BY seq LIMIT ?",
        (after_seq, most),
    ).fetchall()
    return (rows[0][0], _columns(rows)) if rows else None


def _columns(rows: Sequence[Sequence[object]]) -> InputColumns:
    _, kinds, verdicts, stream_ids, at_ns, received, keys, deliveries, dups, values, details, names = zip(
        *rows, strict=True
    )
    return InputColumns(
        kinds, verdicts, stream_ids, at_ns, received,
        tuple(at if key is None else key for key, at in zip(keys, at_ns, strict=True)),
        tuple(one if isinstance(one, int) else int.from_bytes(one, "big") for one in deliveries),
        dups, values,
        tuple("" if kind == Kind.EVENT else detail for kind, detail in zip(kinds, details, strict=True)),
        tuple(name or "" for name in names),
    )  # fmt: skip


def outputs(view: View, after_seq: int, upto_seq: int, ends: Ends) -> list[StoredOutput]:
    """Outputs of the inputs with `after_seq` < seq ≤ `upto_seq`, in order of position."""
    low, high = _positions(view.connection, after_seq, upto_seq)
    rows = view.connection.execute(
        "SELECT o.position, o.seq, o.stream_id, o.step, o.forecast, b.body, o.body_crc"
        " FROM outputs o LEFT JOIN outbox b ON b.position = o.position AND b.position > ?"
        " WHERE o.position > ? AND o.position <= ? AND o.seq > ? AND o.seq <= ? ORDER BY o.position",
        (ends.confirmed, max(low, ends.sealed_position), high, after_seq, upto_seq),
    ).fetchall()
    view.names.learn({row[2] for row in rows})
    known = view.names.names
    return [
        StoredOutput(position, seq, *known[stream_id], step, forecast, body, crc)
        for position, seq, stream_id, step, forecast, body, crc in rows
    ]


def _positions(connection: Connection, after_seq: int, upto_seq: int) -> tuple[int, int]:
    """Bounds (exclusive, inclusive) of the positions of these inputs' outputs."""
    low = connection.execute(
        "SELECT first_position FROM marks WHERE first_seq <= ? ORDER BY first_seq DESC LIMIT 1", (after_seq + 1,)
    ).fetchone()
    high = connection.execute(
        "SELECT first_position FROM marks WHERE first_seq > ? ORDER BY first_seq LIMIT 1", (upto_seq,)
    ).fetchone()
    return (0 if low is None else low[0] - 1), ((1 << 62) if high is None else high[0] - 1)


def output_columns(connection: Connection, after: int, upto: int, *, first_seq: int) -> OutputColumns | None:
    """Outputs with `after` < position ≤ `upto` by column; causes are counted from `first_seq`."""
    rows = connection.execute(
        "SELECT 0, seq - ?, stream_id, step, forecast, body_crc FROM outputs"
        " WHERE position > ? AND position <= ? ORDER BY position",
        (first_seq, after, upto),
    ).fetchall()
    return OutputColumns(*zip(*rows, strict=True)) if rows else None


def pending(view: View, after: int, *, most: int) -> list[Pending]:
    """Outputs with position > `after` whose bodies are kept."""
    rows = view.connection.execute(
        "SELECT b.position, o.stream_id, b.body, b.retain, b.qos, b.topic FROM outbox b"
        " JOIN outputs o ON o.position = b.position WHERE b.position > ?"
        " AND NOT EXISTS (SELECT 1 FROM aside a WHERE a.position = b.position) ORDER BY b.position LIMIT ?",
        (after, most),
    ).fetchall()
    view.names.learn({row[1] for row in rows})
    return [Pending(row[0], *view.names.names[row[1]], row[2], row[3] == 1, row[4], row[5]) for row in rows]


def stretch(view: View, ends: Ends, *, least: int) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """(seq, position) of the oldest rows, and of a border between commits up to which all is confirmed.

    That is at least `least` inputs later, or the end of these rows.
    """
    first = first_seq(view, ends)
    if first is None:
        return None
    border = view.connection.execute(
        "SELECT first_seq, first_position FROM marks WHERE first_seq > ? AND first_position <= ? + 1"
        " AND (first_seq >= ? OR first_seq = (SELECT max(first_seq) FROM marks)) ORDER BY first_seq LIMIT 1",
        (first, ends.confirmed, first + least),
    ).fetchone()
    if border is None:
        return None
    oldest = view.connection.execute(
        "SELECT min(position) FROM outputs WHERE position > ?", (ends.sealed_position,)
    ).fetchone()[0]
    return (first, border[1] if oldest is None else min(oldest, border[1])), border


def drop(connection: Connection, ends: Ends, *, chunk: int) -> int:
    """Delete rows that are sealed, at most about `chunk` of each kind; return how many."""
    gone = 0
    for table, key, last in (
        ("inputs", "seq", ends.sealed_seq),
        ("outbox", "position", ends.sealed_position),
        ("outputs", "position", ends.sealed_position),
    ):
        first = connection.execute(f"SELECT min({key}) FROM {table}").fetchone()[0]
        if first is not None and first <= last:
            gone += connection.execute(f"DELETE FROM {table} WHERE {key} <= ?", (min(last, first + chunk),)).rowcount
    return gone


def last_seq(view: View) -> int:
    """The newest input of version 1 that is left; 0 if there is none."""
    found: int | None = view.connection.execute("SELECT max(seq) FROM inputs").fetchone()[0]
    return found or 0
