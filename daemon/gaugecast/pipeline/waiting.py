"""What is due when time passes and no reading comes: open ticks are closed, silent streams marked, idle ones parked.

The only clock is the inputs' own `received_at_ns`; the loop writes a timer input when something is due.
"""

from __future__ import annotations

from typing import NamedTuple

from gaugecast.fleet import Fleet
from gaugecast.records import Int64
from gaugecast.streams.table import StreamTable


class Overdue(NamedTuple):
    """Slots, each rising: with an open tick past its grace, newly silent, idle long enough to be parked."""

    waiting: Int64
    stale: Int64
    idle: Int64


def patience_ns(fleet: Fleet) -> int:
    """How long a tick may stay open after its first reading: `grace`, and with aggregates the tick itself."""
    return fleet.grace_ns + (fleet.period_ns if fleet.aggregated else 0)


def shortest_ns(fleet: Fleet) -> int:
    """The least time after which a reading can make something due."""
    others = [after for after in (fleet.stale_after_ns, fleet.park_after_ns) if after]
    return min([patience_ns(fleet), *others])


def next_due_ns(table: StreamTable, fleet: Fleet) -> int | None:
    """Earliest arrival time at which something is due; `None` = never."""
    live = table.live_slots()
    waiting, spoken = live[table["open"][live]], _spoken(table)
    due = []
    if len(waiting):
        due.append(int(table["open_received"][waiting].min()) + patience_ns(fleet))
    talking = spoken[~table["stale"][spoken]]
    quiet = spoken[~table["open"][spoken]]
    for slots, after in ((talking, fleet.stale_after_ns), (quiet, fleet.park_after_ns)):
        if after and len(slots):
            due.append(int(table["received"][slots].min()) + after)
    return min(due, default=None)


def overdue(table: StreamTable, fleet: Fleet, now_ns: int) -> Overdue:
    """What is due at `now_ns`."""
    live = table.live_slots()
    waiting = live[table["open"][live] & (table["open_received"][live] + patience_ns(fleet) <= now_ns)]
    spoken = _spoken(table)
    silence = now_ns - table["received"][spoken]
    stale = spoken[(silence >= fleet.stale_after_ns) & ~table["stale"][spoken]]
    # An open tick is closed before its stream is parked: readings that are held are held in memory only.
    idle = spoken[(silence >= fleet.park_after_ns) & ~table["open"][spoken]]
    return Overdue(
        waiting,
        stale if fleet.stale_after_ns else live[:0],
        idle if fleet.park_after_ns else live[:0],
    )


def _spoken(table: StreamTable) -> Int64:
    """Streams whose silence counts: stepped ones, and those that have been quiet since their fleet was configured anew.

    A stream whose first tick is still open is waited for instead.
    """
    live = table.live_slots()
    return live[(table["received"][live] >= 0) & (table["started"][live] | ~table["open"][live])]
