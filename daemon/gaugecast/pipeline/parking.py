"""Parking: an idle stream's whole state as bytes, to be kept in the ledger until it speaks again."""

from __future__ import annotations

import hashlib

import msgspec

from gaugecast.fleet import Fleet
from gaugecast.forecast.expert import shape_of
from gaugecast.model import Model
from gaugecast.pipeline.fleet_pipeline import HORIZONS, FleetPipeline
from gaugecast.pipeline.meaning import meaning_of
from gaugecast.pipeline.step_memory import StepMemory
from gaugecast.records import Int64, Parked

_STEP = "step"
_MEANING_BYTES = 8


def park(part: FleetPipeline, slot: int) -> Parked:
    """Take a stream out of its part."""
    stream = part.table.names[slot] or ""
    state = {name: _meaning(part, name) + columns.pack(slot) for name, columns in part.tables().items()}
    state[_STEP] = int(part.table["step"][slot]).to_bytes(8, "little")
    part.totals.held -= int(part.table["held"][slot])
    part.totals.parked += 1
    part.table.remove(stream)
    return Parked(part.fleet.name, stream, msgspec.msgpack.encode(state))


def note_steps(part: FleetPipeline, slots: Int64, memory: StepMemory) -> None:
    """Streams are about to leave; in the order of their names, since who left first is forgotten first."""
    for slot in part.by_name(slots).tolist():
        memory.leave(part.fleet.name, part.table.names[slot] or "", int(part.table["step"][slot]))


def unpark(part: FleetPipeline, stream: str, state: bytes, memory: StepMemory) -> None:
    """Put a stream back as it was. What belongs to other features or another shape of model begins anew.

    The step number goes on in any case: (stream, step) names a message for ever. What is remembered may be more than
    the state has, where the stream was refused its state once and began anew.
    """
    packed = msgspec.msgpack.decode(state, type=dict[str, bytes])
    slot = part.table.add(stream)
    part.totals.unparked += 1
    rows = {name: row[_MEANING_BYTES:] for name, row in packed.items() if row.startswith(_meaning(part, name))}
    if part.table.columns.unpack(slot, rows.get("streams", b"")):
        for name, columns in part.tables().items():
            if name != "streams":
                columns.unpack(slot, rows.get(name, b""))
        part.totals.held += int(part.table["held"][slot])
    step = int(part.table["step"][slot]) or int.from_bytes(packed.get(_STEP, b""), "little")
    part.table["step"][slot] = memory.come_back(part.fleet.name, stream, parked=step)


def _meaning(part: FleetPipeline, table: str) -> bytes:
    """Bytes that differ where rows of the same layout mean something else."""
    expert = part.experts.get(table)
    meaning = meaning_of(part.fleet) if expert is None else shape_of(expert.model)
    if table == HORIZONS:
        meaning = meaning, part.fleet.horizons, part.fleet.intervals
    return _digest(meaning)


def meaning_of_columns(fleet: Fleet, model: Model) -> bytes:
    """Bytes that differ where rows of a model's columns mean something else: other features, another shape."""
    return _digest((meaning_of(fleet), shape_of(model)))


def _digest(meaning: object) -> bytes:
    return hashlib.sha256(repr(meaning).encode()).digest()[:_MEANING_BYTES]
