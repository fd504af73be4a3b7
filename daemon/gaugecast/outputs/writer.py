"""One writer a shape, all asked alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import UNSET

from gaugecast.fleet import Fleet
from gaugecast.forecast.templates import HOLE, pieces_of
from gaugecast.outputs.flat import FlatWriter
from gaugecast.outputs.influx import InfluxWriter
from gaugecast.outputs.messages import Batch
from gaugecast.outputs.numbers import NumberWriter
from gaugecast.outputs.told import Messages, Told
from gaugecast.shapes import Shape
from gaugecast.topics import output_topic


class ShapeWriter:
    """Writes one fleet's messages in one shape."""

    def __init__(self, fleet: Fleet, shape: Shape) -> None:
        self.fleet, self.shape = fleet, shape
        self._topic = output_topic(shape.topic, fleet.name, HOLE).split(HOLE)
        self._numbers = NumberWriter(fleet, shape) if shape.format == "number" else None
        self._bodies = _bodies_of(fleet, shape)

    def messages(self, told: Told) -> Messages:
        """What goes out for each step by itself."""
        if self._numbers is not None:
            return self._numbers.messages(told)
        bodies = self._bodies(told)
        rows = [row for row, body in enumerate(bodies) if body]
        topics = [told.streams[row].join(self._topic) for row in rows]
        return Messages(rows, topics, bodies if len(rows) == len(bodies) else [bodies[row] for row in rows])

    def parts(self, told: Told) -> list[bytes]:
        """What each step adds to the message of its batch; empty of one of which nothing is known."""
        return self._bodies(told)

    def batch(self, parts: Sequence[bytes], *, lineage: str, first_seq: int) -> bytes:
        """The message of a batch; `first_seq` is the ledger's number of its first input, which names it."""
        if self.shape.format == "influx":
            return b"\n".join(parts)
        told = Batch(fleet=self.fleet.name, lineage=lineage or UNSET, batch=first_seq, forecasts=[HOLE])
        return b",".join(parts).join(pieces_of(told))


def _bodies_of(fleet: Fleet, shape: Shape) -> Callable[[Told], list[bytes]]:
    if shape.format == "flat":
        return FlatWriter(fleet, named=shape.batch).bodies
    return InfluxWriter(fleet).bodies if shape.format == "influx" else lambda told: told.bodies()
