"""Statistics and limits by the machine's state: what is usual while it heats is not what is usual while it rests.

Each of the four states that a stream was in last has all that detectors remember to itself. One that comes for the
first time is found out as a new stream is; one that comes again goes on where it was left.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from gaugecast.records import Bool, Float64, Int64
from gaugecast.streams.columns import Array, Column, Columns

#: So many states of a stream are remembered.
MOST = 4
_NOW, _VALUES, _ENTERED = "mode_now", "mode_values", "mode_entered"
_AGE = "age"  # of the stream: it goes along from state to state


class Rows:
    """Rows of streams within columns, those of the state that each is in; without modes simply theirs.

    Args:
        spec: Columns of one stream in one state.
        columns: Those of `spec_of`, with or without states.
    """

    def __init__(self, spec: Iterable[Column], columns: Columns) -> None:
        self._tails = {column.name: column.tail for column in spec}
        self._fills = {column.name: column.fill for column in spec}
        self._columns, self._by_mode = columns, any(column.name == _NOW for column in columns.spec)

    def places(self, slots: Int64) -> Int64:
        """Where these streams' rows lie now."""
        return slots * MOST + self._columns[_NOW][slots] if self._by_mode else slots

    def take(self, name: str, slots: Int64) -> Array:
        """Rows of a column (N, …), copies."""
        return self._flat(name).take(self.places(slots), axis=0)

    def take_all(self, places: Int64) -> dict[str, Array]:
        """Rows of all columns, copies."""
        return {name: self._flat(name).take(places, axis=0) for name in self._tails}

    def said(self, slots: Int64) -> Float64:
        """The values that say the states that these streams are in (N,), NaN = none has yet; only with modes."""
        values: Float64 = self._columns[_VALUES][slots, self._columns[_NOW][slots]]
        return values

    def put(self, name: str, places: Int64, rows: Array) -> None:
        """Write rows of a column back."""
        self._flat(name)[places] = np.ascontiguousarray(rows)  # much faster than rows that lie apart

    def _flat(self, name: str) -> Array:
        array = self._columns[name]
        return array.reshape(-1, *self._tails[name]) if self._by_mode else array

    def enter(self, slots: Int64, value: Float64, stays: Bool) -> Bool:
        """Let streams change their state; who has (N,).

        Args:
            slots: Of N streams.
            value: That says the state (N,), NaN = none does.
            stays: Who does not change whatever is said, as its machine is off (N,).
        """
        values, entered = self._columns[_VALUES][slots], self._columns[_ENTERED][slots]
        known = values == value[:, None]
        stays = stays | np.isnan(value)
        now = self._columns[_NOW][slots]
        place = np.where(known.any(axis=1), known.argmax(axis=1), entered.argmin(axis=1))
        place = np.where(stays, now, place)
        new, changed = ~stays & ~known.any(axis=1), place != now
        at = np.flatnonzero(new | changed)
        if not len(at):
            return np.asarray(changed)
        again = np.flatnonzero(new & ~np.isnan(values[np.arange(len(slots)), place]))  # it makes room for another
        for name, fill in self._fills.items():
            self._flat(name)[slots[again] * MOST + place[again]] = fill
        age, base = self._flat(_AGE), slots[at] * MOST
        age[base + place[at]] = age[base + now[at]]
        self._columns[_VALUES][slots[at], place[at]] = value[at]
        self._columns[_ENTERED][slots[at], place[at]] = entered[at].max(axis=1) + 1
        self._columns[_NOW][slots[at]] = place[at]
        return np.asarray(changed)


def spec_of(spec: Iterable[Column], by_mode: bool) -> list[Column]:
    """The columns of one stream, each `MOST` times where the machine's states are told apart."""
    if not by_mode:
        return list(spec)
    return [
        *(Column(one.name, one.dtype, (MOST, *one.tail), one.fill) for one in spec),
        Column(_NOW, "<i4"),  # place of the state that it is in
        Column(_VALUES, "<f8", (MOST,), float("nan")),  # what says each
        Column(_ENTERED, "<i8", (MOST,)),  # when it was entered, in changes of state
    ]
