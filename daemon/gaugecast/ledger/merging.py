"""Merging: many small batches become one, so that slow plants take no page a reading, and are read in no time.

What is kept of the rows is the same, but for the bodies, which nobody needs once they are confirmed.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

from gaugecast.ledger.batches import telling
from gaugecast.ledger.packing import (
    InputColumns,
    OutputColumns,
    pack_inputs,
    pack_outputs,
    unpack_inputs,
    unpack_outputs,
)
from gaugecast.ledger.view import Ends, View

MERGED_ROWS = 2048  # and no batch of half of it is ever merged with others
LEAST_BATCHES = 128  # are worth the pages that a merge writes
_MOST_BATCHES = 256  # merged in one step
_MOST_BYTES = 1 << 20


class _Row(NamedTuple):
    """A batch without its parts."""

    first_seq: int
    inputs: int
    first_position: int
    outputs: int
    confirmed: int
    received_at_ns: int
    written_bytes: int


class Merger:
    """Owned by the ledger's writer, whose transaction is open in each step.

    Attributes:
        saved_bytes: By how much the batches that are not sealed are smaller than they were written.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._from_seq = self._least_seq = 0  # batches before these are large or merged, are next to damaged ones
        self.saved_bytes = 0

    def reset(self) -> None:
        """A transaction was rolled back: what was merged in it never was."""
        self._from_seq, self.saved_bytes = self._least_seq, 0

    def give_up(self) -> None:
        """A step found damage: what it looked at stays as it is."""
        self._least_seq = self._from_seq

    def step(self, ends: Ends) -> int:
        """Merge the oldest small batches whose outputs are confirmed, if there are enough; how many rows they have."""
        small = self._run(ends)
        if len(small) < 2:
            return 0
        self._from_seq = small[-1].first_seq + small[-1].inputs
        return sum(one.inputs for one in small) if self._merge(small) else 0

    def _run(self, ends: Ends) -> list[_Row]:
        """The next small batches that follow one another; none while they are few and more may come."""
        rows = self._view.connection.execute(
            "SELECT first_seq, inputs, first_position, outputs, confirmed, received_at_ns, written_bytes FROM batches"
            " WHERE first_seq >= ? AND first_position + outputs - 1 <= ? ORDER BY first_seq LIMIT ?",
            (max(self._from_seq, ends.sealed_seq + 1), ends.confirmed, _MOST_BATCHES),
        )
        small: list[_Row] = []
        count = 0
        for one in map(_Row._make, rows.fetchall()):
            heavy = len(small) > 0 and one.written_bytes - small[0].written_bytes > _MOST_BYTES
            if heavy or one.inputs * 2 >= MERGED_ROWS:
                if len(small) > 1:
                    return small
                small, count, self._from_seq = [], 0, one.first_seq + (0 if heavy else one.inputs)
                if not heavy:
                    continue
            small.append(one)
            count += one.inputs
            if count >= MERGED_ROWS:
                return small
        return small if len(small) >= LEAST_BATCHES else []

    def _merge(self, small: Sequence[_Row]) -> bool:
        first, last = small[0], small[-1]
        connection = self._view.connection
        inputs, outputs, taken = [], [], 0
        for row, (input_part, output_part, body_bytes) in zip(small, self._parts(first, last), strict=True):
            with telling(row.first_seq, row.inputs):
                inputs.append(unpack_inputs(input_part, row.inputs))
                if row.outputs:
                    made = unpack_outputs(output_part, row.outputs)
                    outputs.append(made._replace(causes=[row.first_seq - first.first_seq + i for i in made.causes]))
            taken += len(input_part) + len(output_part) + body_bytes
        try:
            input_part = pack_inputs(InputColumns._make(map(_joined, zip(*inputs, strict=True))))
        except struct.error:  # deliveries with and without a sign: no part can have both
            return False
        output_part = pack_outputs(OutputColumns._make(map(_joined, zip(*outputs, strict=True)))) if outputs else b""
        connection.execute(
            "DELETE FROM batches WHERE first_seq >= ? AND first_seq <= ?", (first.first_seq, last.first_seq)
        )
        connection.execute(
            "INSERT INTO batches VALUES (?,?,?,?,?,?,?,?,?,?)",
            (
                first.first_seq, last.first_seq + last.inputs - first.first_seq, first.first_position,
                last.first_position + last.outputs - first.first_position, last.confirmed, last.received_at_ns,
                last.written_bytes, input_part, output_part, b"",
            ),
        )  # fmt: skip
        self.saved_bytes += taken - len(input_part) - len(output_part)
        return True

    def _parts(self, first: _Row, last: _Row) -> list[tuple[bytes, bytes, int]]:
        return self._view.connection.execute(
            "SELECT input_part, output_part, length(body_part) FROM batches WHERE first_seq >= ? AND first_seq <= ?"
            " ORDER BY first_seq",
            (first.first_seq, last.first_seq),
        ).fetchall()


def _joined(columns: Sequence[Sequence[Any]]) -> list[Any]:
    return list(chain.from_iterable(columns))
