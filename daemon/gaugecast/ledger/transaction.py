"""What one commit writes: a row of `batches` with all that the micro-batch brought, and little else."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from zlib import crc32

from gaugecast.batch import Inputs, Outputs
from gaugecast.errors import Defect
from gaugecast.events import ClockStepped, FleetForgotten, encode_event
from gaugecast.ledger import batches, legacy, told
from gaugecast.ledger.packing import (
    BodyColumns,
    InputColumns,
    OutputColumns,
    pack_bodies,
    pack_inputs,
    pack_outputs,
)
from gaugecast.ledger.rows import Pending
from gaugecast.ledger.sql import Connection
from gaugecast.ledger.streams import StreamIds
from gaugecast.ledger.view import View
from gaugecast.records import Commit, Kind, Refused

REFUSED_OUTPUTS_KEPT = 10_000
_FORECAST, _NOTICE = 0, 1  # the kinds of an output; a notice has no forecast
_QUARANTINE = (
    "INSERT INTO quarantine (received_at_ns, fleet, stream, topic, reason, detail, head) VALUES (?,?,?,?,?,?,?)"
)
_PARK = (
    "INSERT INTO parked (stream_id, parked_seq, unparked_seq, parked_at_ns, state) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (stream_id, parked_seq) DO UPDATE SET unparked_seq = excluded.unparked_seq,"
    " parked_at_ns = excluded.parked_at_ns, state = excluded.state"
)
_REFUSE = (
    "INSERT INTO refused_outputs (position, stream_id, topic, retain, qos, body, reason) VALUES (?,?,?,?,?,?,?)"
    " ON CONFLICT (position) DO UPDATE SET topic = excluded.topic, body = excluded.body, reason = excluded.reason"
)


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

    def note(self, connection: Connection) -> None:
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
        _shift_parked(connection, Inputs.of(commit.inputs))
        after = _add_batch(connection, ids, after, commit)
    elif after != heads:
        after.note(connection)
    parked_change = _move_parked(connection, ids, after, commit) - _forget_fleets(connection, after, commit)
    _add_quarantine(connection, commit.refused, quarantine_rows)
    told.add(connection, commit.told, after.received_at_ns)
    if commit.refused_outputs or commit.redelivered:
        _move_refused(view, ids, after, commit)
    if commit.refused_outputs or after.aside:
        connection.execute("DELETE FROM aside WHERE position <= ?", (confirmed,))
        left = connection.execute("SELECT EXISTS (SELECT 1 FROM aside)").fetchone()[0]
        after = after._replace(aside=left == 1)
    return after, parked_change


def _add_batch(connection: Connection, ids: StreamIds, heads: Heads, commit: Commit) -> Heads:
    first_seq, count = heads.last_seq + 1, len(commit.inputs)
    try:
        inputs, outputs = Inputs.of(commit.inputs), Outputs.of(commit.outputs)
        input_part = _input_part(connection, ids, inputs, commit.verdicts, first_seq)
        output_part, body_part = _output_parts(ids, outputs, first_seq, count) if outputs else (b"", b"")
    except struct.error as exc:
        raise Defect(f"rows that cannot be stored: {exc}") from exc
    after = heads._replace(
        last_seq=heads.last_seq + count,
        last_position=heads.last_position + len(commit.outputs),
        received_at_ns=inputs.received_at_ns[-1],
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


def _input_part(
    connection: Connection, ids: StreamIds, inputs: Inputs, verdicts: Sequence[int], first_seq: int
) -> bytes:
    stream_ids, names = _input_streams(ids, inputs, first_seq)
    if any(inputs.event):
        connection.executemany(
            "INSERT INTO event_rows VALUES (?, ?, ?)",
            [(first_seq + i, stream_ids[i], encode_event(event)) for i, event in enumerate(inputs.event) if event],
        )
    return pack_inputs(
        InputColumns(
            inputs.kind, verdicts, stream_ids, inputs.at_ns, inputs.received_at_ns, inputs.key, inputs.delivery,
            inputs.dup, inputs.values, inputs.reason, names,
        )
    )  # fmt: skip


def _input_streams(ids: StreamIds, inputs: Inputs, seq: int) -> tuple[list[int], Sequence[str]]:
    """Each input's stream id, and its name where it is a reject of a stream that has no id."""
    try:
        return ids.of(inputs.fleet, inputs.stream), ()
    except KeyError:
        ids.learn(sorted({(x.fleet, "" if x.kind == Kind.REJECT else x.stream) for x in inputs}), seq)
    known = ids.ids
    spelled = [stream not in known[fleet] for fleet, stream in zip(inputs.fleet, inputs.stream, strict=True)]
    streams = ["" if s else stream for stream, s in zip(inputs.stream, spelled, strict=True)]
    return ids.of(inputs.fleet, streams), [
        stream if s else "" for stream, s in zip(inputs.stream, spelled, strict=True)
    ]


def _output_parts(ids: StreamIds, outputs: Outputs, first_seq: int, inputs: int) -> tuple[bytes, bytes]:
    causes = outputs.cause
    if min(causes) < 0 or max(causes) >= inputs:
        raise Defect(f"expected outputs of inputs 0…{inputs - 1}, got {min(causes)}…{max(causes)}")
    try:
        stream_ids = ids.of(outputs.fleet, outputs.stream)
    except KeyError:
        ids.learn(sorted(set(zip(outputs.fleet, outputs.stream, strict=True))), first_seq)
        stream_ids = ids.of(outputs.fleet, outputs.stream)
    kinds = [_FORECAST if forecast else _NOTICE for forecast in outputs.forecast]
    crcs = tuple(map(crc32, outputs.body))
    return (
        pack_outputs(OutputColumns(kinds, causes, stream_ids, outputs.step, outputs.forecast, crcs)),
        pack_bodies(BodyColumns(outputs.topic, outputs.retain, outputs.qos, outputs.body)),
    )


def _shift_parked(connection: Connection, inputs: Inputs) -> None:
    """Where the machine's clock was set, parked streams move along: their age must not change by it.

    That of other rows is reckoned when they are pruned; but streams stay parked for longer than events are kept.
    """
    step_ns = sum(event.step_ns for event in inputs.event if isinstance(event, ClockStepped))
    if step_ns:
        connection.execute("UPDATE parked SET parked_at_ns = parked_at_ns + ?", (step_ns,))


def _move_parked(connection: Connection, ids: StreamIds, heads: Heads, commit: Commit) -> int:
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
    connection.executemany(_PARK, kept)
    return growth + len(kept)


def _forget_fleets(connection: Connection, heads: Heads, commit: Commit) -> int:
    """Close the rows of parked streams whose fleet is gone for good; how many."""
    inputs = Inputs.of(commit.inputs)
    gone = [fleet for fleet, event in zip(inputs.fleet, inputs.event, strict=True) if isinstance(event, FleetForgotten)]
    closed = 0
    for fleet in gone:
        closed += connection.execute(
            "UPDATE parked SET unparked_seq = ? WHERE unparked_seq IS NULL"
            " AND stream_id IN (SELECT id FROM streams WHERE fleet = ?)",
            (heads.last_seq, fleet),
        ).rowcount
    return closed


def _add_quarantine(connection: Connection, refused: Sequence[Refused], most: int) -> None:
    if not refused:
        return
    connection.executemany(_QUARANTINE, refused[-most:] if most else ())
    connection.execute("DELETE FROM quarantine WHERE id <= (SELECT max(id) FROM quarantine) - ?", (most,))


def _move_refused(view: View, ids: StreamIds, heads: Heads, commit: Commit) -> None:
    """Move refused outputs into a bounded table of their own, and take out those that were delivered after all."""
    connection = view.connection
    reasons = dict(commit.refused_outputs)
    found = list(_at_positions(view, set(reasons)))
    ids.learn({(one.fleet, one.stream) for one in found}, heads.last_seq)
    connection.executemany(
        _REFUSE,
        [
            (one.position, ids.ids[one.fleet][one.stream], one.topic, one.retain, one.qos, one.body,
             reasons[one.position]) for one in found
        ],
    )  # fmt: skip
    connection.executemany("INSERT INTO aside VALUES (?) ON CONFLICT DO NOTHING", [(position,) for position in reasons])
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
