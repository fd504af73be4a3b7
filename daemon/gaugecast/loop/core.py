"""What forecasts, put together once: the daemon runs this core, and so does the simulation.

A core takes its ledger, its broker, its disk and its clocks by port (`Ports`), so that what is tested is what is
shipped. All of it belongs to one thread.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from gaugecast.config.schema import Learning, Loop, Storage
from gaugecast.engine.selftest import fingerprint
from gaugecast.errors import StorageBusy, StorageFull
from gaugecast.events import Event, FleetConfigured, LineageBegun
from gaugecast.fleet import Fleet
from gaugecast.forecast.message import SCHEMA
from gaugecast.logs import get
from gaugecast.loop.checkpointing import Checkpointer
from gaugecast.loop.clock import ArrivalClock, Past, elapsed_ns
from gaugecast.loop.engines import EngineLoader
from gaugecast.loop.micro_batch import RoundFacts
from gaugecast.loop.model_roles import ModelRoles
from gaugecast.loop.models import LossyLoader, shipped_model
from gaugecast.loop.orders import Configuration, Orders, TopicFilters
from gaugecast.loop.poison_guard import PoisonGuard
from gaugecast.loop.ports import CoreLedger, Decodes, LoopLink, Models, Notes, Writer
from gaugecast.loop.protocol import DataLoop
from gaugecast.loop.publisher import Publisher
from gaugecast.loop.recovery import Recovered, machine_of, recover
from gaugecast.model import Model
from gaugecast.payloads import Decoder
from gaugecast.pipeline import Pipeline
from gaugecast.pipeline.pipeline import ModelLoader
from gaugecast.records import Order
from gaugecast.storage import checkpoints
from gaugecast.topics import Pattern

#: Sealing and pruning are looked after so often, or after so many readings, and go on with each round while there is
#: something to do.
_PRUNE_S, _PRUNE_ROWS = 10.0, 4096
#: For each reading that comes so many rows are gone through; one is, four or five times, until it is sealed and gone.
_PRUNE_SHARE = 6
#: So long the checkpoint writer is waited for at the end.
_WRITER_S = 30.0

log = get("gaugecast")


@dataclass(frozen=True, slots=True)
class Setup:
    """What the configuration says of a core.

    Attributes:
        watch_drops: Ask the broker how many messages it dropped.
    """

    fleets: tuple[Fleet, ...]
    loop: Loop
    storage: Storage
    learning: Learning
    watch_drops: bool = False

    @property
    def subscriptions(self) -> TopicFilters:
        """What is asked of the broker for these fleets."""
        return TopicFilters.of(self.fleets, watch_drops=self.watch_drops)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What a core needs of the world. The daemon gives it the real one; the simulation one that fails on command.

    Attributes:
        ledger: Open, and ours alone.
        dial: The link to the broker for these subscriptions. `forget`: filters that the broker may still hold for us;
            `resumed`: an earlier process had a session.
        writer: Of checkpoints.
        store: The weights.
        notes: What is being taken just now, for the next process.
        shipped: The model that comes with the package for a fleet.
        new_pipeline, new_decoder: Made anew at the start, and for each configuration.
        engines: Loads engines that take seconds.
        wall, elapsed: Nanoseconds: Unix time, and a clock that is never set.
        monotonic: Seconds.
        alive: Told in between that a long round gets on.
        new_lineage: Names what a new ledger, or one of 0.1.0, goes on as; empty = nothing is named.
    """

    ledger: CoreLedger
    dial: Callable[[TopicFilters, Sequence[str], bool], LoopLink]
    writer: Callable[[], Writer]
    store: Models
    notes: Notes
    shipped: Callable[[Fleet], Model | None] = shipped_model
    new_pipeline: Callable[[Loop, ModelLoader], Pipeline] = Pipeline
    new_decoder: Callable[[Sequence[Fleet], Loop], Decodes] = Decoder
    engines: EngineLoader
    wall: Callable[[], int] = time.time_ns
    elapsed: Callable[[], int] = elapsed_ns
    monotonic: Callable[[], float] = time.monotonic
    alive: Callable[[], None] = lambda: None
    new_lineage: Callable[[], str] = lambda: ""


class Core:
    """Ledger, pipeline, loop, publisher, checkpoints, roles of models and orders, wired once. One thread.

    Attributes:
        setup: What is configured, or will be as soon as the loop takes it.
        recovered: How the recovery went.
        roles: Which weights forecast; its verbs give orders.
    """

    def __init__(self, setup: Setup, ports: Ports, *, pipeline: Pipeline, recovered: Recovered, cautious: bool) -> None:
        self.setup, self.recovered = setup, recovered
        self.directory: Path = setup.storage.directory
        self.ledger, self.pipeline, self._ports = ports.ledger, pipeline, ports
        self._monotonic = ports.monotonic
        self.orders = Orders()
        past = Past.of(self.ledger, pipeline.clock_ahead_ns)
        self.clock = ArrivalClock(past, wall=ports.wall, elapsed=ports.elapsed)
        self.writer = ports.writer()
        self.checkpointer = Checkpointer(pipeline, self.writer, setup.storage, now_s=ports.monotonic())
        self.roles = ModelRoles(
            pipeline, ports.store, setup.learning, pending=self.orders.pending, engines=ports.engines
        )
        told = [(fleet, event) for _, fleet, event in self.ledger.events()]
        self.roles.remember(told)
        known = self._known_filters(event for _, event in told)
        self.link = ports.dial(setup.subscriptions, known, self.ledger.last_position > 0)
        self.loop = DataLoop(
            link=self.link,
            ledger=self.ledger,
            pipeline=pipeline,
            decoder=ports.new_decoder(setup.fleets, setup.loop),
            clock=self.clock,
            settings=setup.loop,
            guard=PoisonGuard(ports.notes, over=not cautious),
            orders=self._take_orders,
            ordered=lambda: len(self.orders) > 0,
            monotonic=ports.monotonic,
            alive=ports.alive,
        )
        self._prune_at_s, self._unlooked = 0.0, 0

    @classmethod
    def open(cls, setup: Setup, ports: Ports, *, progress: Callable[[float], None] = lambda _: None) -> Self:
        """Bring back what the last process left, and stand ready for the first `turn`.

        Args:
            setup: What is configured now; what it changes is taken with the first batch.
            ports: The world.
            progress: Told the share of the recovery that is done, 0…1.

        Raises:
            StorageError: The ledger or all checkpoints cannot be read.
        """
        ledger = ports.ledger
        clean = ledger.begin_run()
        lossy = LossyLoader(ports.store)
        pipeline, recovered = recover(
            setup.storage.directory,
            ledger,
            lambda: ports.new_pipeline(setup.loop, lossy),
            same_machine=machine_of(ledger, fingerprint()),
            progress=progress,
        )
        ledger.note_fingerprint(fingerprint())
        core = cls(setup, ports, pipeline=pipeline, recovered=recovered, cautious=not clean)
        core.reconfigure(setup, before=[*core._lineage_orders(), *core.roles.loss_orders(lossy.lost)])
        return core

    # -- the loop

    def turn(self) -> RoundFacts:
        """One round of the commit protocol, a slice of a checkpoint if one is due, some sealing and pruning."""
        facts = self.loop.turn()
        self.checkpointer.cost.add(facts.inputs, facts.stage_s.get("advance", 0.0))
        if not self.loop.holding:
            self.checkpointer.turn(self.ledger.last_seq, self._monotonic())
            self._prune(len(facts.inputs))
        return facts

    def look_after(self) -> None:
        """Now and then, between two rounds: judge the models, and announce streams to who has come to hear of them."""
        for order in (*self.roles.judge(), *self.loop.asides.announcements(self.pipeline)):
            self.order(order)

    def order(self, order: Order) -> None:
        """Let an event be taken with the next batch."""
        self.orders.add(order)

    def reconfigure(self, setup: Setup, *, before: Sequence[Order] = ()) -> None:
        """Let another configuration be taken, in line with the orders: decoder and pipeline change together.

        Args:
            setup: Only fleets, `[loop]` limits that bear on results, and subscriptions are put in force.
            before: Orders that are taken in the same batch, before it.

        Raises:
            GaugecastError: It cannot be compiled; nothing changes.
        """
        decoder = self._ports.new_decoder(setup.fleets, setup.loop)
        self.orders.add(Configuration(setup.fleets, setup.loop, decoder, setup.subscriptions, before))
        self.setup = setup

    @property
    def publisher(self) -> Publisher:
        """Sends what was committed."""
        return self.loop.publisher

    # -- the end

    def drain(self, *, patience_s: float = 5.0) -> None:
        """Take nothing more; publish what is durable and note what was confirmed."""
        until = self._monotonic() + patience_s
        while self.link.sender.connected and self.publisher.lag and self._monotonic() < until:
            self.loop.drain()
        self.loop.settle()

    def close(self) -> None:
        """A last checkpoint, and everything closed: a restart then replays nothing.

        A batch that waits for room is given up: its messages are not acked, the broker sends them again.
        """
        whole = not self.loop.holding
        if whole:
            self.checkpointer.give_up()  # else the writer would wait for slices that nobody cuts any more
            self.writer.wait(timeout_s=_WRITER_S)
            self.checkpointer.take_whole(self.ledger.last_seq, self._monotonic())
            self.writer.wait(timeout_s=_WRITER_S)
        self.writer.close()
        self.link.close(0.0)  # `drain` has waited for as long as anybody waits
        if whole:
            self.ledger.end_run()
        self.ledger.close()

    # -- between

    def _take_orders(self) -> list[Order]:
        """For the loop, before it decodes: from here on everything is read and stepped by what is returned."""
        configuration, orders = self.orders.take()
        if configuration is None:
            return orders
        self.roles.make_room(configuration.fleets)
        orders = list(configuration.orders(self.pipeline, self._shipped, self.roles.former))
        self.loop.read_by(configuration.decoder, configuration.fleets)
        wanted = configuration.subscriptions
        self.link.subscriber.resubscribe(wanted.filters, retained=wanted.retained)
        return orders

    def _lineage_orders(self) -> list[Order]:
        """The first event of a ledger that has no lineage yet, or whose messages have an earlier shape."""
        lineage, before = self.pipeline.lineage or self._ports.new_lineage(), self.pipeline
        if lineage == before.lineage and before.schema >= SCHEMA:
            return []
        reason = "message schema" if before.lineage else "new ledger"
        return [Order(LineageBegun(lineage, reason=reason, schema=SCHEMA))]

    def _shipped(self, fleet: Fleet) -> Model | None:
        model = self._ports.shipped(fleet)
        if model is not None:
            try:
                self._ports.store.add(fleet.name, model)
            except OSError as exc:  # no room, or no right: persistence beats an end
                log.error("shipped model not stored", fleet=fleet.name, why=str(exc))
                return None
        return model

    def _known_filters(self, told: Iterable[Event]) -> list[str]:
        """Filters of all fleets that the ledger knows: the broker may still hold our subscription to them.

        Also of those that have left: perhaps while the broker was away, and nobody has told it since.
        """
        fleets = [part.fleet for part in self.pipeline.parts.values()]
        fleets += [Fleet.from_json(event.spec) for event in told if isinstance(event, FleetConfigured)]
        return list(dict.fromkeys(Pattern.parse(text).filter for fleet in fleets for text in fleet.subscribe))

    def _prune(self, inputs: int) -> None:
        """Seal what is confirmed and let go of what is too old, if it is time: as much as keeps up with what comes.

        A disk that is full, locked or away only puts it off.
        """
        now_s = self._monotonic()
        self._unlooked += inputs
        if now_s < self._prune_at_s and self._unlooked < _PRUNE_ROWS:
            return
        self._prune_at_s, self._unlooked = now_s + _PRUNE_S, 0
        floor_seq, rows = checkpoints.floor_seq(self.directory), inputs * _PRUNE_SHARE
        with contextlib.suppress(StorageFull, StorageBusy, OSError):
            while (gone := self.ledger.prune(floor_seq)) > 0:
                rows -= gone
                if rows <= 0:
                    self._prune_at_s = now_s
                    break
