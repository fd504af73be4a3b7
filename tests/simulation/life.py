"""One process of the daemon, from start to crash or end: the shipped core in a world that fails on command."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from random import Random

from gaugecast.config.schema import Learning, Loop, Storage
from gaugecast.fleet import Fleet
from gaugecast.loop.core import Core, Ports, Setup
from gaugecast.loop.engines import EngineLoader
from gaugecast.loop.orders import TopicFilters
from gaugecast.loop.ports import Decodes
from gaugecast.payloads import Decoded, Decoder
from gaugecast.pipeline import Outcome, Pipeline
from gaugecast.pipeline.intake import DELIVERIES
from gaugecast.pipeline.pipeline import ModelLoader
from gaugecast.records import Input, Message
from gaugecast.storage.checkpoint_writer import InlineCheckpointWriter
from gaugecast.storage.crash_note import CrashNote
from gaugecast.testing import Clock
from simulation.broker import Broker
from simulation.fleets import LIMITS, LINEAGE, Weights, shipped
from simulation.journal import Journal, JournaledLedger
from simulation.link import SimLink
from simulation.points import Points, Violation

#: Of a story in which streams are refused for want of room.
CRAMPED = LIMITS.model_copy(update={"max_streams": 7})
#: In days: what is parked is soon let go of.
_TEN_SECONDS = 10 / 86_400
#: Nothing is put in force or taken back by chance of when somebody looks: only by command.
LEARNING = Learning(promote_after=10**6)
#: A batch takes so long, so that a checkpoint is due after some.
_ADVANCE_S = 0.06
#: A stream or two in one slice of a checkpoint, and in one batch of what a newcomer remembers.
_SLICE_BYTES, _BATCH_BYTES = 1500, 300


class _PointedDecoder:
    """The decoder, between two points."""

    def __init__(self, decoder: Decoder, points: Points) -> None:
        self._decoder, self._points = decoder, points

    def decode(self, messages: Sequence[Message], received_at_ns: int, most: int) -> Decoded:
        self._points("decode:before")
        decoded = self._decoder.decode(messages, received_at_ns, most)
        self._points("decode:after")
        return decoded


class _PointedPipeline(Pipeline):
    """The pipeline, with a point on each side of `advance`, once the recovery is over."""

    points: Points | None = None
    clock: Clock

    def advance(self, inputs: Sequence[Input]) -> Outcome:
        if self.points is None:
            return super().advance(inputs)
        self.points("advance:before")
        self.clock.advance(_ADVANCE_S)
        outcome = super().advance(inputs)
        self.points("advance:after")
        return outcome


def counted(pipeline: Pipeline) -> int:
    """Readings that a pipeline has accounted for in its whole life; those that wait in open ticks included."""
    totals = [*(part.totals for part in pipeline.parts.values()), *pipeline.retired.values()]
    return sum(t.stepped + t.held + t.late + t.duplicate + t.same_period for t in totals) + sum(
        pipeline.rejects.values()
    )


class Life:
    """Everything that a crash takes away.

    Attributes:
        core: The shipped one.
    """

    def __init__(
        self, directory: Path, fleets: tuple[Fleet, ...], *, broker: Broker, clock: Clock, points: Points,
        journal: Journal, rng: Random, weights: Weights, limits: Loop = LIMITS,
    ) -> None:  # fmt: skip
        self._clock, self._points, self._limits = clock, points, limits
        storage = Storage(
            directory=directory, checkpoint_replay_s=0.5, keep_gb=rng.choice((4.0, 1e-5)),
            keep_days=rng.choice((14.0, _TEN_SECONDS)),
        )  # fmt: skip
        ledger = JournaledLedger.open(directory, storage, segment_rows=16, faults=points)
        assert isinstance(ledger, JournaledLedger)
        ledger.journal, ledger.clock = journal, clock
        self.ledger, self._notes = ledger, CrashNote(directory)
        self._writers: list[InlineCheckpointWriter] = []
        self.link = SimLink(broker, clock, points, rng)
        self.setup = Setup(fleets, limits, storage, LEARNING)
        try:
            self._recover(directory, weights)
        except BaseException:
            self.kill()
            raise

    def _recover(self, directory: Path, weights: Weights) -> None:
        """What the process does before its first turn."""
        self.ledger._connection.execute("PRAGMA synchronous = OFF")
        self.ledger.journal.catch_up(self.ledger)
        self.core = Core.open(self.setup, self._ports(directory, self.setup.storage, weights))
        recovered, pipeline = self.core.recovered, self.core.pipeline
        if recovered.differing or recovered.notes:
            raise Violation(f"I7: {recovered.differing} outputs differ in a replay; {recovered.notes}")
        assert isinstance(pipeline, _PointedPipeline)
        pipeline.points = self._points
        self.core.checkpointer.slice_bytes, self.core.orders.batch_bytes = _SLICE_BYTES, _BATCH_BYTES
        self._counted_before = counted(pipeline)

    def _ports(self, directory: Path, storage: Storage, weights: Weights) -> Ports:
        def dial(wanted: TopicFilters, forget: Sequence[str], _resumed: bool) -> SimLink:
            self.link.subscriber.dial(wanted.filters, forget)
            return self.link

        def new_pipeline(limits: Loop, models: ModelLoader) -> Pipeline:
            pipeline = _PointedPipeline(limits, models)
            pipeline.clock = self._clock
            return pipeline

        def new_decoder(fleets: Sequence[Fleet], limits: Loop) -> Decodes:
            return _PointedDecoder(Decoder(fleets, limits), self._points)

        def new_writer() -> InlineCheckpointWriter:
            made = InlineCheckpointWriter(directory, storage, lambda: self.ledger.first_seq, faults=self._points)
            self._writers.append(made)
            return made

        return Ports(
            ledger=self.ledger,
            dial=dial,
            writer=new_writer,
            store=weights,
            notes=self._notes,
            shipped=shipped,
            new_pipeline=new_pipeline,
            new_decoder=new_decoder,
            engines=EngineLoader(),
            wall=self._clock.wall,
            elapsed=self._clock.elapsed,
            monotonic=self._clock.monotonic,
            alive=lambda: self._points("advance:part"),
            new_lineage=lambda: LINEAGE,
        )

    def turn(self) -> None:
        """One round of the daemon's main loop."""
        self.core.turn()
        self.check()

    def reconfigure(self, fleets: tuple[Fleet, ...]) -> None:
        """SIGHUP, with other fleets in the file."""
        self.core.reconfigure(Setup(fleets, self._limits, self.setup.storage, LEARNING))

    def check(self) -> None:
        """The accounting identity and the bounds, after any turn."""
        pipeline, received = self.core.pipeline, self.core.loop.received.total()
        grown = counted(pipeline) - self._counted_before + self.core.loop.not_ours.total()
        if grown != received:
            raise Violation(f"accounting: {received} readings received, {grown} accounted for")
        if pipeline.streams > self._limits.max_streams:
            raise Violation(f"I8: {pipeline.streams} streams in memory, {self._limits.max_streams} allowed")
        if len(pipeline.deliveries.as_list()) > DELIVERIES:
            raise Violation("I8: deliveries without bound")
        for name, part in pipeline.parts.items():
            live = part.table.live_slots()
            for role, expert in part.experts.items():
                if not bool((abs(expert.columns["state"][live]) < 1e30).all()):
                    raise Violation(f"{name}: a state of {role} is not finite")

    def shutdown(self) -> None:
        """SIGTERM."""
        self.core.drain()
        self.core.close()
        self._notes.close()

    def kill(self) -> None:
        """`kill -9`: what the kernel does with open files."""
        connection: sqlite3.Connection = self.ledger._connection
        connection.close()  # rolls back what was not committed
        self._notes.close()
        for writer in self._writers:
            if writer._open is not None:
                writer._open._file.close()
