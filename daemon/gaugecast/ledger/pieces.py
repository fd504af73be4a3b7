"""Pieces of a sealed segment, read: each column is decoded when it is asked for. Pure; knows no SQL."""

from __future__ import annotations

import numpy as np

from gaugecast.ledger.blobs import Blobs
from gaugecast.ledger.columns import decode_blobs, decode_ints, decode_texts
from gaugecast.ledger.directory import LAG, OUTPUTS_FROM, PIECE_ROWS, Directory, open_piece
from gaugecast.ledger.packing import InputColumns
from gaugecast.records import Int64


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
        return found + self._directory.received_at_ns(self.rows) if how == LAG else found

    def small(self, index: int) -> Int64:
        """Kinds (0), verdicts (1), DUP flags (2), or which deliveries are without a sign (3)."""
        return decode_ints(self._parts[2 + index], self.count)

    def values(self) -> Blobs:
        """Values as they were."""
        return decode_blobs(self._parts[8], self.count)

    def columns(self) -> InputColumns:
        """All columns."""
        at_ns, wide = self.at_ns(), self.small(3).tolist()
        deliveries = decode_ints(self._parts[7], self.count).tolist()
        return InputColumns(
            self.small(0).tolist(),
            self.small(1).tolist(),
            self._directory.inputs.of_rows(self._first, self.count).tolist(),
            at_ns.tolist(),
            self._directory.received_at_ns(self.rows).tolist(),
            (decode_ints(self._parts[6], self.count) + at_ns).tolist(),
            [one + (flag << 64) for one, flag in zip(deliveries, wide, strict=True)],
            self.small(2).tolist(),
            self.values().to_list(),
            decode_texts(self._parts[9], self.count),
            decode_texts(self._parts[10], self.count),
        )


class OutputPiece:
    """Outputs of a piece by column, each decoded when it is asked for; `rows` are places in the segment.

    Raises:
        DamagedPart: The bytes are not those that were written.
    """

    def __init__(self, stored: bytes, directory: Directory, number: int) -> None:
        self._first, self._directory = (number - OUTPUTS_FROM) * PIECE_ROWS, directory
        self.count = min(PIECE_ROWS, directory.outputs.rows - self._first)
        self._parts = open_piece(stored)
        self.rows = decode_ints(self._parts[0], self.count)

    def positions(self) -> Int64:
        """Positions."""
        return self.rows + self._directory.first_position

    def seqs(self) -> Int64:
        """Of which inputs they were made."""
        return decode_ints(self._parts[1], self.count) + self._directory.first_seq + self.rows

    def stream_ids(self) -> Int64:
        """Whose they are."""
        return self._directory.outputs.of_rows(self._first, self.count)

    def kinds(self) -> Int64:
        """What they are."""
        return decode_ints(self._parts[2], self.count)

    def steps(self) -> Int64:
        """Step numbers."""
        return decode_ints(self._parts[3], self.count)

    def forecasts(self) -> Blobs:
        """Forecasts as they were."""
        return decode_blobs(self._parts[4], self.count)

    def body_crcs(self) -> Int64:
        """CRC-32s of what was published."""
        return np.frombuffer(self._parts[5], "<u4").astype(np.int64)
