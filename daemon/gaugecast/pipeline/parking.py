"""Parking: an idle stream's whole state as bytes, to be kept in the ledger until it speaks again."""

from __future__ import annotations

import hashlib

import msgspec

from gaugecast.fleet import Fleet
from gaugecast.forecast.expert import shape_of
from gaugecast.model import Model
from gaugecast.pipeline.lane import Lane, meaning_of
from gaugecast.records import Parked

_STEP = "step"
_MEANING_BYTES = 8


def park(lane: Lane, slot: int) -> Parked:
    """Take a stream out of its lane."""
    stream = lane.table.names[slot] or ""
    state = {name: _meaning(lane, name) + columns.pack(slot) for name, columns in lane.tables().items()}
    state[_STEP] = int(lane.table["step"][slot]).to_bytes(8, "little")
    lane.totals.held -= int(lane.table["held"][slot])
    lane.totals.parked += 1
    lane.table.remove(stream)
    return Parked(lane.fleet.name, stream, msgspec.msgpack.encode(state))


def unpark(lane: Lane, stream: str, state: bytes) -> None:
    """Put a stream back as it was. What belongs to other features or another shape of model begins anew.

    The step number goes on in any case: (stream, step) names a message for ever.
    """
    packed = msgspec.msgpack.decode(state, type=dict[str, bytes])
    slot = lane.table.add(stream)
    lane.totals.unparked += 1
    rows = {name: row[_MEANING_BYTES:] for name, row in packed.items() if row.startswith(_meaning(lane, name))}
    if not lane.table.columns.unpack(slot, rows.get("streams", b"")):
        lane.table["step"][slot] = int.from_bytes(packed.get(_STEP, b""), "little")
        return
    for role, expert in lane.experts.items():
        expert.columns.unpack(slot, rows.get(role, b""))
    lane.totals.held += int(lane.table["held"][slot])


def _meaning(lane: Lane, table: str) -> bytes:
    """Bytes that differ where rows of the same layout mean something else."""
    expert = lane.experts.get(table)
    meaning = meaning_of(lane.fleet) if expert is None else shape_of(expert.model)
    return _digest(meaning)


def meaning_of_columns(fleet: Fleet, model: Model) -> bytes:
    """Bytes that differ where rows of a model's columns mean something else: other features, another shape."""
    return _digest((meaning_of(fleet), shape_of(model)))


def _digest(meaning: object) -> bytes:
    return hashlib.sha256(repr(meaning).encode()).digest()[:_MEANING_BYTES]
