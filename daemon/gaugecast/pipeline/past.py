"""History that is loaded into streams which have none: stepped as readings are, and nothing is said of it.

It comes as events, a chunk of one stream's rows each (`events.HistoryLoaded`), so that it has its place in the ledger
among all inputs, and a replay takes it again. It was not received: no reading is counted, no forecast made of it, and
the stream counts as one that has not spoken yet, which is neither stale nor parked.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gaugecast.align.gates import Round
from gaugecast.errors import Defect
from gaugecast.events import HistoryLoaded
from gaugecast.fleet import Fleet
from gaugecast.pipeline.batch_result import Outcome
from gaugecast.pipeline.fleet_pipeline import FleetPipeline
from gaugecast.pipeline.step_memory import StepMemory
from gaugecast.records import Float64, Input, Int64, Verdict

#: Arrival of a stream's last reading where it has not spoken.
_SILENT = -1
_NO_LATENESS = ("late_run", "late_first_at", "late_at", "late_received")


def pack(at_ns: Int64, values: Float64) -> bytes:
    """Rows as an event carries them: event times (n,), then values (n, F), NaN = absent."""
    return np.asarray(at_ns, "<i8").tobytes() + np.ascontiguousarray(values, "<f8").tobytes()


def unpack(rows: bytes, features: int) -> tuple[Int64, Float64]:
    """Inverse of `pack`.

    Raises:
        Defect: These are no rows of so many features.
    """
    count, rest = divmod(len(rows), 8 * (1 + features))
    if rest:
        raise Defect(f"rows of {features} features expected, got {len(rows)} bytes")
    at_ns = np.frombuffer(rows, "<i8", count=count).astype(np.int64)
    return at_ns, np.frombuffer(rows, "<f8", offset=8 * count).astype(np.float64).reshape(count, features)


def names_of(fleet: Fleet) -> tuple[str, ...]:
    """What rows are of: the fleet's features, in its order."""
    return tuple(feature.name for feature in fleet.features)


def is_open_to(part: FleetPipeline, stream: str) -> bool:
    """Whether a stream has no steps but those of history that was loaded before."""
    slot = part.table.slots.get(stream)
    return slot is None or int(part.table["received"][slot]) == _SILENT


def load(
    part: FleetPipeline,
    one: Input,
    event: HistoryLoaded,
    steps: StepMemory,
    touch: Callable[[Int64], None],
    result: Outcome,
    *,
    room: bool,
) -> None:
    """Step a chunk; nothing is done where the stream has spoken by now, the fleet is another, or no room is left.

    Args:
        steps: Numbers after which streams go on that come back.
        touch: Told slots before they change.
        room: Whether another stream may come into being.
    """
    table, stream = part.table, one.stream
    if (
        not is_open_to(part, stream)
        or (stream not in table.slots and not room)
        or event.features != names_of(part.fleet)
    ):
        return
    slot = table.slots.get(stream)
    touch(np.array([table.next_slot if slot is None else slot], np.int64))
    if slot is None:
        slot = table.add(stream)
        table["step"][slot] = steps.come_back(part.fleet.name, stream)
    said = int(table["step"][slot])
    at_ns, values = unpack(one.values, len(part.fleet.features))
    before = part.totals.copy()
    unsaid = Outcome([Verdict.NONE] * len(at_ns))
    for row in range(len(at_ns)):
        part.take_now(_round(slot, row, at_ns, values), unsaid)  # in order: nobody is waited for
    if table["open"][slot]:
        part.close(np.array([slot], np.int64), np.zeros(1, np.int64), unsaid)
    result.traces += unsaid.traces
    result.orders += unsaid.orders
    part.totals.become(before)
    if part.look_ahead is not None and part.look_ahead.crossings is not None:
        part.look_ahead.crossings.forget_told(np.array([slot], np.int64))
    if part.holding is not None:
        part.holding.forget(np.array([slot], np.int64))  # its silence means nothing before it speaks
    if part.anomalies is not None:
        part.anomalies.events.clear(slot)  # what is open was told to nobody
    table["received"][slot], table["step"][slot] = _SILENT, said
    for name in _NO_LATENESS:
        table[name][slot] = 0


def _round(slot: int, row: int, at_ns: Int64, values: Float64) -> Round:
    """One row, which arrives when it was measured."""
    at, no = at_ns[row : row + 1], np.zeros(1, bool)
    return Round(np.array([slot], np.int64), np.array([row], np.int64), at, at, at, values[row : row + 1], no, no)
