"""Sealing: old batches become a segment, in steps that are short enough to stand between two commits."""

from __future__ import annotations

from collections.abc import Iterator

from gaugecast.ledger import batches, legacy, sealed
from gaugecast.ledger.arrays import InputArrays, OutputArrays
from gaugecast.ledger.directory import PIECE_ROWS
from gaugecast.ledger.merging import Merger
from gaugecast.ledger.segment import Builder, Made
from gaugecast.ledger.transaction import Heads
from gaugecast.ledger.view import Ends, View

SEGMENT_ROWS = 65_536
#: Batches are sealed too when they take so many bytes, or so large a part of what the ledger may take.
SEGMENT_BYTES = 8 << 20
_SHARE = 1 / 64
_STEP_ROWS = 2048  # inputs collected, or deleted, in one step
_STEP_BATCHES = 128  # batches collected, or deleted, in one step
_ORPHANS = 16  # pieces deleted in one step


class Sealer:
    """Makes one segment after another; owned by the ledger's writer, whose transaction is open in each step.

    A segment is seen only once it is whole; what a crash leaves of one is deleted before the next begins.

    Args:
        rows: A segment has so many inputs, and those of the commit that they end in.
        keep_bytes: How large the ledger may be.
    """

    def __init__(self, view: View, *, rows: int, keep_bytes: float) -> None:
        self._view, self._rows = view, rows
        self._bytes = min(SEGMENT_BYTES, max(1 << 16, int(keep_bytes * _SHARE)))
        self._merger = Merger(view)
        self._builder: Builder | None = None
        self._pieces: Iterator[Made] | None = None
        self._next = self._end = (0, 0)  # seq, position; the end is exclusive
        self._of_legacy = False
        self._blocked = 0

    @property
    def resting(self) -> bool:
        """Whether no segment is begun."""
        return self._builder is None

    def reset(self) -> None:
        """Forget what was collected: the transaction of a step was rolled back."""
        self._builder = self._pieces = None
        self._merger.reset()

    def give_up(self) -> None:
        """A step found damage: nothing is sealed from there on until it is pruned."""
        if self._builder is not None:
            self._blocked = self._builder.first_seq
            self._builder = self._pieces = None
        else:
            self._merger.give_up()

    def step(self, heads: Heads) -> int:
        """Do a little; return how many rows were gone through, 0 where there is nothing to do.

        Raises:
            StorageDamaged: A batch is damaged; `give_up` is to be called.
        """
        if self._builder is None:
            ends = self._view.ends()
            return self._sweep(ends) or self._begin(ends) or self._merger.step(ends)
        if self._pieces is None:
            return self._collect(self._builder)
        return self._write(self._builder, self._pieces, heads)

    def _sweep(self, ends: Ends) -> int:
        """Delete batches, and rows of version 1, that are in a segment."""
        connection = self._view.connection
        rows, last = 0, 0
        for first, inputs in connection.execute(
            "SELECT first_seq, inputs FROM batches WHERE first_seq <= ? ORDER BY first_seq LIMIT ?",
            (ends.sealed_seq, _STEP_BATCHES),
        ).fetchall():
            rows, last = rows + inputs, first
            if rows >= _STEP_ROWS:
                break
        if rows:
            connection.execute("DELETE FROM batches WHERE first_seq <= ?", (last,))
            return rows
        return legacy.drop(connection, ends, chunk=_STEP_ROWS // 2) if self._view.legacy else 0

    def _begin(self, ends: Ends) -> int:
        """Decide what the next segment is made of."""
        stretch = legacy.stretch(self._view, ends, least=self._rows) if self._view.legacy else None
        self._of_legacy = stretch is not None
        stretch = stretch or self._border(ends)
        if stretch is None or stretch[0][0] == self._blocked:
            return 0
        gone = self._view.connection.execute(
            "DELETE FROM pieces WHERE id IN (SELECT id FROM pieces WHERE id >= ? ORDER BY id LIMIT ?)",
            (sealed.piece_id(ends.sealed_seq + 1), _ORPHANS),
        ).rowcount
        if not gone:
            self._next, self._end = stretch
            self._builder = Builder(*self._next)
        return max(1, gone)

    def _border(self, ends: Ends) -> tuple[tuple[int, int], tuple[int, int]] | None:
        """From the oldest batch to one up to which all outputs are confirmed, where these are enough for a segment."""
        connection = self._view.connection
        first = batches.oldest(connection, sealed_seq=ends.sealed_seq)
        if first is None or (self._view.legacy and legacy.first_seq(self._view, ends) is not None):
            return None
        last = batches.at_position(connection, ends.confirmed + 1, sealed_seq=ends.sealed_seq)
        if last is None:
            return None
        end = last.first_seq, last.first_position
        if last.last_position <= ends.confirmed:
            end = last.first_seq + last.inputs, last.last_position + 1
        weight = last.written_bytes - first.written_bytes - self._merger.saved_bytes
        enough = end[0] - first.first_seq >= self._rows or weight >= self._bytes
        return ((first.first_seq, first.first_position), end) if enough else None

    def _collect(self, builder: Builder) -> int:
        """Take some rows more; once there are enough, begin to make pieces of them."""
        before = builder.inputs
        if self._take_legacy(builder) if self._of_legacy else self._take_batches(builder):
            self._pieces = builder.pieces()
        return max(1, builder.inputs - before)

    def _take_batches(self, builder: Builder) -> bool:
        """Take the next batches; whether they are enough."""
        rows = self._view.connection.execute(
            "SELECT first_seq, inputs, first_position, outputs, input_part, output_part, length(body_part) FROM batches"
            " WHERE first_seq >= ? AND first_seq < ? ORDER BY first_seq LIMIT ?",
            (self._next[0], self._end[0], _STEP_BATCHES),
        )
        begun = builder.inputs
        for first, inputs, position, outputs, input_part, output_part, body_bytes in rows:
            with batches.telling(first, inputs):
                builder.add_inputs(InputArrays.unpacked(input_part, inputs))
                if outputs:
                    builder.add_outputs(OutputArrays.unpacked(output_part, outputs), first_seq=first)
            builder.weight_bytes += len(input_part) + len(output_part) + body_bytes
            self._next = first + inputs, position + outputs
            if builder.inputs >= self._rows or builder.weight_bytes >= self._bytes:
                rows.close()
                return True
            if builder.inputs - begun >= _STEP_ROWS:
                rows.close()
                break
        return self._next[0] >= self._end[0]

    def _take_legacy(self, builder: Builder) -> bool:
        """Take the next rows of version 1; whether they were the last before the end."""
        (seq, position), (end_seq, end_position) = self._next, self._end
        if seq < end_seq:
            _, columns = legacy.inputs(self._view, seq - 1, most=min(_STEP_ROWS // 2, end_seq - seq)) or (0, None)
            if columns is not None:
                builder.add_inputs(InputArrays.of(columns))
                seq += len(columns.kinds)
        elif position < end_position:
            upto = min(end_position, position + _STEP_ROWS // 2) - 1
            outputs = legacy.output_columns(self._view.connection, position - 1, upto, first_seq=builder.first_seq)
            if outputs is not None:
                builder.add_outputs(OutputArrays.of(outputs), first_seq=builder.first_seq)
            position = upto + 1
        self._next = seq, position
        return self._next == self._end

    def _write(self, builder: Builder, pieces: Iterator[Made], heads: Heads) -> int:
        """Write the next piece; after the last the segment is one."""
        connection = self._view.connection
        for made in pieces:
            if made is None:
                return 1
            number, part = made
            connection.execute("INSERT INTO pieces VALUES (?, ?)", (sealed.piece_id(builder.first_seq, number), part))
            return PIECE_ROWS
        first_seq, first_position = builder.first_seq, builder.first_position
        last_seq, last_position = first_seq + builder.inputs - 1, first_position + builder.outputs - 1
        connection.execute(
            "INSERT INTO segments VALUES (?,?,?,?,?,?,?,?)",
            (first_seq, last_seq, first_position, last_position, builder.received_at_ns, *builder.at_ns,
             builder.directory()),
        )  # fmt: skip
        heads.note(connection)
        connection.execute("UPDATE heads SET sealed_seq = ?, sealed_position = ?", (last_seq, last_position))
        self._builder = self._pieces = None
        self._merger.saved_bytes = 0
        return 1
