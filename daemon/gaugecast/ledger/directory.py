"""What is in a sealed segment and where: which rows are whose, and when each came. Pure; knows no SQL."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np

from gaugecast.ledger.columns import decode_ints, encode_ints, join, split
from gaugecast.ledger.packing import close_part, open_part
from gaugecast.records import Int64

PIECE_ROWS = 2048
#: Numbers of a segment's pieces: inputs from 0 on, outputs from here on, and less than twice this.
OUTPUTS_FROM = 1 << 19
#: Before an input piece's event times: whether they are stored as they are, or as what they are later than arrival.
AT, LAG = b"\0", b"\1"


class Slices(NamedTuple):
    """Which streams a segment's rows are of: `stream_ids` ascending, and where the rows of each end."""

    stream_ids: Int64
    ends: Int64

    def rows_of(self, stream_id: int) -> tuple[int, int]:
        """First row of a stream's slice, and the one after its last."""
        at = _place(self.stream_ids, stream_id)
        if at is None:
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


class Directory:
    """What is needed to find and to read a segment's rows; each column is decoded when it is asked for.

    Of a segment that has none of a stream's rows no more is decoded than the names of its streams.

    Raises:
        DamagedPart: The bytes are not those that were written.
    """

    def __init__(self, stored: bytes, first_seq: int, first_position: int) -> None:
        self.first_seq, self.first_position = first_seq, first_position
        self._parts = split(open_part(stored))

    @cached_property
    def inputs(self) -> Slices:
        """Whose inputs are where."""
        return Slices(self._column(0), self._column(1))

    @cached_property
    def outputs(self) -> Slices:
        """Whose outputs are where."""
        return Slices(self._column(2), self._column(3))

    def has(self, stream_id: int) -> bool:
        """Whether a stream has rows here."""
        return any(_place(self._column(column), stream_id) is not None for column in (0, 2))

    def received_at_ns(self, rows: Int64) -> Int64:
        """Arrival of inputs, given by their place in the segment."""
        arrivals, ends = self._arrivals
        return arrivals[np.searchsorted(ends, rows, side="right")]

    @cached_property
    def _arrivals(self) -> tuple[Int64, Int64]:
        """Of the first input and of each that came at another instant than the one before; up to where each holds."""
        return self._column(4), self._column(5)

    def _column(self, number: int) -> Int64:
        part, count = self._parts[2 * number : 2 * number + 2]
        return decode_ints(part, int.from_bytes(count, "little")) if part else np.empty(0, np.int64)


def pack_directory(inputs: Slices, outputs: Slices, arrivals: Int64, arrival_ends: Int64) -> bytes:
    """As bytes, under a checksum."""
    parts = []
    for column in (*inputs, *outputs, arrivals, arrival_ends):
        parts.append(encode_ints(column) if len(column) else b"")
        parts.append(len(column).to_bytes(4, "little"))
    return close_part(join(parts))


def _place(stream_ids: Int64, stream_id: int) -> int | None:
    at = int(np.searchsorted(stream_ids, stream_id))
    return at if at < len(stream_ids) and stream_ids[at] == stream_id else None


def close_piece(parts: list[bytes]) -> bytes:
    """Columns as one string of bytes under a checksum."""
    return close_part(join(parts), compress=False)


def open_piece(stored: bytes) -> list[bytes]:
    """Inverse of `close_piece`. Raises `DamagedPart`."""
    return split(open_part(stored))
