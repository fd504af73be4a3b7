"""Memories: what a model has kept of each stream (state and statistics), moved from one pipeline into another.

A model that is put into shadow would begin with no state. So whoever proposes it has stepped it over past readings
in another pipeline, and its memories of that run are put into the loop's. They travel in chunks, each an event: so no
batch waits for all streams at once, and a replay finds the very same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
import numpy as np

from gaugecast.forecast.expert import SCORES, Expert
from gaugecast.pipeline.fleet_pipeline import FleetPipeline
from gaugecast.pipeline.parking import meaning_of_columns
from gaugecast.records import Int64
from gaugecast.streams.columns import Columns

#: Of one chunk, about: some hundred streams, a millisecond or two of the loop.
CHUNK_BYTES = 256 << 10


class Remembered(msgspec.Struct, array_like=True, frozen=True):
    """One stream, the event time of the last step that the model took with it, and its row (`Columns.pack`)."""

    stream: str
    at: int
    row: bytes


class Memory(msgspec.Struct, array_like=True, frozen=True):
    """One chunk: what its rows mean (fleet, shape of the model), and the rows."""

    meaning: bytes
    streams: list[Remembered]


def decode(chunk: bytes) -> Memory:
    """Inverse of what `memories_of` gives.

    Raises:
        msgspec.MsgspecError: It is damaged.
    """
    return msgspec.msgpack.decode(chunk, type=Memory)


def memories_of(part: FleetPipeline, role: str) -> Iterator[bytes]:
    """All that the model in this role remembers, in encoded chunks; streams in the order of their names."""
    expert = part.experts[role]
    started = part.table.live_slots()
    started = part.by_name(started[expert.columns["warm"][started] > 0])
    per_chunk = max(1, CHUNK_BYTES // expert.columns.row_bytes)
    meaning = meaning_of_columns(part.fleet, expert.model)
    for begin in range(0, len(started), per_chunk):
        streams = [
            Remembered(part.table.names[slot] or "", int(part.table["at"][slot]), expert.columns.pack(slot))
            for slot in started[begin : begin + per_chunk].tolist()
        ]
        yield msgspec.msgpack.encode(Memory(meaning, streams))


def recall(part: FleetPipeline, role: str, slots: list[int], memory: Memory) -> None:
    """Give the model in a role what it remembers of these streams (`slots`, as `known` gave them).

    How it did in the past does not count: it may have learned from that very past. Where a stream has been stepped
    since, its state goes on from where it was, and the forecast for a step that is over is dropped.
    """
    expert = part.experts[role]
    scratch = Columns(expert.columns.spec, 1)
    for slot, remembered in zip(slots, memory.streams, strict=True):
        if slot < 0 or not scratch.unpack(0, remembered.row):
            continue
        if scratch["warm"][0] <= expert.columns["warm"][slot]:
            continue  # it has seen more here
        for name, row in scratch:
            if name not in SCORES:
                expert.columns[name][slot] = row[0]
        if part.table["at"][slot] != remembered.at:
            _drop_forecast(expert, slot)


def known(part: FleetPipeline, role: str, memory: Memory) -> list[int]:
    """Slot of each stream of a chunk, −1 where there is none; empty where nobody in the role can use the chunk."""
    expert = part.experts.get(role)
    if expert is None or memory.meaning != meaning_of_columns(part.fleet, expert.model):
        return []
    slots = [part.table.slots.get(remembered.stream, -1) for remembered in memory.streams]
    started = part.table["started"]
    return [slot if slot >= 0 and started[slot] else -1 for slot in slots]


def _drop_forecast(expert: Expert, slot: int) -> None:
    for name, column in expert.columns:
        if name in ("next", "ahead"):
            column[slot] = np.nan


def warm(part: FleetPipeline, chunk: bytes, touch: Callable[[Int64], None]) -> None:
    """Let the model in shadow remember what an event brings; `touch` is told which rows will change."""
    memory = decode(chunk)
    slots = known(part, "shadow", memory)
    if slots:
        touch(np.array([slot for slot in slots if slot >= 0], np.int64))
        recall(part, "shadow", slots, memory)
