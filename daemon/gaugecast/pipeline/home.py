"""Which of a fleet's streams have been announced to Home Assistant; they are with their first step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from gaugecast.fleet import Fleet
from gaugecast.outputs.homeassistant import DiscoveryWriter
from gaugecast.pipeline.batch_result import Outcome
from gaugecast.records import Int64, Output
from gaugecast.streams.columns import Column, Columns
from gaugecast.streams.table import StreamTable

if TYPE_CHECKING:
    from gaugecast.pipeline.fleet_pipeline import FleetPipeline

#: Name of the table of what is remembered.
HOME = "home"
_QOS = 1


class Announcements:
    """Owned by the loop's thread.

    Columns: `announced`, whether a stream has been.
    """

    def __init__(self, fleet: Fleet, capacity: int) -> None:
        self._fleet, self._writer = fleet, DiscoveryWriter(fleet)
        self.columns = Columns((Column("announced", "?"),), capacity)

    def is_there_where(self, other: Announcements) -> bool:
        """Whether both say it in the same place."""
        return self._writer.topic("") == other._writer.topic("")

    def is_that_of(self, other: Announcements) -> bool:
        """Whether both say the same of a stream."""
        return self.is_there_where(other) and self._writer.body("") == other._writer.body("")

    def note(self, slots: Int64, causes: Int64, table: StreamTable, result: Outcome) -> None:
        """Announce those of the streams that have not been, with the inputs that stepped them."""
        new = ~self.columns["announced"][slots]
        if not np.count_nonzero(new):
            return
        self.columns["announced"][slots] = True
        for slot, cause in zip(slots[new].tolist(), causes[new].tolist(), strict=True):
            self.say([table.names[slot] or ""], cause, table, result)

    def say(self, streams: Iterable[str], cause: int, table: StreamTable, result: Outcome) -> None:
        """Announce streams, those of them that there are."""
        for stream in streams:
            slot = table.slots.get(stream)
            if slot is not None:
                self._put(stream, int(table["step"][slot]), self._writer.body(stream), cause, result)

    def take_back(self, streams: Iterable[str], cause: int, result: Outcome) -> None:
        """Let Home Assistant forget streams."""
        for stream in streams:
            self._put(stream, 0, b"", cause, result)

    def _put(self, stream: str, step: int, body: bytes, cause: int, result: Outcome) -> None:
        topic = self._writer.topic(stream)
        result.notices.append(Output(cause, self._fleet.name, stream, step, b"", topic, body, True, _QOS))


def leave(part: FleetPipeline, cause: int, result: Outcome) -> None:
    """A fleet goes: what waits is taken, and its streams are taken back."""
    part.close_all(cause, result)
    take_all_back(part, cause, result)


def take_all_back(part: FleetPipeline, cause: int, result: Outcome) -> None:
    """Let Home Assistant forget all streams of a fleet that are in memory, in the order of their names."""
    if part.home is not None:
        part.home.take_back(sorted(part.table.slots), cause, result)


def succeed_at_home(part: FleetPipeline, old: FleetPipeline, cause: int, result: Outcome) -> None:
    """A fleet is configured anew: what Home Assistant is told of it no more is taken back, or said anew.

    `part` has taken over which streams were announced.
    """
    before, now = old.home, part.home
    if before is not None and (now is None or not now.is_there_where(before)):
        before.take_back(sorted(old.table.slots), cause, result)
    if before is not None and now is not None and not now.is_that_of(before):
        now.columns.clear(slice(None))
