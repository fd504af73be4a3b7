"""How readings of a fleet with `lateness` are taken: what is behind a gap waits in `stragglers.Waiting`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gaugecast.align import gates
from gaugecast.pipeline.batch_result import Outcome
from gaugecast.pipeline.stragglers import Waiting
from gaugecast.records import Int64, Verdict

if TYPE_CHECKING:
    from gaugecast.pipeline.fleet_pipeline import FleetPipeline


def take(part: FleetPipeline, r: gates.Round, result: Outcome) -> None:
    """One round of readings: those behind a gap wait, the others are taken, and with them what they make way for."""
    room = part.room
    assert room is not None
    waits = room.behind_a_gap(part.table, r) & ~r.again
    full = waits & room.full(r.slots)
    if np.count_nonzero(full):
        waits &= ~(full & (r.at < room.first(r.slots).at))  # it is the oldest itself
        full &= waits
        _let_go(part, r.slots[full], r.cause[full], result)
    if np.count_nonzero(waits):
        _let_wait(part, room, gates.take_rows(r, waits), result)
    if np.count_nonzero(waits) < len(waits):
        part.take_now(gates.take_rows(r, ~waits), result)
    let_go(part, r.slots, r.received, r.cause, result)


def let_go(part: FleetPipeline, slots: Int64, now_ns: Int64, cause: Int64, result: Outcome) -> None:
    """Take what need not wait any longer, stream by stream in order of event time.

    Args:
        part: Of a fleet with `lateness`.
        slots: Streams (N,), no two alike.
        now_ns: By arrival time (N,).
        cause: The inputs that let them go (N,).
        result: Takes the outputs.
    """
    assert part.room is not None
    while len(slots):
        go = part.room.may_go(part.table, slots, now_ns)
        slots, now_ns, cause = slots[go], now_ns[go], cause[go]
        _let_go(part, slots, cause, result)


def let_all_go(part: FleetPipeline, cause: int, result: Outcome) -> None:
    """Take all that waits: it cannot wait any longer."""
    assert part.room is not None
    slots = part.by_name(part.table.live_slots())
    while len(slots := slots[part.room.columns["count"][slots] > 0]):
        _let_go(part, slots, np.full(len(slots), cause), result)


def _let_go(part: FleetPipeline, slots: Int64, cause: Int64, result: Outcome) -> None:
    """Take the oldest reading of each stream; what becomes of it is counted, but is no verdict on the input now."""
    if len(slots) and part.room is not None:
        part.totals.held -= len(slots)
        part.take_now(part.room.pop(slots, cause), replace(result, verdicts=[Verdict.NONE] * len(result.verdicts)))


def _let_wait(part: FleetPipeline, room: Waiting, r: gates.Round, result: Outcome) -> None:
    new = room.add(r)
    part.totals.held += int(np.count_nonzero(new))
    part.totals.duplicate += int(np.count_nonzero(~new))
    for index, is_new in zip(r.cause.tolist(), new.tolist(), strict=True):
        result.verdicts[index] = Verdict.HELD if is_new else Verdict.DUPLICATE
