"""A sealed segment is made: some 65,000 inputs and their outputs, sorted by stream, in pieces of 2,048 rows.

A stream's rows lie side by side, so that its history is a slice of each segment, and so that a column says little that
is new from row to row. Each row keeps its `seq` (outputs: its position), by which a replay puts them in order again.
Pure; knows no SQL.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from gaugecast.ledger.arrays import InputArrays, OutputArrays
from gaugecast.ledger.columns import encode_blobs, encode_ints, encode_texts
from gaugecast.ledger.directory import AT, LAG, OUTPUTS_FROM, PIECE_ROWS, Slices, close_piece, pack_directory
from gaugecast.records import Int64, Kind

#: A number and the bytes of a piece; `None` for a step of work that made none.
Made = tuple[int, bytes] | None


class Builder:
    """Collects rows in order, then makes a segment of them, piece by piece.

    Attributes:
        inputs, outputs: How many were taken.
        at_ns: Smallest and largest event time of its readings; the first is the larger where there are none.
        received_at_ns: Arrival of the newest input.
        weight_bytes: What the rows took before, as the caller counts it.
    """

    def __init__(self, first_seq: int, first_position: int) -> None:
        self.first_seq, self.first_position = first_seq, first_position
        self.inputs = self.outputs = self.weight_bytes = self.received_at_ns = 0
        self.at_ns = ((1 << 63) - 1, -1 << 63)
        self._inputs: list[InputArrays] = []
        self._outputs: list[OutputArrays] = []
        self._seqs: list[Int64] = []
        self._directory = b""

    def add_inputs(self, arrays: InputArrays) -> None:
        """Take the inputs that follow."""
        self._inputs.append(arrays)
        self.inputs += len(arrays.kinds)
        self.received_at_ns = int(arrays.received_at_ns[-1])
        times = arrays.at_ns[arrays.kinds == Kind.READING]
        if len(times):
            self.at_ns = min(self.at_ns[0], int(times.min())), max(self.at_ns[1], int(times.max()))

    def add_outputs(self, arrays: OutputArrays, *, first_seq: int) -> None:
        """Take the outputs that follow; `first_seq` is that of the input at place 0."""
        self._outputs.append(arrays)
        self._seqs.append(first_seq + arrays.causes.astype(np.int64))
        self.outputs += len(arrays.kinds)

    def pieces(self) -> Iterator[Made]:
        """The pieces, inputs first; nothing may be added any more. Each step is short."""
        large = self.inputs > PIECE_ROWS
        rows = InputArrays.joined(self._inputs)
        self._inputs.clear()
        if large:
            yield None
        slices, order = _sorted(rows.stream_ids)
        changes = np.flatnonzero(np.diff(rows.received_at_ns)) + 1
        ends = np.append(changes, len(rows.kinds))
        arrivals = rows.received_at_ns[ends - 1]
        if large:
            yield None
        for number, first in enumerate(range(0, len(order), PIECE_ROWS)):
            yield number, _input_piece(rows, order[first : first + PIECE_ROWS])
        output_slices = _NO_SLICES
        if self._outputs:
            outputs, seqs = OutputArrays.joined(self._outputs), np.concatenate(self._seqs)
            self._outputs.clear()
            output_slices, order = _sorted(outputs.stream_ids)
            if large:
                yield None
            for number, first in enumerate(range(0, len(order), PIECE_ROWS)):
                chosen = order[first : first + PIECE_ROWS]
                yield OUTPUTS_FROM + number, _output_piece(outputs, seqs - self.first_seq, chosen)
        self._directory = pack_directory(slices, output_slices, arrivals, ends)

    def directory(self) -> bytes:
        """Packed; to be asked after the last piece."""
        return self._directory


_NO_SLICES = Slices(np.empty(0, np.int64), np.empty(0, np.int64))


def _sorted(ids: Int64) -> tuple[Slices, Int64]:
    """Slices of the streams, and the order of their rows. By sixteen bits at a time, which NumPy sorts in no time."""
    ids = ids.astype(np.int64)
    order = np.argsort(ids.astype(np.uint16), kind="stable")
    if ids.max() >> 16:
        upper = np.argsort((ids >> 16)[order].astype(np.uint16), kind="stable")
        order = order[upper]
    ids = ids[order]
    ends = np.append(np.flatnonzero(np.diff(ids)) + 1, len(ids))
    return Slices(ids[ends - 1], ends), order


def _input_piece(inputs: InputArrays, rows: Int64) -> bytes:
    at_ns = inputs.at_ns[rows]
    small = (inputs.kinds, inputs.verdicts, inputs.dups, inputs.wide)
    return close_piece([
        encode_ints(rows),
        _encode_times(at_ns, inputs.received_at_ns[rows]),
        *(encode_ints(column[rows].astype(np.int64)) for column in small),
        encode_ints(inputs.keys[rows] - at_ns),
        encode_ints(inputs.deliveries[rows]),
        encode_blobs(inputs.values.take(rows)),
        _encode_some(inputs.reasons, rows),
        _encode_some(inputs.names, rows),
    ])  # fmt: skip


def _output_piece(outputs: OutputArrays, seqs: Int64, rows: Int64) -> bytes:
    """`seqs` are counted from the segment's first."""
    return close_piece([
        encode_ints(rows),
        encode_ints(seqs[rows] - rows),
        encode_ints(outputs.kinds[rows].astype(np.int64)),
        encode_ints(outputs.steps[rows]),
        encode_blobs(outputs.forecasts.take(rows)),
        outputs.body_crcs[rows].astype("<u4").tobytes(),
    ])  # fmt: skip


def _encode_some(texts: Sequence[str], rows: Int64) -> bytes:
    return encode_texts([texts[i] for i in rows.tolist()])


def _encode_times(at_ns: Int64, received: Int64) -> bytes:
    lags = at_ns - received
    at, lag = encode_ints(at_ns), encode_ints(lags)
    return LAG + lag if len(lag) < len(at) else AT + at
