"""What waiting brings about: open ticks that close without their last feature, silent streams, idle streams.

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
    aggregated = any(f.aggregate != "last" for f in fleet.features)
    return fleet.grace_ns + (fleet.period_ns if aggregated else 0)


def shortest_ns(fleet: Fleet) -> int:
    """The least time after which a reading can make something due."""
    others = [after for after in (fleet.stale_after_ns, fleet.park_after_ns) if after]
    return min([patience_ns(fleet), *others])


def next_due_ns(table: StreamTable, fleet: Fleet) -> int | None:
    """Earliest arrival time at which something is due; `None` = never."""
    live = table.live_slots()
    waiting, stepped = live[table["open"][live]], live[table["started"][live]]
    due = []
    if len(waiting):
        due.append(int(table["open_received"][waiting].min()) + patience_ns(fleet))
    talking = stepped[~table["stale"][stepped]]
    quiet = stepped[~table["open"][stepped]]
    for slots, after in ((talking, fleet.stale_after_ns), (quiet, fleet.park_after_ns)):
        if after and len(slots):
            due.append(int(table["received"][slots].min()) + after)
    return min(due, default=None)


def overdue(table: StreamTable, fleet: Fleet, now_ns: int) -> Overdue:
    """What is due at `now_ns`."""
    live = table.live_slots()
    waiting = live[table["open"][live] & (table["open_received"][live] + patience_ns(fleet) <= now_ns)]
    stepped = live[table["started"][live]]
    silence = now_ns - table["received"][stepped]
    stale = stepped[(silence >= fleet.stale_after_ns) & ~table["stale"][stepped]]
    # An open tick is closed before its stream is parked: readings that are held are held in memory only.
    idle = stepped[(silence >= fleet.park_after_ns) & ~table["open"][stepped]]
    return Overdue(
        waiting,
        stale if fleet.stale_after_ns else live[:0],
        idle if fleet.park_after_ns else live[:0],
    )
