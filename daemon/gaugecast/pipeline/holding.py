"""Sensors that report on change: what each feature of a stream said last, and until when silence means the same.

A fleet without `hold` has none of this. Silence counts by the stream's own clock: event time goes on from the newest
reading as arrival time does, so a sensor that is late, or whose clock is wrong, is not answered for too early.
"""

from __future__ import annotations

import numpy as np

from gaugecast.align.gates import Round
from gaugecast.fleet import Fleet
from gaugecast.records import Bool, Float64, Int64
from gaugecast.streams.columns import Column, Columns

#: In place of a tick: before any that a stream can have.
_NONE = -(2**62)


class Holding:
    """What is remembered of a fleet's streams. Owned by the loop's thread.

    Columns: `value` (F,) as it came last, NaN = never or forgotten; `heard` (F,) its event time, ns; `lag` how far
    arrival lay behind event time when anything came last, ns.
    """

    def __init__(self, fleet: Fleet, capacity: int) -> None:
        self._fleet = fleet
        features = (len(fleet.features),)
        spec = (Column("value", "<f8", features, np.nan), Column("heard", "<i8", features), Column("lag", "<i8"))
        self.columns = Columns(spec, capacity)

    def note(self, r: Round, anew: Bool) -> None:
        """Readings that were taken, or that came too late for their own tick but say what is so from now on.

        Args:
            r: The readings (N).
            anew: Whose clock was set back (N,): what was heard before is dated like this reading.
        """
        columns, slots = self.columns, r.slots
        value, heard, at = columns["value"][slots], columns["heard"][slots], r.at[:, None]
        heard = np.where(anew[:, None], np.minimum(heard, at), heard)
        newer = ~np.isnan(r.values) & (np.isnan(value) | (at >= heard))
        columns["value"][slots] = np.where(newer, r.values, value)
        columns["heard"][slots] = np.where(newer, at, heard)
        columns["lag"][slots] = np.where(newer.any(axis=1), r.received - r.at, columns["lag"][slots])

    def fill(self, slots: Int64, at: Int64, values: Float64) -> tuple[Float64, Bool]:
        """Steps' values (N, F) with what goes on to hold where they are absent, and in which steps (N,) that is so."""
        value, heard = self.columns["value"][slots], self.columns["heard"][slots]
        holds = np.isnan(values) & ~np.isnan(value) & (at[:, None] - heard <= self._fleet.hold_ns)
        return np.where(holds, value, values), np.asarray(holds.any(axis=1))

    def last_tick(self, slots: Int64, phase: Int64) -> Int64:
        """The newest tick (N,) for which any feature is still held."""
        until = self._newest(slots) + self._fleet.hold_ns
        return np.where(self._known(slots), (until - phase) // self._fleet.period_ns, _NONE)

    def over(self, slots: Int64, phase: Int64, now_ns: int) -> Int64:
        """The newest tick (N,) that is over, `grace` included, when it is `now_ns` by arrival time."""
        passed = now_ns - self.columns["lag"][slots] - phase - self._patience_ns
        return np.minimum(passed // self._fleet.period_ns, self.last_tick(slots, phase))

    def due_ns(self, slots: Int64, phase: Int64, tick: Int64) -> Int64:
        """Arrival times (N,) at which `tick` is over."""
        return phase + tick * self._fleet.period_ns + self._patience_ns + self.columns["lag"][slots]

    def forget(self, slots: Int64) -> None:
        """Silence of these streams means nothing until they speak again."""
        self.columns.clear(slots)

    def shift(self, slots: Int64, step_ns: int, *, dated: bool) -> None:
        """The machine's clock was set: arrival times move, and event times with them where those are arrivals."""
        if dated:
            self.columns["heard"][slots] += step_ns
        else:
            self.columns["lag"][slots] += step_ns

    @property
    def _patience_ns(self) -> int:
        """From the middle of a tick to where it counts as over."""
        return self._fleet.period_ns // 2 + self._fleet.grace_ns

    def _known(self, slots: Int64) -> Bool:
        return np.asarray((~np.isnan(self.columns["value"][slots])).any(axis=1))

    def _newest(self, slots: Int64) -> Int64:
        """Event time (N,) of what came last, of those of whom anything is known."""
        known = ~np.isnan(self.columns["value"][slots])
        return np.asarray(np.where(known, self.columns["heard"][slots], np.iinfo(np.int64).min // 2).max(axis=1))
