"""The table of one fleet's streams: which slot belongs to which stream, and the columns every stream has."""

from __future__ import annotations

import numpy as np

from gaugecast.records import Int64
from gaugecast.streams.columns import Array, Column, Columns

#: Older than any key a reading can have.
NEVER = -(2**63)


#: Columns that are discounted sums, which a step adds to together.
SCORES = ("square_error", "square_last", "absolute_error", "scored")


def stream_spec(features: int, forecast_features: int) -> tuple[Column, ...]:
    """Columns of a stream whose fleet has `features` (F), of which `forecast_features` (G) are forecast."""
    f, g = (features,), (forecast_features,)
    return (
        Column("live", "?"),
        Column("started", "?"),  # has been stepped since it came into being
        Column("tick", "<i8"),  # of the last closed step
        Column("phase", "<i8"),  # event time of tick 0, ns; follows the sensor's clock
        Column("key", "<i8", f, NEVER),  # newest event time or sequence number taken, by feature
        Column("at", "<i8"),  # event time of the last step, ns
        Column("received", "<i8", (), -1),  # arrival of the last accepted reading, ns; -1 = has not spoken
        Column("step", "<i8"),  # outputs made so far
        Column("x", "<f8", f, np.nan),  # last value; the model's own where a feature was absent
        Column("seen", "?", f),  # whether `x` was measured
        Column("published", "<f8", g, np.nan),  # what we said the next value will be
        Column("predicted", "<f8", g, np.nan),  # what we had said `x` would be
        Column("quality", "u1"),  # flags of the last output
        Column("square_error", "<f8", g),  # discounted Σ (observed − published)²
        Column("square_last", "<f8", g),  # discounted Σ (observed − last value)²
        Column("absolute_error", "<f8", g),  # discounted Σ |observed − published|
        Column("scored", "<f8", g),  # discounted number of terms in the three sums
        Column("stale", "?"),
        Column("late_run", "<i4"),  # late readings in a row whose event times rise
        Column("late_first_at", "<i8"),
        Column("late_at", "<i8"),
        Column("late_received", "<i8"),
        Column("open", "?"),  # a tick waits for its other features
        Column("open_tick", "<i8"),
        Column("open_received", "<i8"),
        Column("cell", "<f8", f, np.nan),
        Column("cell_n", "<i4", f),
        Column("cell_at", "<i8"),
        Column("held", "<i4"),  # readings in the open cell
    )


class StreamTable:
    """Slots by stream id; columns `stream_spec` and those that experts attach. Owned by the loop's thread.

    A freed slot is reused; a slot's number never bears on a result.
    """

    def __init__(self, features: int, forecast_features: int, *, capacity: int = 64) -> None:
        self.columns = Columns(stream_spec(features, forecast_features), capacity, blocks={"scores": SCORES})
        self.attached: list[Columns] = []
        self.names: list[str | None] = []
        self.slots: dict[str, int] = {}
        self._free: list[int] = []

    def __len__(self) -> int:
        return len(self.slots)

    def __getitem__(self, column: str) -> Array:
        return self.columns[column]

    @property
    def used(self) -> int:
        """Slots 0…used−1 have been given out at some time; rows beyond hold nothing."""
        return len(self.names)

    def live_slots(self) -> Int64:
        """Slots in use, rising."""
        return np.flatnonzero(self.columns["live"][: self.used]).astype(np.int64)

    @property
    def next_slot(self) -> int:
        """The slot that `add` will give."""
        return self._free[-1] if self._free else len(self.names)

    def attach(self, columns: Columns) -> None:
        """Let an expert's columns grow and be cleared with the table's own."""
        columns.grow(self.columns.capacity)
        self.attached.append(columns)

    def detach(self, columns: Columns) -> None:
        """Undo `attach`."""
        self.attached = [c for c in self.attached if c is not columns]

    def add(self, stream: str) -> int:
        """Give a stream a slot with clean columns."""
        if self._free:
            slot = self._free.pop()
            self.names[slot] = stream
        else:
            slot = len(self.names)
            self.names.append(stream)
            if slot >= self.columns.capacity:
                for columns in (self.columns, *self.attached):
                    columns.grow(2 * slot)
        self.slots[stream] = slot
        self.columns["live"][slot] = True
        return slot

    def remove(self, stream: str) -> None:
        """Take a stream's slot back and clear it."""
        slot = self.slots.pop(stream)
        self.names[slot] = None
        for columns in (self.columns, *self.attached):
            columns.clear(slot)
        self._free.append(slot)

    def rename(self, stream: str, to: str) -> None:
        """Give a stream, with all its columns, another id that is free."""
        slot = self.slots.pop(stream)
        self.slots[to], self.names[slot] = slot, to

    def restore_names(self, names: list[str | None]) -> None:
        """Take over the slots of a checkpoint; columns are filled by the caller."""
        self.names = list(names)
        self.slots = {name: slot for slot, name in enumerate(names) if name is not None}
        self._free = [slot for slot, name in enumerate(names) if name is None][::-1]
        if len(names) > self.columns.capacity:
            for columns in (self.columns, *self.attached):
                columns.grow(len(names))
