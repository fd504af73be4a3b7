"""One stream's history, newest first, by column: of each segment only the pieces that hold its rows are read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeVar

import numpy as np

from gaugecast.ledger import batches, legacy, sealed
from gaugecast.ledger.arrays import InputArrays, OutputArrays
from gaugecast.ledger.blobs import Blobs
from gaugecast.ledger.damage import Damaged
from gaugecast.ledger.directory import OUTPUTS_FROM, PIECE_ROWS, Directory, Slices
from gaugecast.ledger.packing import DamagedPart, unpack_inputs, unpack_outputs
from gaugecast.ledger.pieces import InputPiece, OutputPiece
from gaugecast.ledger.rows import HistoryPage, PastForecasts, PastReadings, StoredOutput
from gaugecast.ledger.view import Ends, View
from gaugecast.records import FIRST_NS, LAST_NS, Int64, Kind

_STRETCH = 16_384  # inputs of all streams that are gone through at once where they are not sealed
_BATCHES = 512
_FEW = 64  # rows of a batch that are looked at faster one by one than as arrays


class Wanted(NamedTuple):
    """Whose history, from when (inclusive) to when (exclusive)."""

    stream_id: int
    fleet: str
    stream: str
    from_ns: int
    to_ns: int


class _Readings(NamedTuple):
    """Readings of one stream by column, newest first."""

    seqs: Int64
    at_ns: Int64
    verdicts: Int64
    values: Blobs


class _Forecasts(NamedTuple):
    """Outputs of one stream by column, newest first."""

    seqs: Int64
    positions: Int64
    kinds: Int64
    steps: Int64
    body_crcs: Int64
    forecasts: Blobs


_T = TypeVar("_T", _Readings, _Forecasts)

_NONE = np.empty(0, np.int64)
_NO_BLOBS = Blobs(_NONE, np.empty(0, np.uint8))
_NO_READINGS = _Readings(_NONE, _NONE, _NONE, _NO_BLOBS)
_NO_FORECASTS = _Forecasts(_NONE, _NONE, _NONE, _NONE, _NONE, _NO_BLOBS)


def history(view: View, wanted: Wanted, *, most: int) -> Iterator[HistoryPage]:
    """Pages of at most `most` readings; an output stands in the page of the readings around it."""
    readings, outputs = _NO_READINGS, _NO_FORECASTS
    begun = wanted.to_ns > LAST_NS  # what was said after the newest reading belongs to it if there is no end
    for more, made in _stretches(view, wanted):
        readings, outputs = _joined(readings, more), _joined(outputs, made)
        if not begun and len(readings.seqs):
            outputs = _cut(outputs, slice(_count_from(outputs, int(readings.seqs[0]) + 1), None))
        begun |= len(readings.seqs) > 0
        while len(readings.seqs) >= most:
            border = _count_from(outputs, int(readings.seqs[most - 1]))
            yield _page(_cut(readings, slice(most)), _cut(outputs, slice(border)))
            readings, outputs = _cut(readings, slice(most, None)), _cut(outputs, slice(border, None))
    if wanted.from_ns >= FIRST_NS:
        oldest = int(readings.seqs[-1]) if len(readings.seqs) else 1 << 62
        outputs = _cut(outputs, slice(_count_from(outputs, oldest)))
    if len(readings.seqs) or len(outputs.seqs):
        yield _page(readings, outputs)


def _page(readings: _Readings, outputs: _Forecasts) -> HistoryPage:
    return HistoryPage(
        PastReadings(readings.seqs, readings.at_ns, readings.values.table(), readings.verdicts),
        PastForecasts(
            outputs.positions, outputs.seqs, outputs.steps, outputs.forecasts.table(), outputs.kinds, outputs.body_crcs
        ),
    )


def _count_from(outputs: _Forecasts, seq: int) -> int:
    """How many outputs, which are newest first, are of input `seq` or later ones."""
    return len(outputs.seqs) - int(np.searchsorted(outputs.seqs[::-1], seq))


def _joined(first: _T, second: _T) -> _T:
    return _all([first, second])


def _cut(rows: _T, places: slice | Int64) -> _T:
    return type(rows)._make(column.take(places) if isinstance(column, Blobs) else column[places] for column in rows)


def _stretches(view: View, wanted: Wanted) -> Iterator[tuple[_Readings, _Forecasts]]:
    """Readings and outputs of stretches of the ledger, newest first; each is read in a transaction of its own."""
    before = 1 << 62
    while True:
        with view.snapshot():
            ends = view.ends()
            if before - 1 > ends.sealed_seq:
                found = _unsealed(view, wanted, before, ends)
                if found is not None:
                    before = found[0]
            else:
                row = sealed.newest_before(view.connection, before)
                if row is None:
                    return
                before = row.first_seq
                found = before, *_of_segment(view, wanted, row)
        if found is None:
            before = min(before, ends.sealed_seq + 1)
        elif len(found[1].seqs) or len(found[2].seqs):
            yield found[1], found[2]


def _unsealed(view: View, wanted: Wanted, before: int, ends: Ends) -> tuple[int, _Readings, _Forecasts] | None:
    """The newest rows before `before` that are in no segment, and from which seq on; `None` = there are none."""
    rows = view.connection.execute(
        "SELECT first_seq, inputs, first_position, outputs, input_part, output_part FROM batches"
        " WHERE first_seq < ? AND first_seq > ? ORDER BY first_seq DESC LIMIT ?",
        (before, ends.sealed_seq, _BATCHES),
    )
    readings, outputs = [_NO_READINGS], [_NO_FORECASTS]
    first, count = 0, 0
    for first, inputs, position, made, input_part, output_part in rows:
        with batches.telling(first, inputs):
            readings += _own_readings(_inputs(input_part, inputs, wanted.stream_id), first, wanted)
            if made:
                part = _outputs(output_part, made, wanted.stream_id)
                outputs += _own_forecasts(part, first, position, wanted.stream_id)
        count += inputs
        if count >= _STRETCH:
            rows.close()
            break
    if count:
        return first, _all(readings), _all(outputs)
    return _legacy(view, wanted, before, ends) if view.legacy else None


def _inputs(part: bytes, count: int, stream_id: int) -> InputArrays | None:
    """A batch's inputs; `None` where they are few, and quickly seen to have none of the stream's."""
    if count > _FEW:
        return InputArrays.unpacked(part, count)
    columns = unpack_inputs(part, count)
    return InputArrays.of(columns) if stream_id in columns.stream_ids else None


def _outputs(part: bytes, count: int, stream_id: int) -> OutputArrays | None:
    if count > _FEW:
        return OutputArrays.unpacked(part, count)
    columns = unpack_outputs(part, count)
    return OutputArrays.of(columns) if stream_id in columns.stream_ids else None


def _all(parts: list[_T]) -> _T:
    columns = zip(*parts, strict=True)
    return type(parts[0])._make(
        Blobs.joined(same) if isinstance(same[0], Blobs) else np.concatenate(same) for same in columns
    )


def _own_readings(inputs: InputArrays | None, first: int, wanted: Wanted) -> list[_Readings]:
    """Those of one stream and span, newest first."""
    if inputs is None:
        return []
    own = np.flatnonzero(inputs.stream_ids == wanted.stream_id)[::-1]
    if not len(own):
        return []
    at_ns = inputs.at_ns[own]
    own = own[(inputs.kinds[own] == Kind.READING) & (at_ns >= wanted.from_ns) & (at_ns < wanted.to_ns)]
    return [_Readings(first + own, inputs.at_ns[own], inputs.verdicts[own], inputs.values.take(own))]


def _own_forecasts(outputs: OutputArrays | None, first: int, position: int, stream_id: int) -> list[_Forecasts]:
    if outputs is None:
        return []
    own = np.flatnonzero(outputs.stream_ids == stream_id)[::-1]
    if not len(own):
        return []
    kinds, causes, _, steps, forecasts, crcs = outputs
    return [_Forecasts(first + causes[own], position + own, kinds[own], steps[own], crcs[own], forecasts.take(own))]


def _legacy(view: View, wanted: Wanted, before: int, ends: Ends) -> tuple[int, _Readings, _Forecasts] | None:
    """Rows of version 1, which are sealed soon: by a scan."""
    oldest = legacy.first_seq(view, ends)
    if oldest is None or oldest >= before:
        return None
    last = min(before - 1, legacy.last_seq(view))
    first = max(oldest, last - _STRETCH + 1)
    page = legacy.inputs(view, first - 1, most=last - first + 1)
    readings = [] if page is None else _own_readings(InputArrays.of(page[1]), page[0], wanted)
    outputs = [
        one
        for one in legacy.outputs(view, first - 1, last, ends)
        if one.stream == wanted.stream and one.fleet == wanted.fleet
    ]
    return first, _all([_NO_READINGS, *readings]), _of_rows(outputs[::-1])


def _of_rows(outputs: list[StoredOutput]) -> _Forecasts:
    seqs, positions, kinds, steps, crcs = (
        np.array([getattr(one, name) for one in outputs], np.int64)
        for name in ("seq", "position", "kind", "step", "body_crc")
    )
    return _Forecasts(seqs, positions, kinds, steps, crcs, Blobs.of([one.forecast for one in outputs]))


def _of_segment(view: View, wanted: Wanted, row: sealed.SegmentRow) -> tuple[_Readings, _Forecasts]:
    if row.last_at_ns < wanted.from_ns or row.first_at_ns >= wanted.to_ns:
        return _NO_READINGS, _NO_FORECASTS
    directory = row.unpack()
    if not directory.has(wanted.stream_id):
        return _NO_READINGS, _NO_FORECASTS
    try:
        return _sealed_readings(view, wanted, directory), _sealed_forecasts(view, wanted, directory)
    except DamagedPart as exc:
        raise Damaged(row.first_seq, row.last_seq, exc) from exc


def _sealed_readings(view: View, wanted: Wanted, directory: Directory) -> _Readings:
    found = [_NO_READINGS]
    for number, part, cut in _pieces(view, directory, directory.inputs, wanted.stream_id, 0):
        piece = InputPiece(part, directory, number)
        at_ns = piece.at_ns()[cut]
        keep = (piece.small(0)[cut] == Kind.READING) & (at_ns >= wanted.from_ns) & (at_ns < wanted.to_ns)
        own = np.flatnonzero(keep)[::-1]
        seqs = piece.rows[cut][own] + directory.first_seq
        found.append(_Readings(seqs, at_ns[own], piece.small(1)[cut][own], piece.values().take(cut).take(own)))
    return _all(found)


def _sealed_forecasts(view: View, wanted: Wanted, directory: Directory) -> _Forecasts:
    found = [_NO_FORECASTS]
    for number, part, cut in _pieces(view, directory, directory.outputs, wanted.stream_id, OUTPUTS_FROM):
        piece = OutputPiece(part, directory, number)
        columns = (piece.seqs(), piece.positions(), piece.kinds(), piece.steps(), piece.body_crcs())
        whole = _Forecasts(*columns, piece.forecasts())
        found.append(_cut(_cut(whole, cut), slice(None, None, -1)))
    return _all(found)


def _pieces(
    view: View, directory: Directory, slices: Slices, stream_id: int, numbers_from: int
) -> Iterator[tuple[int, bytes, slice]]:
    """Number, bytes and rows of the pieces that hold a stream's slice, newest first."""
    first, end = slices.rows_of(stream_id)
    if first == end:
        return
    numbers = range(numbers_from + first // PIECE_ROWS, numbers_from + (end - 1) // PIECE_ROWS + 1)
    for number, part in reversed(sealed.parts(view.connection, directory.first_seq, numbers)):
        offset = (number - numbers_from) * PIECE_ROWS
        yield number, part, slice(max(0, first - offset), min(PIECE_ROWS, end - offset))
