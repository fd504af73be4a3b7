"""What can be asked of a ledger, each in a short transaction; shared by the writer and all readers.

Each function takes an open connection and, where rows name streams, its `StreamNames`. Generators ask page by page,
so that a slow consumer never holds a transaction open (which would keep the WAL from being reused).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from gaugecast.events import Event, decode_event
from gaugecast.ledger.rows import Batch, Pending, Quarantined, RefusedOutput, StoredOutput
from gaugecast.ledger.streams import StreamNames
from gaugecast.records import Input, Kind

_KINDS = tuple(Kind)
_WIDE = 1 << 63  # SQLite's integers end below


def pack_wide(number: int) -> int | bytes:
    """An unsigned 64-bit number as SQLite can keep it: an integer, or 8 bytes where it is too large for one."""
    return number if number < _WIDE else number.to_bytes(8, "big")


def unpack_wide(stored: int | bytes) -> int:
    """Inverse of `pack_wide`."""
    return stored if isinstance(stored, int) else int.from_bytes(stored, "big")


def replay(
    connection: sqlite3.Connection, names: StreamNames, after_seq: int, *, most: int, upto_seq: int | None = None
) -> Iterator[Batch]:
    """Inputs with seq > `after_seq` (and ≤ `upto_seq`) in order, at most `most` in a batch."""
    last = (1 << 62) if upto_seq is None else upto_seq
    while True:
        rows = connection.execute(
            'SELECT seq, stream_id, kind, verdict, at_ns, received_at_ns, key, delivery, dup, "values", detail, name'
            " FROM inputs WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?",
            (after_seq, last, most),
        ).fetchall()
        if not rows:
            return
        names.learn({row[1] for row in rows})
        known = names.names
        yield Batch(rows[0][0], [_to_input(row, *known[row[1]]) for row in rows], [row[3] for row in rows])
        after_seq = rows[-1][0]


def events(connection: sqlite3.Connection, names: StreamNames, after_seq: int = 0) -> list[tuple[int, str, Event]]:
    """(seq, fleet, event) of the kept events with seq > `after_seq`, in order. Reads nothing else."""
    rows = connection.execute(
        "SELECT seq, stream_id, detail FROM inputs WHERE kind = 2 AND seq > ? ORDER BY seq", (after_seq,)
    ).fetchall()
    names.learn({row[1] for row in rows})
    return [(seq, names.names[stream_id][0], decode_event(detail)) for seq, stream_id, detail in rows]


def _to_input(
    row: tuple[int, int, int, int, int, int, int | None, int | bytes, int, bytes, str, str | None],
    fleet: str,
    stream: str,
) -> Input:
    _, _, kind, _, at_ns, received_at_ns, key, delivery, dup, values, detail, name = row
    event = decode_event(detail) if kind == Kind.EVENT else None
    return Input(
        _KINDS[kind], fleet, stream if name is None else name, at_ns, received_at_ns, values,
        at_ns if key is None else key, unpack_wide(delivery), dup == 1, "" if event else detail, event,
    )  # fmt: skip


def outputs(
    connection: sqlite3.Connection, names: StreamNames, after_seq: int, upto_seq: int, *, most: int = 2000
) -> Iterator[StoredOutput]:
    """Outputs of the inputs with `after_seq` < seq ≤ `upto_seq`, in order of position."""
    after, last = _positions(connection, after_seq, upto_seq)
    while True:
        rows = connection.execute(
            "SELECT o.position, o.seq, o.stream_id, o.step, o.forecast, b.body, o.body_crc"
            " FROM outputs o LEFT JOIN outbox b ON b.position = o.position"
            " WHERE o.position > ? AND o.position <= ? AND o.seq > ? AND o.seq <= ? ORDER BY o.position LIMIT ?",
            (after, last, after_seq, upto_seq, most),
        ).fetchall()
        if not rows:
            return
        names.learn({row[2] for row in rows})
        for position, seq, stream_id, step, forecast, body, body_crc in rows:
            yield StoredOutput(position, seq, *names.names[stream_id], step, forecast, body, body_crc)
        after = rows[-1][0]


def _positions(connection: sqlite3.Connection, after_seq: int, upto_seq: int) -> tuple[int, int]:
    """Bounds (exclusive, inclusive) of the positions of these inputs' outputs, from the sparse index."""
    low = connection.execute(
        "SELECT first_position FROM marks WHERE first_seq <= ? ORDER BY first_seq DESC LIMIT 1", (after_seq + 1,)
    ).fetchone()
    high = connection.execute(
        "SELECT first_position FROM marks WHERE first_seq > ? ORDER BY first_seq LIMIT 1", (upto_seq,)
    ).fetchone()
    return (0 if low is None else low[0] - 1), ((1 << 62) if high is None else high[0] - 1)


def pending(connection: sqlite3.Connection, names: StreamNames, after: int, most: int) -> list[Pending]:
    """Outputs with position > `after` whose bodies are still kept, in order."""
    rows = connection.execute(
        "SELECT b.position, o.stream_id, b.body, b.retain, b.qos, b.topic FROM outbox b"
        " JOIN outputs o ON o.position = b.position WHERE b.position > ? ORDER BY b.position LIMIT ?",
        (after, most),
    ).fetchall()
    names.learn({row[1] for row in rows})
    return [Pending(row[0], *names.names[row[1]], row[2], row[3] == 1, row[4], row[5]) for row in rows]


def refused_outputs(connection: sqlite3.Connection, names: StreamNames, after: int, most: int) -> list[RefusedOutput]:
    """Outputs that the broker refused, position > `after`, in order."""
    rows = connection.execute(
        "SELECT position, stream_id, body, retain, qos, topic, reason FROM refused_outputs"
        " WHERE position > ? ORDER BY position LIMIT ?",
        (after, most),
    ).fetchall()
    names.learn({row[1] for row in rows})
    return [RefusedOutput(row[0], *names.names[row[1]], row[2], row[3] == 1, *row[4:]) for row in rows]


def quarantined(connection: sqlite3.Connection, most: int, *, reason: str | None = None) -> list[Quarantined]:
    """The newest refused messages (of one reason), newest first."""
    rows = connection.execute(
        "SELECT id, received_at_ns, fleet, stream, topic, reason, detail, head FROM quarantine"
        " WHERE ?1 IS NULL OR reason = ?1 ORDER BY id DESC LIMIT ?2",
        (reason, most),
    )
    return [Quarantined(*row) for row in rows]


def quarantine_count(connection: sqlite3.Connection) -> int:
    """How many refused messages are kept; their ids have no holes, since only the oldest ever go."""
    count: int = connection.execute(
        "SELECT coalesce((SELECT max(id) FROM quarantine) - (SELECT min(id) FROM quarantine) + 1, 0)"
    ).fetchone()[0]
    return count


def refused_count(connection: sqlite3.Connection) -> int:
    """How many outputs that the broker refused are kept."""
    count: int = connection.execute("SELECT count(*) FROM refused_outputs").fetchone()[0]
    return count


def heads(connection: sqlite3.Connection) -> tuple[int, int, int, int]:
    """(last seq, last position, confirmed position, newest received_at_ns)."""
    row: tuple[int, int, int, int] = connection.execute(
        "SELECT last_seq, last_position, confirmed, received_at_ns FROM heads"
    ).fetchone()
    return row


def first_seq(connection: sqlite3.Connection) -> int:
    """Oldest kept input; one past the newest where none is kept."""
    row = connection.execute("SELECT min(seq) FROM inputs").fetchone()
    return heads(connection)[0] + 1 if row[0] is None else row[0]


def fingerprints(connection: sqlite3.Connection) -> list[tuple[int, str]]:
    """(seq, fingerprint): from this input on, rows were computed under this fingerprint."""
    return connection.execute("SELECT seq, text FROM fingerprints ORDER BY seq").fetchall()


def parked_state(connection: sqlite3.Connection, fleet: str, stream: str, *, at_seq: int | None = None) -> bytes | None:
    """The state of a stream that is parked (after input `at_seq`, or now), or `None`."""
    row = connection.execute(
        "SELECT p.state FROM streams s JOIN parked p ON p.stream_id = s.id WHERE s.fleet = ?1 AND s.stream = ?2"
        " AND (?3 IS NULL OR p.parked_seq <= ?3) AND (p.unparked_seq IS NULL OR p.unparked_seq > ?3)"
        " ORDER BY p.parked_seq DESC LIMIT 1",
        (fleet, stream, at_seq),
    ).fetchone()
    return None if row is None else row[0]


def parked_count(connection: sqlite3.Connection) -> int:
    """How many streams are parked now."""
    count: int = connection.execute("SELECT count(*) FROM parked WHERE unparked_seq IS NULL").fetchone()[0]
    return count


def size_bytes(path: Path) -> int:
    """What the ledger takes on the disk, its WAL included."""
    files = (path, path.with_name(path.name + "-wal"))
    return sum(file.stat().st_size for file in files if file.exists())
