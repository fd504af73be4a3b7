"""What can be asked of a ledger, each in a short transaction; shared by the writer and all readers.

Rows are in up to three places, one after another in order of seq: segments, rows of version 1, batches. Each function
takes a `View`, or the connection alone where no row names a stream. Generators ask page by page, so that a slow
consumer never holds a transaction open (which would keep the WAL from being reused).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gaugecast.batch import Inputs
from gaugecast.events import Event, decode_event
from gaugecast.ledger import batches, legacy, sealed
from gaugecast.ledger.packing import InputColumns
from gaugecast.ledger.rows import Pending, Quarantined, RefusedOutput, StoredBatch, StoredOutput
from gaugecast.ledger.sql import Connection
from gaugecast.ledger.view import Ends, View
from gaugecast.records import Kind

_KINDS = tuple(Kind)
_BOOLS = (False, True)
_Details = Mapping[int, str]
#: Of a key and its value.
SET_META = "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"


def replay(view: View, after_seq: int, *, most: int, upto_seq: int | None = None) -> Iterator[StoredBatch]:
    """Inputs with seq > `after_seq` (and ≤ `upto_seq`) in order, at most `most` in a batch."""
    last = (1 << 62) if upto_seq is None else upto_seq
    while after_seq < last:
        pages, details = _input_pages(view, after_seq, most)
        if not pages:
            return
        for first, columns in pages:
            end = min(first + len(columns.kinds) - 1, last)
            for seq in range(max(first, after_seq + 1), end + 1, most):
                cut = slice(seq - first, min(seq + most, end + 1) - first)
                yield _to_batch(view, seq, InputColumns._make(column[cut] for column in columns), details)
            after_seq = max(after_seq, end)


def _input_pages(view: View, after_seq: int, most: int) -> tuple[list[tuple[int, InputColumns]], _Details]:
    """First seqs and inputs, of which the last are after `after_seq`, and the texts of their events."""
    with view.snapshot():
        ends = view.ends()
        row = sealed.oldest(view.connection, after_seq + 1) if after_seq < ends.sealed_seq else None
        if row is not None:
            stored = sealed.input_parts(view.connection, row.first_seq)
            details = _details(view.connection, row.first_seq, row.last_seq)
        else:
            pages = _unsealed_pages(view, after_seq, ends, most)
            if pages:
                first, columns = pages[-1]
                details = _details(view.connection, pages[0][0], first + len(columns.kinds) - 1)
            else:
                details = {}
    if row is not None:
        pages = [(row.first_seq, sealed.inputs_in_order(row, stored))]
    return pages, details


def _unsealed_pages(view: View, after_seq: int, ends: Ends, most: int) -> list[tuple[int, InputColumns]]:
    if view.legacy:
        found = legacy.inputs(view, max(after_seq, ends.sealed_seq), most=most)
        if found is not None:
            return [found]
    pages = batches.input_pages(view, after_seq + 1, ends, most=most)
    if len(pages) < 2:
        return pages if pages and pages[0][0] + len(pages[0][1].kinds) > after_seq + 1 else []
    joined = ([one for part in same for one in part] for same in zip(*(columns for _, columns in pages), strict=True))
    return [(pages[0][0], InputColumns._make(joined))]


def _details(connection: Connection, first_seq: int, last_seq: int) -> _Details:
    return dict(
        connection.execute("SELECT seq, detail FROM event_rows WHERE seq >= ? AND seq <= ?", (first_seq, last_seq))
    )


def _to_batch(view: View, first_seq: int, columns: InputColumns, details: _Details) -> StoredBatch:
    view.names.learn(set(columns.stream_ids))
    known = view.names.names
    fleets, streams = zip(*(known[stream_id] for stream_id in columns.stream_ids), strict=True)
    if any(columns.names):
        streams = tuple(name or stream for name, stream in zip(columns.names, streams, strict=True))
    kinds = [_KINDS[kind] for kind in columns.kinds]
    told = (
        [None] * len(kinds)
        if Kind.EVENT not in kinds
        else [decode_event(details[first_seq + i]) if kind == Kind.EVENT else None for i, kind in enumerate(kinds)]
    )
    at_ns, received, values, keys, deliveries, reasons = map(
        list,
        (columns.at_ns, columns.received_at_ns, columns.values, columns.keys, columns.deliveries, columns.reasons),
    )
    dups = [_BOOLS[dup] for dup in columns.dups]
    inputs = Inputs(kinds, list(fleets), list(streams), at_ns, received, values, keys, deliveries, dups, reasons, told)
    return StoredBatch(first_seq, inputs, list(columns.verdicts))


def events(view: View, after_seq: int = 0) -> list[tuple[int, str, Event]]:
    """(seq, fleet, event) of the kept events with seq > `after_seq`, in order. Reads nothing else."""
    rows = view.connection.execute(
        "SELECT seq, stream_id, detail FROM event_rows WHERE seq > ? ORDER BY seq", (after_seq,)
    ).fetchall()
    view.names.learn({row[1] for row in rows})
    return [(seq, view.names.names[stream_id][0], decode_event(detail)) for seq, stream_id, detail in rows]


def outputs(view: View, after_seq: int, upto_seq: int, *, most: int = 2000) -> Iterator[StoredOutput]:
    """Outputs of the inputs with `after_seq` < seq ≤ `upto_seq`, in order of position."""
    while after_seq < upto_seq:
        with view.snapshot():
            ends = view.ends()
            row = sealed.oldest(view.connection, after_seq + 1) if after_seq < ends.sealed_seq else None
            if row is None:
                last, found = _unsealed_outputs(view, after_seq, upto_seq, ends, most)
            elif (known := view.known_outputs(row.first_seq)) is None:
                stored = sealed.output_parts(view.connection, row.first_seq)
        if row is not None:
            if known is None:
                known = sealed.outputs_in_order(view, row, stored)
                view.remember(row.first_seq, known)
            last, found = row.last_seq, [one for one in known if after_seq < one.seq <= upto_seq]
        yield from found
        after_seq = last


def _unsealed_outputs(
    view: View, after_seq: int, upto_seq: int, ends: Ends, most: int
) -> tuple[int, list[StoredOutput]]:
    if view.legacy:
        page = legacy.inputs(view, max(after_seq, ends.sealed_seq), most=most)
        if page is not None:
            last = min(page[0] + len(page[1].kinds) - 1, upto_seq)
            return last, legacy.outputs(view, after_seq, last, ends)
    return batches.outputs(view, after_seq, upto_seq, ends, most=most)


def pending(view: View, after: int, most: int) -> list[Pending]:
    """Outputs with position > `after` that are not confirmed, in order."""
    with view.snapshot():
        ends = view.ends()
        after = max(after, ends.confirmed)
        found = legacy.pending(view, after, most=most) if view.legacy else []
        if len(found) < most:
            after = found[-1].position if found else after
            found += batches.pending(view, after, ends, most=most - len(found))
    return found


def refused_outputs(view: View, after: int, most: int) -> list[RefusedOutput]:
    """Outputs that the broker refused, position > `after`, in order."""
    rows = view.connection.execute(
        "SELECT position, stream_id, body, retain, qos, topic, reason FROM refused_outputs"
        " WHERE position > ? ORDER BY position LIMIT ?",
        (after, most),
    ).fetchall()
    view.names.learn({row[1] for row in rows})
    return [RefusedOutput(row[0], *view.names.names[row[1]], row[2], row[3] == 1, *row[4:]) for row in rows]


def quarantined(connection: Connection, most: int, *, reason: str | None = None) -> list[Quarantined]:
    """The newest refused messages (of one reason), newest first."""
    rows = connection.execute(
        "SELECT id, received_at_ns, fleet, stream, topic, reason, detail, head FROM quarantine"
        " WHERE CAST(? AS TEXT) IS NULL OR reason = ? ORDER BY id DESC LIMIT ?",
        (reason, reason, most),
    )
    return [Quarantined(*row) for row in rows]


def quarantine_count(connection: Connection) -> int:
    """How many refused messages are kept; their ids have no holes, since only the oldest ever go."""
    count: int = connection.execute(
        "SELECT coalesce((SELECT max(id) FROM quarantine) - (SELECT min(id) FROM quarantine) + 1, 0)"
    ).fetchone()[0]
    return count


def refused_count(connection: Connection) -> int:
    """How many outputs that the broker refused are kept."""
    count: int = connection.execute("SELECT count(*) FROM refused_outputs").fetchone()[0]
    return count


def first_seq(view: View) -> int:
    """Oldest kept input; one past the newest where none is kept."""
    with view.snapshot():
        ends = view.ends()
        segment = sealed.oldest(view.connection)
        if segment is not None:
            return segment.first_seq
        old = legacy.first_seq(view, ends) if view.legacy else None
        if old is not None:
            return old
        batch = batches.oldest(view.connection, sealed_seq=ends.sealed_seq)
        return ends.last_seq + 1 if batch is None else batch.first_seq


def fingerprints(connection: Connection) -> list[tuple[int, str]]:
    """(seq, fingerprint): from this input on, rows were computed under this fingerprint."""
    return connection.execute("SELECT seq, text FROM fingerprints ORDER BY seq").fetchall()


def parked_state(connection: Connection, fleet: str, stream: str, *, at_seq: int | None = None) -> bytes | None:
    """The state of a stream that is parked (after input `at_seq`, or now), or `None`."""
    row = connection.execute(
        "SELECT p.state FROM streams s JOIN parked p ON p.stream_id = s.id WHERE s.fleet = ? AND s.stream = ?"
        " AND (CAST(? AS BIGINT) IS NULL OR p.parked_seq <= ?) AND (p.unparked_seq IS NULL OR p.unparked_seq > ?)"
        " ORDER BY p.parked_seq DESC LIMIT 1",
        (fleet, stream, at_seq, at_seq, at_seq),
    ).fetchone()
    return None if row is None else row[0]


def stream_id(connection: Connection, fleet: str, stream: str) -> int | None:
    """The id of a stream, or `None` of one that has none."""
    row = connection.execute("SELECT id FROM streams WHERE fleet = ? AND stream = ?", (fleet, stream)).fetchone()
    return None if row is None else row[0]


def stream_names(connection: Connection) -> list[tuple[str, str]]:
    """(fleet, stream) of all streams that kept rows name, in order."""
    return connection.execute("SELECT fleet, stream FROM streams WHERE stream <> '' ORDER BY fleet, stream").fetchall()


def parked_count(connection: Connection) -> int:
    """How many streams are parked now."""
    count: int = connection.execute("SELECT count(*) FROM parked WHERE unparked_seq IS NULL").fetchone()[0]
    return count
