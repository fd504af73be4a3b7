"""Parking: an idle stream's whole state as bytes, to be kept in the ledger until it speaks again."""

from __future__ import annotations

import msgspec

from gaugecast.pipeline.lane import Lane
from gaugecast.records import Parked

_STEP = "step"


def park(lane: Lane, slot: int) -> Parked:
    """Take a stream out of its lane."""
    stream = lane.table.names[slot] or ""
    state = {name: columns.pack(slot) for name, columns in lane.tables().items()}
    state[_STEP] = int(lane.table["step"][slot]).to_bytes(8, "little")
    lane.totals.held -= int(lane.table["held"][slot])
    lane.totals.parked += 1
    lane.table.remove(stream)
    return Parked(lane.fleet.name, stream, msgspec.msgpack.encode(state))


def unpark(lane: Lane, stream: str, state: bytes) -> None:
    """Put a stream back as it was. What belongs to another shape of table or model begins anew.

    The step number goes on in any case: (stream, step) names a message for ever.
    """
    packed = msgspec.msgpack.decode(state, type=dict[str, bytes])
    slot = lane.table.add(stream)
    lane.totals.unparked += 1
    if not lane.table.columns.unpack(slot, packed.get("streams", b"")):
        lane.table["step"][slot] = int.from_bytes(packed.get(_STEP, b""), "little")
        return
    for role, expert in lane.experts.items():
        expert.columns.unpack(slot, packed.get(role, b""))
    lane.totals.held += int(lane.table["held"][slot])
