"""One stream's history, newest first: of each segment only the pieces that hold its rows are read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gaugecast.ledger import batches, legacy, sealed
from gaugecast.ledger.directory import OUTPUTS_FROM, PIECE_ROWS, Directory, Slices
from gaugecast.ledger.packing import DamagedPart, InputColumns, unpack_inputs
from gaugecast.ledger.pieces import InputPiece, OutputPiece
from gaugecast.ledger.rows import HistoryPage, StoredOutput, StoredReading
from gaugecast.ledger.view import Damaged, Ends, View
from gaugecast.records import FIRST_NS, LAST_NS, Kind

_STRETCH = 4096  # inputs of all streams that are gone through at once where they are not sealed


class Wanted(NamedTuple):
    """Whose history, from when (inclusive) to when (exclusive)."""

    stream_id: int
    fleet: str
    stream: str
    from_ns: int
    to_ns: int


def history(view: View, wanted: Wanted, *, most: int) -> Iterator[HistoryPage]:
    """Pages of at most `most` readings; an output stands in the page of the readings around it."""
    readings: list[StoredReading] = []
    outputs: list[StoredOutput] = []
    begun = wanted.to_ns > LAST_NS  # what was said after the newest reading belongs to it if there is no end
    for more, made in _stretches(view, wanted):
        readings += more
        outputs += made
        if not begun and readings:
            outputs = [one for one in outputs if one.seq <= readings[0].seq]
        begun |= bool(readings)
        while len(readings) >= most:
            border = readings[most - 1].seq
            cut = next((i for i, one in enumerate(outputs) if one.seq < border), len(outputs))
            yield HistoryPage(readings[:most], outputs[:cut])
            del readings[:most], outputs[:cut]
    if wanted.from_ns >= FIRST_NS:
        outputs = [one for one in outputs if readings and one.seq >= readings[-1].seq]
    if readings or outputs:
        yield HistoryPage(readings, outputs)


def _stretches(view: View, wanted: Wanted) -> Iterator[tuple[list[StoredReading], list[StoredOutput]]]:
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
        elif found[1] or found[2]:
            yield found[1], found[2]


def _unsealed(
    view: View, wanted: Wanted, before: int, ends: Ends
) -> tuple[int, list[StoredReading], list[StoredOutput]] | None:
    """The newest rows before `before` that are in no segment, and from which seq on; `None` = there are none."""
    rows = view.connection.execute(
        "SELECT first_seq, inputs, input_part FROM batches WHERE first_seq < ? AND first_seq > ?"
        " ORDER BY first_seq DESC LIMIT 512",
        (before, ends.sealed_seq),
    )
    readings: list[StoredReading] = []
    first, count = 0, 0
    for first, inputs, part in rows:
        with batches.telling(first, inputs):
            readings += _matching(unpack_inputs(part, inputs), first, wanted)
        count += inputs
        if count >= _STRETCH:
            rows.close()
            break
    if count:
        last = min(before - 1, ends.last_seq)
        return first, readings, _outputs_between(view, wanted, first - 1, last, ends)
    return _legacy(view, wanted, before, ends) if view.legacy else None


def _outputs_between(view: View, wanted: Wanted, after: int, last: int, ends: Ends) -> list[StoredOutput]:
    found: list[StoredOutput] = []
    while after < last:
        after, more = batches.outputs(view, after, last, ends, most=1 << 30, stream_id=wanted.stream_id)
        found += more
    return found[::-1]


def _legacy(
    view: View, wanted: Wanted, before: int, ends: Ends
) -> tuple[int, list[StoredReading], list[StoredOutput]] | None:
    """Rows of version 1, which are sealed soon: by a scan."""
    oldest = legacy.first_seq(view, ends)
    if oldest is None or oldest >= before:
        return None
    last = min(before - 1, legacy.last_seq(view))
    first = max(oldest, last - _STRETCH + 1)
    page = legacy.inputs(view, first - 1, most=last - first + 1)
    readings = [] if page is None else _matching(page[1], page[0], wanted)
    outputs = [
        one
        for one in legacy.outputs(view, first - 1, last, ends)
        if one.stream == wanted.stream and one.fleet == wanted.fleet
    ]
    return first, readings, outputs[::-1]


def _matching(columns: InputColumns, first: int, wanted: Wanted) -> list[StoredReading]:
    if wanted.stream_id not in columns.stream_ids:
        return []
    found = [
        StoredReading(first + i, columns.at_ns[i], columns.values[i], columns.verdicts[i])
        for i, stream_id in enumerate(columns.stream_ids)
        if stream_id == wanted.stream_id
        and columns.kinds[i] == Kind.READING
        and wanted.from_ns <= columns.at_ns[i] < wanted.to_ns
    ]
    return found[::-1]


def _of_segment(view: View, wanted: Wanted, row: sealed.SegmentRow) -> tuple[list[StoredReading], list[StoredOutput]]:
    if row.last_at_ns < wanted.from_ns or row.first_at_ns >= wanted.to_ns:
        return [], []
    directory = row.unpack()
    try:
        return _readings(view, wanted, directory), _outputs(view, wanted, directory)
    except DamagedPart as exc:
        raise Damaged(row.first_seq, row.last_seq, exc) from exc


def _readings(view: View, wanted: Wanted, directory: Directory) -> list[StoredReading]:
    found: list[StoredReading] = []
    for number, part, cut in _pieces(view, directory, directory.inputs, wanted.stream_id, 0):
        piece = InputPiece(part, directory, number)
        at_ns, kinds = piece.at_ns()[cut], piece.small(0)[cut]
        rows = zip(
            (piece.rows[cut] + directory.first_seq).tolist(), at_ns.tolist(), piece.values()[cut],
            piece.small(1)[cut].tolist(), strict=True,
        )  # fmt: skip
        keep = (kinds == Kind.READING) & (at_ns >= wanted.from_ns) & (at_ns < wanted.to_ns)
        made = list(map(StoredReading._make, rows))
        found += made if keep.all() else [one for one, kept in zip(made, keep.tolist(), strict=True) if kept]
    return found[::-1]


def _outputs(view: View, wanted: Wanted, directory: Directory) -> list[StoredOutput]:
    found: list[StoredOutput] = []
    for number, part, cut in _pieces(view, directory, directory.outputs, wanted.stream_id, OUTPUTS_FROM):
        found += sealed.piece_outputs(view, OutputPiece.unpack(part, directory, number), cut)
    return found[::-1]


def _pieces(
    view: View, directory: Directory, slices: Slices, stream_id: int, numbers_from: int
) -> Iterator[tuple[int, bytes, slice]]:
    """Number, bytes and rows of the pieces that hold a stream's slice."""
    first, end = slices.rows_of(stream_id)
    if first == end:
        return
    numbers = range(numbers_from + first // PIECE_ROWS, numbers_from + (end - 1) // PIECE_ROWS + 1)
    for number, part in sealed.parts(view.connection, directory.first_seq, numbers):
        offset = (number - numbers_from) * PIECE_ROWS
        yield number, part, slice(max(0, first - offset), min(PIECE_ROWS, end - offset))
