"""What is in a sealed segment and where: which rows are whose, and when each came. Pure; knows no SQL."""

from __future__ import annotations

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


def close_piece(parts: list[bytes]) -> bytes:
    """Columns as one string of bytes under a checksum."""
    return close_part(join(parts), compress=False)


def open_piece(stored: bytes) -> list[bytes]:
    """Inverse of `close_piece`. Raises `DamagedPart`."""
    return split(open_part(stored))
