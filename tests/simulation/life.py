"""One process of the daemon, from start to crash or end: the real parts, wired as `service.daemon` wires them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from gaugecast import events
from gaugecast.config.schema import Loop, Storage
from gaugecast.fleet import Fleet
from gaugecast.loop.checkpointing import Checkpointer
from gaugecast.loop.clock import ArrivalClock
from gaugecast.loop.protocol import DataLoop
from gaugecast.loop.recovery import recover
from gaugecast.payloads import Decoded, Decoder
from gaugecast.pipeline import Outcome, Pipeline
from gaugecast.pipeline.intake import DELIVERIES
from gaugecast.records import Input, Message, Order
from gaugecast.storage import checkpoints
from gaugecast.storage.checkpoint_writer import InlineCheckpointWriter
from simulation.broker import Broker
from simulation.fleets import MODELLED, model_of
from simulation.journal import Journal, JournaledLedger
from simulation.link import SimLink
from simulation.points import Clock, Points, Violation

#: Room for every stream that there is.
LIMITS = Loop(batch_messages=7, batch_ms=0, max_lag=100, max_streams=15, new_streams_per_s=1000, skill_half_life=30)


#: Of a story in which streams are refused for want of room.
CRAMPED = LIMITS.model_copy(update={"max_streams": 7})


class _PointedDecoder:
    """The decoder, between two points."""

    def __init__(self, decoder: Decoder, points: Points) -> None:
        self._decoder, self._points = decoder, points

    def decode(self, messages: Sequence[Message], received_at_ns: int) -> Decoded:
        self._points("decode:before")
        decoded = self._decoder.decode(messages, received_at_ns)
        self._points("decode:after")
        return decoded


class _PointedPipeline(Pipeline):
    """The pipeline, with a point on each side of `advance`."""

    points: Points

    def advance(self, inputs: Sequence[Input]) -> Outcome:
        self.points("advance:before")
        outcome = super().advance(inputs)
        self.points("advance:after")
        return outcome


def counted(pipeline: Pipeline) -> int:
    """Readings that a pipeline has accounted for in its whole life; those that wait in open ticks included."""
    parts = [part.totals for part in pipeline.parts.values()]
    return sum(t.stepped + t.held + t.late + t.duplicate for t in parts) + sum(pipeline.rejects.values())


class Life:
    """Everything that a crash takes away."""

    def __init__(
        self, directory: Path, fleets: tuple[Fleet, ...], *, broker: Broker, clock: Clock, points: Points,
        journal: Journal, rng: Random, limits: Loop = LIMITS,
    ) -> None:  # fmt: skip
        self.directory, self._clock, self._points, self._limits = directory, clock, points, limits
        storage = Storage(directory=directory, checkpoint_replay_s=0.5, keep_gb=rng.choice((4.0, 1e-5)))
        self.ledger = JournaledLedger.open(directory, storage, mark_every=16, faults=points)
        self.ledger.journal = journal
        self.ledger._connection.execute("PRAGMA synchronous = OFF")
        journal.catch_up(self.ledger)
        clean = self.ledger.begin_run()
        self.pipeline = self._recover()
        self._counted_before = counted(self.pipeline)
        self.writer = InlineCheckpointWriter(directory, storage, faults=points)
        self.checkpointer = Checkpointer(self.pipeline, self.writer, storage, now_s=clock.monotonic())
        self.checkpointer.slice_bytes = 1500  # a stream or two at a time
        self.arrivals = ArrivalClock(self.ledger.received_at_ns, wall=clock.wall, elapsed=clock.elapsed)
        self.link = SimLink(broker, clock, points, rng)
        self._orders = self._configuration(fleets)
        self.loop = DataLoop(
            link=self.link,
            ledger=self.ledger,
            pipeline=self.pipeline,
            decoder=_PointedDecoder(Decoder(fleets, limits), points),
            clock=self.arrivals,
            settings=limits,
            cautious=not clean,
            commands=self._take_orders,
            monotonic=clock.monotonic,
        )

    def _recover(self) -> Pipeline:
        def new_pipeline() -> Pipeline:
            pipeline = _PointedPipeline(self._limits, model_of)
            pipeline.points = Points()  # a replay passes no points
            return pipeline

        pipeline, report = recover(self.directory, self.ledger, new_pipeline)
        if report.differing or report.notes:
            raise Violation(f"I7: {report.differing} of {report.outputs} outputs differ in a replay; {report.notes}")
        assert isinstance(pipeline, _PointedPipeline)
        pipeline.points = self._points
        return pipeline

    def _configuration(self, fleets: tuple[Fleet, ...]) -> list[Input]:
        now_ns = self.arrivals.latest
        made: list[Input] = []
        for fleet in fleets:
            part = self.pipeline.parts.get(fleet.name)
            if part is None or part.fleet.digest() != fleet.digest():
                made.append(Order.configuring(fleet).stamped(now_ns))
            if (part is None or part.in_force is None) and fleet.name in MODELLED:
                made.append(self._install(fleet.name, "1"))
        return made

    def _install(self, fleet: str, version: str) -> Input:
        event = events.ModelInstalled("in_force", version)
        return Order(event, fleet).stamped(self.arrivals.latest)

    def _take_orders(self, _now_ns: int) -> list[Input]:
        orders, self._orders = self._orders, []
        now_ns = self.arrivals.latest
        return [order._replace(received_at_ns=now_ns, at_ns=now_ns) for order in orders]

    def order(self, event: Any, fleet: str, stream: str = "") -> None:
        """Let an event be taken with the next batch."""
        self._orders.append(Order(event, fleet, stream).stamped(0))

    def turn(self) -> None:
        """One round of `Life.main_loop`."""
        self.loop.turn()
        self.checkpointer.add_cost(0.06)
        if not self.loop.holding:
            self.checkpointer.turn(self.ledger.last_seq, self._clock.monotonic())
        self.check()

    def check(self) -> None:
        """The accounting identity and the bounds, after any turn."""
        grown = counted(self.pipeline) - self._counted_before
        if grown != self.loop.received_total:
            raise Violation(f"accounting: {self.loop.received_total} readings received, {grown} accounted for")
        if self.pipeline.streams > self._limits.max_streams:
            raise Violation(f"I8: {self.pipeline.streams} streams in memory, {self._limits.max_streams} allowed")
        if len(self.pipeline.deliveries.as_list()) > DELIVERIES:
            raise Violation("I8: deliveries without bound")
        for name, part in self.pipeline.parts.items():
            live = part.table.live_slots()
            for role, expert in part.experts.items():
                if not bool((abs(expert.columns["state"][live]) < 1e30).all()):
                    raise Violation(f"{name}: a state of {role} is not finite")

    def prune(self) -> None:
        """As `Life.on_tick` does."""
        if not self.loop.holding:
            floor = checkpoints.floor_seq(self.directory)
            if floor:
                self.ledger.prune(floor)

    def shutdown(self) -> None:
        """SIGTERM: as `Daemon.shutdown`."""
        for _ in range(20):
            if self.link.connected and self.loop.publisher.lag:
                self.loop.drain()
        self.loop.settle()
        if not self.loop.holding:
            self.checkpointer.take_whole(self.ledger.last_seq, self._clock.monotonic())
        self.writer.close()
        if not self.loop.holding:
            self.ledger.end_run()
        self.ledger.close()

    def kill(self) -> None:
        """`kill -9`: what the kernel does with open files."""
        connection: sqlite3.Connection = self.ledger._connection
        connection.close()  # rolls back what was not committed
