"""What is due when time passes and no reading comes: open ticks are closed, silent streams marked, idle ones parked.

What a silent sensor goes on to say is stepped, and what waits for stragglers is taken: but only where the silence is
the sensors', since nothing kept us from hearing them. The only clock is the inputs' own `received_at_ns`; the loop
writes a timer input when something is due.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gaugecast.fleet import Fleet
from gaugecast.pipeline import reordering, stepping
from gaugecast.pipeline.batch_result import Outcome
from gaugecast.records import Bool, Int64
from gaugecast.streams.table import StreamTable

if TYPE_CHECKING:
    from gaugecast.pipeline.fleet_pipeline import FleetPipeline

#: Nobody needs a timer more often than this.
LOOK_NS = 50_000_000
#: Silent streams that one timer steps; the next, which is due at once, goes on with others.
MOST_AT_ONCE = 2000


class Overdue(NamedTuple):
    """Slots, each rising.

    Attributes:
        late: What waits there for stragglers has waited long enough.
        waiting: An open tick is past its grace.
        silent: A tick is over at which nothing came, and what came last goes on to hold.
        stale: Newly silent.
        idle: Idle long enough to be parked.
    """

    late: Int64
    waiting: Int64
    silent: Int64
    stale: Int64
    idle: Int64


def patience_ns(fleet: Fleet) -> int:
    """How long a tick may stay open after its first reading: `grace`, and with aggregates the tick itself.

    Behind that stragglers of a window may still come.
    """
    return fleet.grace_ns + (fleet.period_ns + fleet.lateness_ns if fleet.aggregated else 0)


def shortest_ns(fleet: Fleet) -> int:
    """The least time after which a reading can make something due."""
    others = (fleet.stale_after_ns, fleet.park_after_ns, fleet.lateness_ns, fleet.hold_ns and fleet.period_ns // 2)
    return min([patience_ns(fleet), *(after for after in others if after)])


def look_again_ns(parts: Collection[FleetPipeline], now_ns: int, earliest_ns: int | None, *, listening: bool) -> int:
    """When to look next at the latest, where nothing known is due before `earliest_ns`.

    A reading may open a tick at any moment, and that one is due after the shortest patience.
    """
    if not listening and any(part.holding is not None or part.room is not None for part in parts):
        return now_ns + LOOK_NS  # what is due may be taken as soon as we hear
    soon = now_ns + max(LOOK_NS, min((shortest_ns(part.fleet) for part in parts), default=LOOK_NS))
    return soon if earliest_ns is None else min(soon, max(earliest_ns, now_ns + 1))


def next_due_ns(part: FleetPipeline, *, listening: bool) -> int | None:
    """Earliest arrival time at which something is due; `None` = never.

    Args:
        part: The fleet.
        listening: Whether what the sensors say is heard.
    """
    table, fleet = part.table, part.fleet
    live = table.live_slots()
    waiting, spoken = live[table["open"][live]], _spoken(table)
    due = list(_by_hearing(part, live)) if listening else []
    if len(waiting):
        due.append(int(table["open_received"][waiting].min()) + patience_ns(fleet))
    talking = spoken[~table["stale"][spoken]]
    quiet = spoken[~_keeps(part, spoken)]
    for slots, after in ((talking, fleet.stale_after_ns), (quiet, fleet.park_after_ns)):
        if after and len(slots):
            due.append(int(table["received"][slots].min()) + after)
    return min(due, default=None)


def _by_hearing(part: FleetPipeline, live: Int64) -> Iterator[int]:
    """When the next of what is due only while we listen is."""
    table = part.table
    if part.holding is not None:
        slots = live[table["started"][live] & ~table["open"][live]]
        phase, following = table["phase"][slots], table["tick"][slots] + 1
        holds = following <= part.holding.last_tick(slots, phase)
        if holds.any():
            yield int(part.holding.due_ns(slots[holds], phase[holds], following[holds]).min())
    if part.room is not None:
        slots = live[part.room.columns["count"][live] > 0]
        if len(slots):
            yield int(part.room.due_ns(slots).min())


def overdue(part: FleetPipeline, now_ns: int, *, listening: bool) -> Overdue:
    """What is due at `now_ns`."""
    table, fleet = part.table, part.fleet
    live = table.live_slots()
    waiting = live[table["open"][live] & (table["open_received"][live] + patience_ns(fleet) <= now_ns)]
    spoken = _spoken(table)
    silence = now_ns - table["received"][spoken]
    stale = spoken[(silence >= fleet.stale_after_ns) & ~table["stale"][spoken]]
    idle = spoken[(silence >= fleet.park_after_ns) & ~_keeps(part, spoken)]
    return Overdue(
        _late(part, live, now_ns) if listening else live[:0],
        waiting,
        _silent(part, live, now_ns) if listening else live[:0],
        stale if fleet.stale_after_ns else live[:0],
        idle if fleet.park_after_ns else live[:0],
    )


def _late(part: FleetPipeline, live: Int64, now_ns: int) -> Int64:
    if part.room is None:
        return live[:0]
    slots = live[part.room.columns["count"][live] > 0]
    return slots[part.room.due_ns(slots) <= now_ns]


def _silent(part: FleetPipeline, live: Int64, now_ns: int) -> Int64:
    if part.holding is None:
        return live[:0]
    table = part.table
    slots = live[table["started"][live] & ~table["open"][live]]
    return slots[part.holding.over(slots, table["phase"][slots], now_ns) > table["tick"][slots]]


def _keeps(part: FleetPipeline, slots: Int64) -> Bool:
    """Which streams (N,) hold readings: those are in memory only, so they are let go of before a stream is parked."""
    holds: Bool = part.table["open"][slots]
    return holds if part.room is None else holds | (part.room.columns["count"][slots] > 0)


def _spoken(table: StreamTable) -> Int64:
    """Streams whose silence counts: stepped ones, and those that have been quiet since their fleet was configured anew.

    A stream whose first tick is still open is waited for instead.
    """
    live = table.live_slots()
    return live[(table["received"][live] >= 0) & (table["started"][live] | ~table["open"][live])]


def take_due(part: FleetPipeline, due: Overdue, now_ns: int, cause: int, result: Outcome) -> None:
    """Do what is due by the timer `cause`, but for parking; streams in the order of their names."""
    if len(due.waiting):
        slots = part.by_name(due.waiting)
        part.close(slots, np.full(len(slots), cause), result)
    if part.room is not None:  # behind a window that has closed, what waited for it may follow
        slots = part.by_name(np.union1d(due.late, due.waiting))
        reordering.let_go(part, slots, np.full(len(slots), now_ns), np.full(len(slots), cause), result)
    if part.holding is not None:
        slots = part.by_name(due.silent)[:MOST_AT_ONCE]
        until = part.holding.over(slots, part.table["phase"][slots], now_ns)
        stepping.hold(part, slots, until, np.full(len(slots), cause), result)
    if len(due.stale):
        part.writer.mark_stale(part.by_name(due.stale), cause, result)
