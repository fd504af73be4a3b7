"""The newest rows, as the commits left them: one row of the table a commit. Reading only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from gaugecast.ledger.damage import Damaged
from gaugecast.ledger.packing import (
    BodyColumns,
    DamagedPart,
    InputColumns,
    OutputColumns,
    unpack_bodies,
    unpack_inputs,
    unpack_outputs,
)
from gaugecast.ledger.rows import Pending, StoredOutput
from gaugecast.ledger.sql import Connection
from gaugecast.ledger.view import Ends, View


class Place(NamedTuple):
    """Where a batch is, without its rows."""

    first_seq: int
    inputs: int
    first_position: int
    outputs: int
    written_bytes: int

    @property
    def last_position(self) -> int:
        """Its last output; one less than its first where it has none."""
        return self.first_position + self.outputs - 1


#: Of bodies that are read at once to be published.
PENDING_BYTES = 4 << 20
_PLACE = "SELECT first_seq, inputs, first_position, outputs, written_bytes FROM batches"


def at_seq(connection: Connection, seq: int, *, sealed_seq: int) -> Place | None:
    """The newest batch that begins at `seq` or before."""
    row = connection.execute(
        f"{_PLACE} WHERE first_seq <= ? AND first_seq > ? ORDER BY first_seq DESC LIMIT 1", (seq, sealed_seq)
    ).fetchone()
    return None if row is None else Place(*row)


def oldest(connection: Connection, *, sealed_seq: int) -> Place | None:
    """The oldest batch that is not sealed."""
    row = connection.execute(f"{_PLACE} WHERE first_seq > ? ORDER BY first_seq LIMIT 1", (sealed_seq,)).fetchone()
    return None if row is None else Place(*row)


def at_position(connection: Connection, position: int, *, sealed_seq: int) -> Place | None:
    """The newest batch whose outputs begin at `position` or before; found by halving, which spares an index."""
    low, high = oldest(connection, sealed_seq=sealed_seq), at_seq(connection, 1 << 62, sealed_seq=sealed_seq)
    if low is None or high is None or low.first_position > position:
        return None
    least, most = low.first_seq, high.first_seq
    while least < most:
        middle = (least + most + 1) // 2
        found = at_seq(connection, middle, sealed_seq=sealed_seq)
        if found is None or found.first_position <= position:
            least = middle
        else:
            most = found.first_seq - 1
    return at_seq(connection, least, sealed_seq=sealed_seq)


def _from(view: View, seq: int, ends: Ends) -> Place | None:
    """The batch with `seq`, or the next one that is not sealed."""
    found = at_seq(view.connection, seq, sealed_seq=ends.sealed_seq)
    return found or oldest(view.connection, sealed_seq=ends.sealed_seq)


def input_pages(view: View, seq: int, ends: Ends, *, most: int) -> list[tuple[int, InputColumns]]:
    """First seq and inputs of the batches from the one with `seq` on, of about `most` inputs."""
    place = _from(view, seq, ends)
    if place is None:
        return []
    found, count = [], 0
    rows = view.connection.execute(
        "SELECT first_seq, inputs, input_part FROM batches WHERE first_seq >= ? AND first_seq < ? ORDER BY first_seq",
        (place.first_seq, place.first_seq + most),
    )
    for first, inputs, part in rows:
        with telling(first, inputs):
            found.append((first, unpack_inputs(part, inputs)))
        count += inputs
        if count >= most:
            break
    rows.close()
    return found


def outputs(view: View, after_seq: int, upto_seq: int, ends: Ends, *, most: int) -> tuple[int, list[StoredOutput]]:
    """About `most` outputs after `after_seq`, and up to which seq they reach."""
    place = _from(view, after_seq + 1, ends)
    if place is None:
        return upto_seq, []
    rows = view.connection.execute(
        "SELECT first_seq, inputs, first_position, outputs, output_part, body_part FROM batches"
        " WHERE first_seq >= ? AND first_seq <= ? AND first_position <= ? ORDER BY first_seq",
        (place.first_seq, upto_seq, place.last_position + most),
    )
    aside = _aside(view.connection)
    found: list[StoredOutput] = []
    last = upto_seq
    for first, inputs, position, count, part, bodies in rows:
        last = first + inputs - 1
        if count:
            with telling(first, inputs):
                columns = unpack_outputs(part, count)
                wanted = position + count - 1 > ends.confirmed
                kept = unpack_bodies(bodies, count).bodies if wanted else None
            made = _stored_outputs(view, columns, first, position, kept, confirmed=ends.confirmed, aside=aside)
            found += (row for row in made if after_seq < row.seq <= upto_seq)
        if len(found) >= most:
            break
    rows.close()
    return (min(last, upto_seq) if last > after_seq else upto_seq), found


def _stored_outputs(
    view: View, columns: OutputColumns, first_seq: int, first_position: int, bodies: Sequence[bytes] | None, *,
    confirmed: int, aside: frozenset[int],
) -> Iterator[StoredOutput]:  # fmt: skip
    """Rows as they are handed out; a body only while it is to be published."""
    view.names.learn(set(columns.stream_ids))
    known = view.names.names
    for i, (kind, cause, owner, step, forecast, crc) in enumerate(zip(*columns, strict=True)):
        position = first_position + i
        body = bodies[i] if bodies is not None and position > confirmed and position not in aside else None
        yield StoredOutput(position, first_seq + cause, *known[owner], step, forecast, body, crc, kind)


def pending(view: View, after: int, ends: Ends, *, most: int, aside: bool = False) -> list[Pending]:
    """Outputs with position > `after` in order, at most `most`; those put aside only if `aside`.

    Fewer where their bodies are large: the batch that brings them to `PENDING_BYTES` is the last.
    """
    place = at_position(view.connection, after + 1, sealed_seq=ends.sealed_seq)
    left_out = frozenset() if aside else _aside(view.connection)
    rows = view.connection.execute(
        "SELECT first_seq, inputs, first_position, outputs, output_part, body_part FROM batches"
        " WHERE first_seq >= ? AND outputs > 0 AND first_position + outputs > ? AND first_position <= ?"
        " ORDER BY first_seq",
        (ends.sealed_seq + 1 if place is None else place.first_seq, after + 1,
         after + most + len(left_out)),
    )  # fmt: skip
    found: list[Pending] = []
    size = 0
    for first, inputs, position, count, part, body_part in rows:
        with telling(first, inputs):
            stream_ids, bodies = unpack_outputs(part, count).stream_ids, unpack_bodies(body_part, count)
        _take_pending(found, view, stream_ids, bodies, position, range(max(after + 1, position), position + count),
                      left_out)  # fmt: skip
        size += sum(map(len, bodies.bodies))
        if len(found) >= most or size >= PENDING_BYTES:
            break
    rows.close()
    return found[:most]


def _take_pending(
    found: list[Pending], view: View, stream_ids: Sequence[int], bodies: BodyColumns, first: int, wanted: range,
    left_out: frozenset[int],
) -> None:  # fmt: skip
    view.names.learn(set(stream_ids))
    known = view.names.names
    topics, retains, qos, texts = bodies
    for position in wanted:
        i = position - first
        if position not in left_out:
            found.append(Pending(position, *known[stream_ids[i]], texts[i], retains[i] == 1, qos[i], topics[i]))


def _aside(connection: Connection) -> frozenset[int]:
    return frozenset(row[0] for row in connection.execute("SELECT position FROM aside"))


@contextmanager
def telling(first_seq: int, inputs: int) -> Iterator[None]:
    """Say of which inputs a damaged part was."""
    try:
        yield
    except DamagedPart as exc:
        raise Damaged(first_seq, first_seq + inputs - 1, exc) from exc
