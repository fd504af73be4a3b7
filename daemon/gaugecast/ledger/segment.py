"""A sealed segment: some 65,000 inputs and their outputs, sorted by stream, in pieces of 2,048 rows. Pure; knows no SQL.

A stream's rows lie side by side, so that its history is a slice of each segment, and so that a column says little that
is new from row to row. Each row keeps its `seq` (outputs: its position), by which a replay puts the rows in order again.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from gaugecast.ledger.columns import (
    decode_blobs,
    decode_ints,
    decode_texts,
    encode_blobs,
    encode_ints,
    encode_texts,
    join,
    split,
)
from gaugecast.ledger.packing import InputColumns, OutputColumns, close_part, open_part
from gaugecast.records import Int64, Kind

PIECE_ROWS = 2048
#: Numbers of a segment's pieces: inputs from 0 on, outputs from here on, and less than twice this.
OUTPUTS_FROM = 1 << 19
_AT, _LAG = b"\0", b"\1"


class Slices(NamedTuple):
    """Which streams a segment's rows are of: `stream_ids` ascending, and where the rows of each end."""

    stream_ids: Int64
    ends: Int64

    def rows_of(self, stream_id: int) -> tuple[int, int]:
        """First row of a stream's slice, and the one after its last."""
        at = int(np.searchsorted(self.stream_ids, stream_id))
        if at == len(self.stream_ids) or self.stream_ids[at] != stream_id:
            return 0, 0
        return (int(self.ends[at - 1]) if at else 0), int(self.ends[at])

    def of_rows(self, first: int, count: int) -> Int64:
        """The stream of each of `count` rows from `first` on."""
        places = np.searchsorted(self.ends, np.arange(first, first + count), side="right")
        return self.stream_ids[places]

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return int(self.ends[-1]) if len(self.ends) else 0


class Directory(NamedTuple):
    """What is needed to find and to read a segment's rows.

    Attributes:
        arrivals: `received_at_ns` of the first input and of each that came at another instant than the one before it.
        arrival_ends: Up to which input of the segment each of them holds.
    """

    first_seq: int
    first_position: int
    inputs: Slices
    outputs: Slices
    arrivals: Int64
    arrival_ends: Int64

    def received_at_ns(self, rows: Int64) -> Int64:
        """Arrival of inputs, given by their place in the segment."""
        return self.arrivals[np.searchsorted(self.arrival_ends, rows, side="right")]

    def pack(self) -> bytes:
        """As bytes, under a checksum."""
        parts = []
        for column in (*self.inputs, *self.outputs, self.arrivals, self.arrival_ends):
            parts.append(encode_ints(column) if len(column) else b"")
            parts.append(len(column).to_bytes(4, "little"))
        return close_part(join(parts))

    @classmethod
    def unpack(cls, stored: bytes, first_seq: int, first_position: int) -> Directory:
        """Inverse of `pack`. Raises `DamagedPart`."""
        parts = split(open_part(stored))
        counts = (int.from_bytes(part, "little") for part in parts[1::2])
        made = [
            decode_ints(part, n) if n else np.empty(0, np.int64) for part, n in zip(parts[::2], counts, strict=True)
        ]
        return cls(first_seq, first_position, Slices(*made[:2]), Slices(*made[2:4]), *made[4:])


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


class InputPiece:
    """Inputs of a piece by column, each decoded when it is asked for; `rows` are places in the segment.

    Raises:
        DamagedPart: The bytes are not those that were written.
    """

    def __init__(self, stored: bytes, directory: Directory, number: int) -> None:
        self._first, self._directory = number * PIECE_ROWS, directory
        self.count = min(PIECE_ROWS, directory.inputs.rows - self._first)
        self._parts = open_piece(stored)
        self.rows = decode_ints(self._parts[0], self.count)

    def at_ns(self) -> Int64:
        """Event times."""
        how, stored = self._parts[1][:1], self._parts[1][1:]
        found = decode_ints(stored, self.count)
        return found + self._directory.received_at_ns(self.rows) if how == _LAG else found

    def small(self, index: int) -> Int64:
        """Kinds (0), verdicts (1), DUP flags (2), or which deliveries are without a sign (3)."""
        return decode_ints(self._parts[2 + index], self.count)

    def values(self) -> list[bytes]:
        """Values as they were."""
        return decode_blobs(self._parts[8], self.count)

    def columns(self) -> InputColumns:
        """All columns."""
        at_ns, wide = self.at_ns(), self.small(3).tolist()
        deliveries = decode_ints(self._parts[7], self.count).tolist()
        return InputColumns(
            *(self.small(index).tolist() for index in (0, 1)),
            self._directory.inputs.of_rows(self._first, self.count).tolist(),
            at_ns.tolist(),
            self._directory.received_at_ns(self.rows).tolist(),
            (decode_ints(self._parts[6], self.count) + at_ns).tolist(),
            [one + (flag << 64) for one, flag in zip(deliveries, wide, strict=True)],
            self.small(2).tolist(),
            self.values(),
            *(decode_texts(part, self.count) for part in self._parts[9:11]),
        )


class OutputPiece(NamedTuple):
    """Outputs of a piece by column."""

    positions: Int64
    seqs: Int64
    stream_ids: Int64
    kinds: Int64
    steps: Int64
    forecasts: list[bytes]
    body_crcs: Int64

    @classmethod
    def unpack(cls, stored: bytes, directory: Directory, number: int) -> OutputPiece:
        """From the bytes of a piece. Raises `DamagedPart`."""
        first = (number - OUTPUTS_FROM) * PIECE_ROWS
        count = min(PIECE_ROWS, directory.outputs.rows - first)
        parts = open_piece(stored)
        rows = decode_ints(parts[0], count)
        return cls(
            rows + directory.first_position,
            decode_ints(parts[1], count) + directory.first_seq + rows,
            directory.outputs.of_rows(first, count),
            decode_ints(parts[2], count),
            decode_ints(parts[3], count),
            decode_blobs(parts[4], count),
            np.frombuffer(parts[5], "<u4").astype(np.int64),
        )


def close_piece(parts: list[bytes]) -> bytes:
    """Columns as one string of bytes under a checksum."""
    return close_part(join(parts), compress=False)


def open_piece(stored: bytes) -> list[bytes]:
    """Inverse of `close_piece`. Raises `DamagedPart`."""
    return split(open_part(stored))


def _slices(ids: Int64) -> Slices:
    ends = np.append(np.flatnonzero(np.diff(ids)) + 1, len(ids)) if len(ids) else np.empty(0, np.int64)
    return Slices(ids[ends - 1], ends)


def _encode_times(at_ns: Int64, received: Int64) -> bytes:
    lags = at_ns - received
    at, lag = encode_ints(at_ns), encode_ints(lags)
    return _LAG + lag if len(lag) < len(at) else _AT + at
