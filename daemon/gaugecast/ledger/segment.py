"""A sealed segment is made: some 65,000 inputs and their outputs, sorted by stream, in pieces of 2,048 rows.

A stream's rows lie side by side, so that its history is a slice of each segment, and so that a column says little that
is new from row to row. Each row keeps its `seq` (outputs: its position), by which a replay puts them in order again.
Pure; knows no SQL.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator

import numpy as np

from gaugecast.ledger.columns import encode_blobs, encode_ints, encode_texts
from gaugecast.ledger.directory import AT, LAG, OUTPUTS_FROM, PIECE_ROWS, Directory, Slices, close_piece
from gaugecast.ledger.packing import InputColumns, OutputColumns
from gaugecast.records import Int64, Kind


class Builder:
    """Collects rows in order, then makes a segment of them, piece by piece.

    Attributes:
        at_ns: Smallest and largest event time of its readings; the first is the larger where there are none.
        weight_bytes: What the rows took before, as the caller counts it.
    """

    def __init__(self, first_seq: int, first_position: int) -> None:
        self.first_seq, self.first_position = first_seq, first_position
        self._numbers = {name: array("q") for name in ("stream_id", "at_ns", "received_at_ns", "key", "delivery")}
        self._small = {name: bytearray() for name in ("kind", "verdict", "dup", "wide")}
        self._values: list[bytes] = []
        self._texts: tuple[list[str], list[str]] = ([], [])
        self._output_numbers = {name: array("q") for name in ("stream_id", "seq", "step", "crc")}
        self._output_kinds = bytearray()
        self._forecasts: list[bytes] = []
        self.at_ns = ((1 << 63) - 1, -1 << 63)
        self.weight_bytes = 0

    @property
    def inputs(self) -> int:
        """How many inputs were taken."""
        return len(self._values)

    @property
    def outputs(self) -> int:
        """How many outputs were taken."""
        return len(self._forecasts)

    def add_inputs(self, columns: InputColumns) -> None:
        """Take the inputs that follow."""
        deliveries, wide = columns.deliveries, bytes(len(columns.deliveries))
        if max(deliveries) >> 63 > 0:  # some need all 64 bits for themselves
            wide = bytes(one >> 63 > 0 for one in deliveries)
            deliveries = [one - (flag << 64) for one, flag in zip(deliveries, wide, strict=True)]
        numbers = (columns.stream_ids, columns.at_ns, columns.received_at_ns, columns.keys, deliveries)
        for kept, column in zip(self._numbers.values(), numbers, strict=True):
            kept.extend(column)
        for flags, column in zip(
            self._small.values(), (columns.kinds, columns.verdicts, columns.dups, wide), strict=True
        ):
            flags.extend(column)
        self._values.extend(columns.values)
        self._texts[0].extend(columns.reasons)
        self._texts[1].extend(columns.names)

    def add_outputs(self, columns: OutputColumns, *, first_seq: int) -> None:
        """Take the outputs that follow; `first_seq` is that of the input at place 0."""
        seqs = [first_seq + cause for cause in columns.causes]
        numbers = (columns.stream_ids, seqs, columns.steps, columns.body_crcs)
        for kept, column in zip(self._output_numbers.values(), numbers, strict=True):
            kept.extend(column)
        self._output_kinds.extend(columns.kinds)
        self._forecasts.extend(columns.forecasts)

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """Number and bytes of each piece; between two of them little is done. Nothing may be added from here on."""
        received = np.frombuffer(self._numbers["received_at_ns"], np.int64)
        ids, order = self._sorted(self._numbers["stream_id"])
        self._slices = _slices(ids)
        ends = np.append(np.flatnonzero(np.diff(received)) + 1, len(received))
        self._arrivals = received[ends - 1], ends
        self._note_times()
        for number, first in enumerate(range(0, len(order), PIECE_ROWS)):
            yield number, self._input_piece(order[first : first + PIECE_ROWS])
        ids, order = self._sorted(self._output_numbers["stream_id"])
        self._output_slices = _slices(ids)
        for number, first in enumerate(range(0, len(order), PIECE_ROWS)):
            yield OUTPUTS_FROM + number, self._output_piece(order[first : first + PIECE_ROWS])

    def directory(self) -> Directory:
        """To be asked after the last piece."""
        return Directory(self.first_seq, self.first_position, self._slices, self._output_slices, *self._arrivals)

    @property
    def received_at_ns(self) -> int:
        """Arrival of the newest input."""
        return self._numbers["received_at_ns"][-1]

    def _sorted(self, column: array[int]) -> tuple[Int64, Int64]:
        ids = np.frombuffer(column, np.int64) if column else np.empty(0, np.int64)
        order = np.argsort(ids, kind="stable")
        return ids[order], order

    def _note_times(self) -> None:
        at_ns = np.frombuffer(self._numbers["at_ns"], np.int64)
        times = at_ns[np.frombuffer(self._small["kind"], np.uint8) == Kind.READING]
        if len(times):
            self.at_ns = int(times.min()), int(times.max())

    def _input_piece(self, rows: Int64) -> bytes:
        at_ns, received, keys, deliveries = (
            np.frombuffer(self._numbers[name], np.int64)[rows]
            for name in ("at_ns", "received_at_ns", "key", "delivery")
        )
        small = (np.frombuffer(self._small[name], np.uint8)[rows].astype(np.int64) for name in self._small)
        places = rows.tolist()
        return close_piece([
            encode_ints(rows),
            _encode_times(at_ns, received),
            *map(encode_ints, small),
            encode_ints(keys - at_ns),
            encode_ints(deliveries),
            encode_blobs([self._values[i] for i in places]),
            *(encode_texts([texts[i] for i in places]) for texts in self._texts),
        ])  # fmt: skip

    def _output_piece(self, rows: Int64) -> bytes:
        seqs, steps, crcs = (
            np.frombuffer(self._output_numbers[name], np.int64)[rows] for name in ("seq", "step", "crc")
        )
        return close_piece([
            encode_ints(rows),
            encode_ints(seqs - self.first_seq - rows),
            encode_ints(np.frombuffer(self._output_kinds, np.uint8)[rows].astype(np.int64)),
            encode_ints(steps),
            encode_blobs([self._forecasts[i] for i in rows.tolist()]),
            crcs.astype("<u4").tobytes(),
        ])  # fmt: skip


def _slices(ids: Int64) -> Slices:
    ends = np.append(np.flatnonzero(np.diff(ids)) + 1, len(ids)) if len(ids) else np.empty(0, np.int64)
    return Slices(ids[ends - 1], ends)


def _encode_times(at_ns: Int64, received: Int64) -> bytes:
    lags = at_ns - received
    at, lag = encode_ints(at_ns), encode_ints(lags)
    return LAG + lag if len(lag) < len(at) else AT + at
