"""Old rows, sealed into segments: finding them and putting them in order again. Reading only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from gaugecast.ledger.damage import Damaged
from gaugecast.ledger.directory import OUTPUTS_FROM, Directory
from gaugecast.ledger.packing import DamagedPart, InputColumns
from gaugecast.ledger.pieces import InputPiece, OutputPiece
from gaugecast.ledger.rows import StoredOutput
from gaugecast.ledger.sql import Connection
from gaugecast.ledger.view import View

_NUMBER_BITS = 20


class SegmentRow(NamedTuple):
    """A row of `segments`, its directory still packed."""

    first_seq: int
    last_seq: int
    first_position: int
    last_position: int
    received_at_ns: int
    first_at_ns: int
    last_at_ns: int
    directory: bytes

    def unpack(self) -> Directory:
        """Its directory. Raises `Damaged`."""
        try:
            return Directory(self.directory, self.first_seq, self.first_position)
        except DamagedPart as exc:
            raise Damaged(self.first_seq, self.last_seq, exc) from exc


def piece_id(first_seq: int, number: int = 0) -> int:
    """Key of a segment's piece; number 0 is the smallest of a segment."""
    return first_seq << _NUMBER_BITS | number


def oldest(connection: Connection, from_seq: int = 0) -> SegmentRow | None:
    """The oldest segment that has `from_seq` or later inputs."""
    # The one that begins at `from_seq` or before is looked at first: there is no index on `last_seq`.
    row = connection.execute(
        "SELECT * FROM segments WHERE last_seq >= ? AND first_seq >="
        " coalesce((SELECT max(first_seq) FROM segments WHERE first_seq <= ?), 0) ORDER BY first_seq LIMIT 1",
        (from_seq, from_seq),
    ).fetchone()
    return None if row is None else SegmentRow(*row)


def newest_before(connection: Connection, seq: int) -> SegmentRow | None:
    """The newest segment that begins before `seq`."""
    row = connection.execute(
        "SELECT * FROM segments WHERE first_seq < ? ORDER BY first_seq DESC LIMIT 1", (seq,)
    ).fetchone()
    return None if row is None else SegmentRow(*row)


def parts(connection: Connection, first_seq: int, numbers: Sequence[int] | range) -> list[tuple[int, bytes]]:
    """Numbers and bytes of a segment's pieces; `numbers` have no holes."""
    rows = connection.execute(
        "SELECT id, part FROM pieces WHERE id >= ? AND id <= ? ORDER BY id",
        (piece_id(first_seq, numbers[0]), piece_id(first_seq, numbers[-1])),
    )
    return [(key & ((1 << _NUMBER_BITS) - 1), part) for key, part in rows]


def input_parts(connection: Connection, first_seq: int) -> list[tuple[int, bytes]]:
    """All pieces of inputs."""
    return parts(connection, first_seq, range(OUTPUTS_FROM))


def output_parts(connection: Connection, first_seq: int) -> list[tuple[int, bytes]]:
    """All pieces of outputs."""
    return parts(connection, first_seq, range(OUTPUTS_FROM, 2 * OUTPUTS_FROM))


def inputs_in_order(row: SegmentRow, stored: Sequence[tuple[int, bytes]]) -> InputColumns:
    """All inputs of a segment by column, in order of seq. Raises `Damaged`."""
    directory = row.unpack()
    try:
        pieces = [InputPiece(part, directory, number) for number, part in stored]
        columns = [piece.columns() for piece in pieces]
        order = np.argsort(np.concatenate([piece.rows for piece in pieces])).tolist()
    except DamagedPart as exc:
        raise Damaged(row.first_seq, row.last_seq, exc) from exc
    if len(order) != row.last_seq - row.first_seq + 1:
        raise Damaged(row.first_seq, row.last_seq, f"{len(order)} inputs found")
    joined = ([one for piece in same for one in piece] for same in zip(*columns, strict=True))
    return InputColumns._make([column[i] for i in order] for column in joined)


def outputs_in_order(view: View, row: SegmentRow, stored: Sequence[tuple[int, bytes]]) -> list[StoredOutput]:
    """All outputs of a segment, in order of position. Raises `Damaged`."""
    directory = row.unpack()
    try:
        found = [one for number, part in stored for one in _rows_of(view, OutputPiece(part, directory, number))]
    except DamagedPart as exc:
        raise Damaged(row.first_seq, row.last_seq, exc) from exc
    if len(found) != row.last_position - row.first_position + 1:
        raise Damaged(row.first_seq, row.last_seq, f"{len(found)} outputs found")
    return sorted(found)


def _rows_of(view: View, piece: OutputPiece) -> list[StoredOutput]:
    numbers = (piece.positions, piece.seqs, piece.stream_ids, piece.kinds, piece.steps, piece.body_crcs)
    positions, seqs, stream_ids, kinds, steps, crcs = (column().tolist() for column in numbers)
    view.names.learn(set(stream_ids))
    known = view.names.names
    return [
        StoredOutput(position, seq, *known[stream_id], step, forecast, None, crc, kind)
        for position, seq, stream_id, kind, step, forecast, crc in zip(
            positions, seqs, stream_ids, kinds, steps, piece.forecasts().to_list(), crcs, strict=True
        )
    ]
