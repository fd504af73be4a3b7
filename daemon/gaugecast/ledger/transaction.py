"""What one commit writes: a row of `batches` with all that the micro-batch brought, and little else."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from zlib import crc32

from gaugecast.errors import Defect
from gaugecast.events import ClockStepped, encode_event
from gaugecast.ledger import batches, legacy
from gaugecast.ledger.packing import (
    BodyColumns,
    InputColumns,
    OutputColumns,
    pack_bodies,
    pack_inputs,
    pack_outputs,
)
from gaugecast.ledger.rows import Pending
from gaugecast.ledger.streams import StreamIds
from gaugecast.ledger.view import View
from gaugecast.records import Commit, Input, Kind, Output, Refused

REFUSED_OUTPUTS_KEPT = 10_000
_FORECAST = 0  # the kind of an output


class Heads(NamedTuple):
    """The ends of the ledger after a commit."""

    last_seq: int
    last_position: int
    confirmed: int
    received_at_ns: int
    written_bytes: int  # of all batches so far
    aside: bool  # whether there may be unconfirmed outputs that were refused

    @classmethod
    def load(cls, view: View) -> Heads:
        """Read them from the tables."""
        newest = batches.at_seq(view.connection, 1 << 62, sealed_seq=-1)
        aside = view.connection.execute("SELECT EXISTS (SELECT 1 FROM aside)").fetchone()[0]
        return cls(*view.ends()[:4], 0 if newest is None else newest.written_bytes, aside == 1)

    def note(self, connection: sqlite3.Connection) -> None:
        """Write them where they hold without the batches."""
        connection.execute(
            "UPDATE heads SET last_seq = ?, last_position = ?, confirmed = ?, received_at_ns = ?", self[:4]
        )


def check_commit(commit: Commit, heads: Heads) -> None:
    """Raise `Defect` where the parts of a commit contradict each other or the ledger."""
    if len(commit.verdicts) != len(commit.inputs):
        raise Defect(f"expected a verdict for each of {len(commit.inputs)} inputs, got {len(commit.verdicts)}")
    if commit.outputs and not commit.inputs:
        raise Defect(f"expected inputs for {len(commit.outputs)} outputs, got none")
    if commit.confirmed is not None and commit.confirmed > heads.last_position:
        raise Defect(f"expected a confirmed position ≤ {heads.last_position}, got {commit.confirmed}")


def write_commit(
    view: View, ids: StreamIds, heads: Heads, commit: Commit, *, quarantine_rows: int
) -> tuple[Heads, int]:
    """Fill the tables; return the new ends and by how many the parked streams have grown.

    Args:
        quarantine_rows: So many refused messages are kept.

    Raises:
        Defect: A row does not fit its column.
    """
    connection = view.connection
    confirmed = heads.confirmed if commit.confirmed is None else max(heads.confirmed, commit.confirmed)
    after = heads._replace(confirmed=confirmed)
    if commit.inputs:
        _shift_parked(connection, commit.inputs)
        after = _add_batch(connection, ids, after, commit)
    elif after != heads:
        after.note(connection)
    parked_change = _move_parked(connection, ids, after, commit)
    _add_quarantine(connection, commit.refused, quarantine_rows)
    if commit.refused_outputs or commit.redelivered:
        _move_refused(view, ids, after, commit)
    if commit.refused_outputs or after.aside:
        connection.execute("DELETE FROM aside WHERE position <= ?", (confirmed,))
        left = connection.execute("SELECT EXISTS (SELECT 1 FROM aside)").fetchone()[0]
        after = after._replace(aside=left == 1)
    return after, parked_change


def _add_batch(connection: sqlite3.Connection, ids: StreamIds, heads: Heads, commit: Commit) -> Heads:
    first_seq, count = heads.last_seq + 1, len(commit.inputs)
    try:
        input_part = _input_part(connection, ids, commit, first_seq)
        output_part, body_part = _output_parts(ids, commit.outputs, first_seq, count) if commit.outputs else (b"", b"")
    except struct.error as exc:
        raise Defect(f"rows that cannot be stored: {exc}") from exc
    after = heads._replace(
        last_seq=heads.last_seq + count,
        last_position=heads.last_position + len(commit.outputs),
        received_at_ns=commit.inputs[-1].received_at_ns,
        written_bytes=heads.written_bytes + len(input_part) + len(output_part) + len(body_part),
    )
    connection.execute(
        "INSERT INTO batches VALUES (?,?,?,?,?,?,?,?,?,?)",
        (
            first_seq, count, heads.last_position + 1, len(commit.outputs), after.confirmed, after.received_at_ns,
            after.written_bytes, input_part, output_part, body_part,
        ),
    )  # fmt: skip
    return after


def _input_part(connection: sqlite3.Connection, ids: StreamIds, commit: Commit, first_seq: int) -> bytes:
    """Column by column, since a Python expression per row and column would cost more than all else."""
    kinds, fleets, streams, at_ns, received, values, keys, deliveries, dups, reasons, events = zip(*commit.inputs)  # noqa: B905
    stream_ids, names = _input_streams(ids, commit.inputs, fleets, streams, first_seq)
    if any(events):
        connection.executemany(
            "INSERT INTO event_rows VALUES (?, ?, ?)",
            [(first_seq + i, stream_ids[i], encode_event(event)) for i, event in enumerate(events) if event],
        )
    return pack_inputs(
        InputColumns(
            kinds, commit.verdicts, stream_ids, at_ns, received, keys, deliveries, dups, values, reasons, names
        )
    )


def _input_streams(
    ids: StreamIds, inputs: Sequence[Input], fleets: Sequence[str], streams: Sequence[str], seq: int
) -> tuple[list[int], Sequence[str]]:
    """Each input's stream id, and its name where it is a reject of a stream that has no id."""
    known = ids.ids
    try:
        return [known[fleet][stream] for fleet, stream in zip(fleets, streams, strict=True)], ()
    except KeyError:
        ids.learn(sorted({(x.fleet, "" if x.kind == Kind.REJECT else x.stream) for x in inputs}), seq)
    spelled = [stream not in known[fleet] for fleet, stream in zip(fleets, streams, strict=True)]
    stream_ids = [known[x.fleet]["" if s else x.stream] for x, s in zip(inputs, spelled, strict=True)]
    return stream_ids, [stream if s else "" for stream, s in zip(streams, spelled, strict=True)]


def _output_parts(ids: StreamIds, outputs: Sequence[Output], first_seq: int, inputs: int) -> tuple[bytes, bytes]:
    causes, fleets, streams, steps, forecasts, topics, bodies, retains, qos = zip(*outputs)  # noqa: B905
    if min(causes) < 0 or max(causes) >= inputs:
        raise Defect(f"expected outputs of inputs 0…{inputs - 1}, got {min(causes)}…{max(causes)}")
    known = ids.ids
    try:
        stream_ids = [known[f][s] for f, s in zip(fleets, streams, strict=True)]
    except KeyError:
        ids.learn(sorted(set(zip(fleets, streams, strict=True))), first_seq)
        stream_ids = [known[f][s] for f, s in zip(fleets, streams, strict=True)]
    kinds = (_FORECAST,) * len(outputs)
    crcs = tuple(map(crc32, bodies))
    return (
        pack_outputs(OutputColumns(kinds, causes, stream_ids, steps, forecasts, crcs)),
        pack_bodies(BodyColumns(topics, retains, qos, bodies)),
    )


def _shift_parked(connection: sqlite3.Connection, inputs: Sequence[Input]) -> None:
    """Where the machine's clock was set, parked streams move along: their age must not change by it.

    That of other rows is reckoned when they are pruned; but streams stay parked for longer than events are kept.
    """
    step_ns = sum(one.event.step_ns for one in inputs if isinstance(one.event, ClockStepped))
    if step_ns:
        connection.execute("UPDATE parked SET parked_at_ns = parked_at_ns + ?", (step_ns,))


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


def _move_refused(view: View, ids: StreamIds, heads: Heads, commit: Commit) -> None:
    """Move refused outputs into a bounded table of their own, and take out those that were delivered after all."""
    connection = view.connection
    reasons = dict(commit.refused_outputs)
    found = list(_at_positions(view, set(reasons)))
    ids.learn({(one.fleet, one.stream) for one in found}, heads.last_seq)
    connection.executemany(
        "INSERT OR REPLACE INTO refused_outputs VALUES (?,?,?,?,?,?,?)",
        [
            (one.position, ids.ids[one.fleet][one.stream], one.topic, one.retain, one.qos, one.body,
             reasons[one.position]) for one in found
        ],
    )  # fmt: skip
    connection.executemany("INSERT OR IGNORE INTO aside VALUES (?)", [(position,) for position in reasons])
    if reasons:
        connection.execute(
            "DELETE FROM refused_outputs WHERE position <="
            " (SELECT position FROM refused_outputs ORDER BY position DESC LIMIT 1 OFFSET ?)",
            (REFUSED_OUTPUTS_KEPT,),
        )
    connection.executemany(
        "DELETE FROM refused_outputs WHERE position = ?", [(position,) for position in commit.redelivered]
    )


def _at_positions(view: View, wanted: set[int]) -> Iterable[Pending]:
    """The outputs at these positions that were not put aside before."""
    ends = view.ends()
    while wanted:
        after = min(wanted) - 1
        page = legacy.pending(view, after, most=2000) if view.legacy else []
        page = page or batches.pending(view, after, ends, most=2000)
        yield from (one for one in page if one.position in wanted)
        wanted = {position for position in wanted if page and position > page[-1].position}
