"""Stragglers: readings behind a gap wait for those that belong into it, and are then taken in order of event time.

A fleet without `lateness` has none of this. A reading that follows the one before never waits. What waits is taken
when the gap before it is closed, when event time has gone on by `lateness`, when it has waited that long, and, the
oldest first, when there is no room for more.
"""

from __future__ import annotations

import numpy as np

from gaugecast.align import gates
from gaugecast.align.ticks import tick_of
from gaugecast.fleet import Fleet
from gaugecast.records import Bool, Int64
from gaugecast.streams.columns import Column, Columns
from gaugecast.streams.table import StreamTable

#: So many readings of a stream wait at most.
MOST = 256


def places_for(fleet: Fleet) -> int:
    """How many readings of a stream of this fleet may wait."""
    return min(MOST, 4 * (fleet.lateness_ns // fleet.period_ns + 4))


class Waiting:
    """The readings of a fleet that wait. Owned by the loop's thread.

    Columns: `count` of those that wait, and of each, oldest first, `at`, `received`, `values` (F,) and `dup`.
    """

    def __init__(self, fleet: Fleet, capacity: int) -> None:
        self._fleet = fleet
        self._most = places_for(fleet)
        spec = (
            Column("count", "<i4"),
            Column("at", "<i8", (self._most,)),
            Column("received", "<i8", (self._most,)),
            Column("values", "<f8", (self._most, len(fleet.features))),
            Column("dup", "?", (self._most,)),
        )
        self.columns = Columns(spec, capacity)

    def behind_a_gap(self, table: StreamTable, r: gates.Round) -> Bool:
        """Which readings (N,) are not to be taken yet: something may still come before them."""
        fleet, slots = self._fleet, r.slots
        started, is_open = table["started"][slots], table["open"][slots]
        tick = tick_of(r.at, table["phase"][slots], fleet.period_ns)
        newest = np.where(is_open, table["open_tick"][slots], table["tick"][slots])
        follows = ~(is_open & fleet.aggregated)  # a window takes all that may still come
        newer = r.at[:, None] > np.where(np.isnan(r.values), np.iinfo(np.int64).max, table["key"][slots])
        sound = newer.any(axis=1) & ~gates.ahead_of_now(table, fleet, r)
        return np.asarray(sound & (~(started | is_open) | (tick > newest + follows)))

    def add(self, r: gates.Round) -> Bool:
        """Let readings wait, of streams that have room; of each (N,) whether it says something new."""
        return np.array([self._insert(slot, r, i) for i, slot in enumerate(r.slots.tolist())], bool)

    def full(self, slots: Int64) -> Bool:
        """Of which streams (N,) no more can wait."""
        return np.asarray(self.columns["count"][slots] >= self._most)

    def _insert(self, slot: int, r: gates.Round, i: int) -> bool:
        columns, count, at = self.columns, int(self.columns["count"][slot]), int(r.at[i])
        times = columns["at"][slot, :count]
        same = times == at
        told = ~np.isnan(columns["values"][slot, :count][same])
        if len(told) and not (~np.isnan(r.values[i]) & ~told.any(axis=0)).any():
            return False
        place = int(np.searchsorted(times, at, side="right"))
        for name, value in (("at", at), ("received", r.received[i]), ("values", r.values[i]), ("dup", r.dup[i])):
            column = columns[name][slot]
            column[place + 1 : count + 1] = column[place:count].copy()
            column[place] = value
        columns["count"][slot] = count + 1
        return True

    def may_go(self, table: StreamTable, slots: Int64, now_ns: Int64) -> Bool:
        """Of which streams (N,) the oldest reading that waits is to be taken at arrival time `now_ns` (N,)."""
        columns, fleet = self.columns, self._fleet
        count = columns["count"][slots]
        rows = np.arange(self._most) < count[:, None]
        newest = np.where(rows, columns["at"][slots], np.iinfo(np.int64).min // 2).max(axis=1)
        newest = np.maximum(newest, table["key"][slots].max(axis=1))
        first = self.first(slots)
        waits = self.behind_a_gap(table, first)
        passed = newest - first.at >= fleet.lateness_ns
        return np.asarray((count > 0) & (~waits | passed | (self.due_ns(slots) <= now_ns)))

    def due_ns(self, slots: Int64) -> Int64:
        """Arrival times (N,) at which a reading will have waited long enough; far away where none waits."""
        rows = np.arange(self._most) < self.columns["count"][slots][:, None]
        oldest = np.where(rows, self.columns["received"][slots], np.iinfo(np.int64).max // 2).min(axis=1)
        return np.asarray(oldest + self._fleet.lateness_ns)

    def first(self, slots: Int64) -> gates.Round:
        """The oldest reading of each stream (N,); meaningless where none waits."""
        columns, at = self.columns, self.columns["at"][slots, 0]
        nothing = np.zeros(len(slots), bool)
        received, values, dup = columns["received"][slots, 0], columns["values"][slots, 0], columns["dup"][slots, 0]
        return gates.Round(slots, np.zeros(len(slots), np.int64), at, received, at, values, dup, nothing)

    def pop(self, slots: Int64, cause: Int64) -> gates.Round:
        """Take out the oldest reading of each stream (N,), as of the inputs `cause`."""
        first = self.first(slots)._replace(cause=cause)
        for name in ("at", "received", "values", "dup"):
            column = self.columns[name]
            rest = column[slots, 1:]
            column[slots, :-1] = rest
            column[slots, -1] = 0
        self.columns["count"][slots] -= 1
        return first

    def shift(self, slots: Int64, step_ns: int) -> None:
        """The machine's clock was set: arrival times move along."""
        rows = np.arange(self._most) < self.columns["count"][slots][:, None]
        self.columns["received"][slots] += np.where(rows, step_ns, 0)
