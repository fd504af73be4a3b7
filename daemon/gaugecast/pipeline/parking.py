"""Parking: an idle stream's whole state as bytes, to be kept in the ledger until it speaks again."""

from __future__ import annotations

import hashlib

import msgspec
import numpy as np

from gaugecast.events import (
    Announced,
    AnomaliesRefitted,
    AnomalyAcknowledged,
    StreamEvent,
    StreamForgotten,
    StreamRenamed,
    StreamSilenced,
    StreamUnparked,
)
from gaugecast.fleet import Fleet
from gaugecast.forecast.expert import shape_of
from gaugecast.model import Model
from gaugecast.pipeline import anomalies, looking
from gaugecast.pipeline.batch_result import Outcome
from gaugecast.pipeline.fleet_pipeline import FleetPipeline
from gaugecast.pipeline.look_ahead import LEARNED_AHEAD, meaning_of_ahead
from gaugecast.pipeline.meaning import meaning_of
from gaugecast.pipeline.rebuilding import REBUILT
from gaugecast.pipeline.step_memory import StepMemory
from gaugecast.records import Input, Int64, Parked

_STEP = "step"
_MEANING_BYTES = 8


def park_idle(part: FleetPipeline, slots: Int64, memory: StepMemory, *, cause: int, result: Outcome) -> None:
    """Take streams out of their part, in the order of their names; what is told of them ends with it."""
    end_notices(part, slots, cause, result)
    note_steps(part, slots, memory)
    result.parked += [park(part, slot) for slot in part.by_name(slots).tolist()]


def end_notices(part: FleetPipeline, slots: Int64, cause: int, result: Outcome) -> None:
    """End what is told of streams that leave, crossings and anomalies: the broker retains it."""
    part.end_crossings(cause, result, slots=slots)
    looking.end_all(part, cause, result, slots=slots)


def park(part: FleetPipeline, slot: int) -> Parked:
    """Take a stream out of its part."""
    stream = part.table.names[slot] or ""
    state = {name: _meaning(part, name) + columns.pack(slot) for name, columns in part.tables().items()}
    state[_STEP] = int(part.table["step"][slot]).to_bytes(8, "little")
    part.totals.held -= part.held_of(slot)
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
        part.totals.held += part.held_of(slot)
    step = int(part.table["step"][slot]) or int.from_bytes(packed.get(_STEP, b""), "little")
    part.table["step"][slot] = memory.come_back(part.fleet.name, stream, parked=step)


def follow(
    part: FleetPipeline,
    one: Input,
    event: StreamEvent,
    memory: StepMemory,
    *,
    cause: int,
    result: Outcome,
) -> None:
    """Do what an event says of streams: one goes, goes on under another id, comes back, or is told of otherwise."""
    slot = part.table.slots.get(one.stream)
    leaving = np.array([] if slot is None else [slot], np.int64)
    match event:
        case StreamForgotten():
            end_notices(part, leaving, cause, result)
            if part.home is not None:
                part.home.take_back([one.stream], cause, result)
            forget(part, one.stream, memory)
            part.totals.unparked += event.parked
        case StreamRenamed() if event.to not in part.table.slots:
            end_notices(part, leaving, cause, result)
            rename(part, one.stream, event.to, memory)
            if part.home is not None:
                part.home.take_back([one.stream], cause, result)
                part.home.say([event.to], cause, part.table, result)
        case Announced() if part.home is not None:
            part.home.say(event.streams, cause, part.table, result)
        case StreamUnparked() if one.stream not in part.table.slots:
            unpark(part, one.stream, one.values, memory)
        case AnomaliesRefitted():
            looking.find_out_anew(part, leaving if one.stream else part.table.live_slots(), cause, result)
        case AnomalyAcknowledged() | StreamSilenced() if slot is not None and part.anomalies is not None:
            part.anomalies.obey(
                slot, one, event, table=part.table, lineage=part.writer.lineage, cause=cause, result=result
            )


def forget(part: FleetPipeline, stream: str, memory: StepMemory) -> None:
    """Let go of a stream that is in memory, but for its step number."""
    slot = part.table.slots.get(stream)
    if slot is None:
        return
    memory.leave(part.fleet.name, stream, int(part.table["step"][slot]))
    part.totals.held -= part.held_of(slot)
    part.table.remove(stream)


def rename(part: FleetPipeline, stream: str, to: str, memory: StepMemory) -> None:
    """Let a stream go on under another id, above all step numbers that either has ever had there.

    Nothing happens where the one is not here, or the other is.
    """
    table = part.table
    slot = table.slots.get(stream)
    if slot is None or to in table.slots:
        return
    step = int(table["step"][slot])
    memory.leave(part.fleet.name, stream, step)
    table.rename(stream, to)
    table["step"][slot] = max(step, memory.come_back(part.fleet.name, to))


def _meaning(part: FleetPipeline, table: str) -> bytes:
    """Bytes that differ where rows of the same layout mean something else."""
    expert = part.experts.get(table)
    meaning = meaning_of(part.fleet) if expert is None else shape_of(expert.model)
    if table in LEARNED_AHEAD:
        meaning = meaning, *meaning_of_ahead(part.fleet, table)
    if table == anomalies.ANOMALY and part.fleet.anomaly is not None and part.fleet.anomaly.mode:
        meaning = meaning, part.fleet.anomaly.mode
    if table == REBUILT:
        meaning = meaning, looking.version_of(part)  # windows are scaled by it
    return _digest(meaning)


def meaning_of_columns(fleet: Fleet, model: Model) -> bytes:
    """Bytes that differ where rows of a model's columns mean something else: other features, another shape."""
    return _digest((meaning_of(fleet), shape_of(model)))


def _digest(meaning: object) -> bytes:
    return hashlib.sha256(repr(meaning).encode()).digest()[:_MEANING_BYTES]
