"""From what was said of steps to messages in the fleet's shapes; those of a batch wait for its end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import gt
from typing import NamedTuple

from gaugecast.batch import Outputs
from gaugecast.fleet import Fleet
from gaugecast.forecast.body import BodyWriter
from gaugecast.forecast.message import SCHEMA
from gaugecast.outputs.told import Messages, Told
from gaugecast.outputs.writer import ShapeWriter
from gaugecast.records import Output
from gaugecast.shapes import Shape


class Voice(BodyWriter):
    """Writes one fleet's messages in all of its shapes.

    Attributes:
        shapes: Their writers; empty where JSON alone is said.
    """

    def __init__(self, fleet: Fleet, lineage: str = "", *, schema: int = SCHEMA) -> None:
        super().__init__(fleet, lineage, schema=schema)
        self.shapes = [ShapeWriter(fleet, shape) for shape in fleet.shapes]


class Cut(NamedTuple):
    """The end of a batch: the input that says so, the number of the batch's first input, and the lineage by then."""

    cause: int
    first_seq: int
    lineage: str


class Waiting(NamedTuple):
    """What a shape's next batch has so far: the inputs that made its parts, and these."""

    writer: ShapeWriter
    causes: list[int]
    parts: list[bytes]

    def in_order(self) -> list[bytes]:
        """The parts in the order of their inputs; empty ones left out."""
        parts = self.parts
        if any(map(gt, self.causes, self.causes[1:])):
            parts = [self.parts[place] for place in sorted(range(len(parts)), key=self.causes.__getitem__)]
        return [part for part in parts if part] if b"" in parts else parts

    def cut(self, end: int) -> tuple[Waiting, Waiting]:
        """What came before an input, and what came behind it."""
        before, behind = Waiting(self.writer, [], []), Waiting(self.writer, [], [])
        for cause, part in zip(self.causes, self.parts, strict=True):
            one = before if cause < end else behind
            one.causes.append(cause)
            one.parts.append(part)
        return before, behind


class Batches:
    """What waits for the end of its batch. Nothing does between two commits: each ends with a cut."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, int, Shape], Waiting] = {}

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self._waiting)

    def add(self, number: int, writer: ShapeWriter, causes: Sequence[int], parts: Sequence[bytes]) -> None:
        """Let parts wait, made by the inputs at `causes`; `number` is the shape's place in the fleet."""
        waiting = self._waiting.setdefault((writer.fleet.name, number, writer.shape), Waiting(writer, [], []))
        waiting.causes.extend(causes)
        waiting.parts.extend(parts)

    def end(self, cuts: Sequence[Cut]) -> Iterator[Output]:
        """The messages of the batches that end; what is left over belongs to the next inputs."""
        for cut in cuts:
            for key in sorted(self._waiting, key=lambda key: key[:2]):
                yield from self._ended(key, cut)
        for waiting in self._waiting.values():
            parts = waiting.in_order()
            waiting.parts[:], waiting.causes[:] = parts, [-1] * len(parts)

    def _ended(self, key: tuple[str, int, Shape], cut: Cut) -> Iterator[Output]:
        waiting = self._waiting.pop(key)
        if max(waiting.causes, default=-1) > cut.cause:
            waiting, self._waiting[key] = waiting.cut(cut.cause)
        parts = waiting.in_order()
        if parts:
            shape = waiting.writer.shape
            body = waiting.writer.batch(parts, lineage=cut.lineage, first_seq=cut.first_seq)
            topic = next(shape.topics(key[0], "", features=(), spans=()))
            yield Output(cut.cause, key[0], "", cut.first_seq, b"", topic, body, shape.retain, shape.qos)


def shaped(voice: Voice, told: Told, *, causes: Sequence[int], forecasts: Sequence[bytes], batches: Batches) -> Outputs:
    """Messages of steps, in all shapes but those of a batch.

    Args:
        voice: Of the fleet.
        told: The steps (N).
        causes: The inputs that made them.
        forecasts: Their numbers, as the ledger keeps them with the first message of each.
        batches: Takes what waits for the end of the batch.
    """
    outputs, kept = Outputs(), forecasts
    for number, writer in enumerate(voice.shapes):
        if writer.shape.batch:
            batches.add(number, writer, causes, writer.parts(told))
            continue
        outputs.extend(_outputs(writer, told, writer.messages(told), causes=causes, forecasts=kept))
        kept = ()
    return outputs


def _outputs(
    writer: ShapeWriter, told: Told, messages: Messages, *, causes: Sequence[int], forecasts: Sequence[bytes]
) -> Outputs:
    rows, count = messages.rows, len(messages.rows)
    kept = [b""] * count
    if forecasts:
        kept = [b"" if place and rows[place - 1] == row else forecasts[row] for place, row in enumerate(rows)]
    return Outputs(
        [causes[row] for row in rows],
        [writer.fleet.name] * count,
        [told.streams[row] for row in rows],
        [told.steps[row] for row in rows],
        kept,
        messages.topics,
        messages.bodies,
        [writer.shape.retain] * count,
        [writer.shape.qos] * count,
    )
