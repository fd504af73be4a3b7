"""The daemon's parts: put together at `startup`, let go at `shutdown`. Between the two, `life` turns it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence

import msgspec

from gaugecast import events
from gaugecast.config.resolve import resolve_fleets
from gaugecast.config.schema import Settings
from gaugecast.control import SOCKET_NAME, Control, StatusAnswer, Streams, StreamsAnswer
from gaugecast.engine.selftest import check_batch_independence, fingerprint
from gaugecast.errors import AddressTaken, StorageBusy, StorageError, StorageFull
from gaugecast.fleet import Fleet
from gaugecast.ledger.reader import oldest_input
from gaugecast.ledger.schema import FILE_NAME
from gaugecast.ledger.store import Ledger
from gaugecast.ledger.wal import WalCopier
from gaugecast.logs import get
from gaugecast.loop.checkpointing import Checkpointer
from gaugecast.loop.clock import ArrivalClock
from gaugecast.loop.model_roles import ModelRoles
from gaugecast.loop.models import LossyLoader, shipped_model
from gaugecast.loop.protocol import DataLoop
from gaugecast.loop.recovery import Recovered, recover
from gaugecast.metrics.exporter import Metrics
from gaugecast.metrics.facts import State, StreamColumns
from gaugecast.mqtt import Link
from gaugecast.notify import Notifier
from gaugecast.payloads import Decoder
from gaugecast.pipeline import Pipeline
from gaugecast.records import Input, Order
from gaugecast.service import reports
from gaugecast.service.learner_child import learner_child
from gaugecast.service.learner_monitor import LearnerMonitor
from gaugecast.service.sweep import Sweeper
from gaugecast.storage import checkpoints
from gaugecast.storage.checkpoint_writer import CheckpointWriter
from gaugecast.storage.lock import StateLock
from gaugecast.storage.models import ModelStore
from gaugecast.topics import Pattern
from gaugecast.topics.system import SYS_DROPPED
from gaugecast.web import Health, Web

#: What a newcomer remembers of thousands of streams is megabytes: so much of it goes into one batch.
_ORDERED_BYTES = 512 << 10
_PRUNE_S = 10.0

log = get("gaugecast")


class Daemon:
    """One running daemon. All methods belong to the main thread, which is the loop's; the HTTP threads read
    `self.published` only.

    Args:
        settings: Validated.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.fleets = resolve_fleets(settings)
        self.directory = settings.storage.directory
        self.stopping = False
        self.reloading = False
        self.fault = ""  # what stays to be said in the status line
        self.status = StatusAnswer(ready=False, reason="starting")
        self.columns: tuple[StreamColumns, ...] = ()
        self.news = LearnerMonitor()
        self._orders: list[Input] = []
        self._prune_at_s = 0.0

    # -- startup

    def startup(self) -> None:
        """Everything up to the first round: locks, self-test, recovery, sockets.

        Raises:
            GaugecastError: With the exit code that the process ends with.
        """
        check_batch_independence()
        self._occupy()
        self.notifier = Notifier()
        self.metrics = Metrics(
            [f.name for f in self.fleets],
            stream_series=self.settings.http.stream_series,
            columns=lambda: self.columns,
            fingerprint=fingerprint(),
        )
        self.web = self._open_web()
        self.store = ModelStore(self.directory)
        self.models = LossyLoader(self.store)
        self.ledger = Ledger.open(self.directory, self.settings.storage)
        clean = self.ledger.begin_run()
        self.pipeline = self._recover()
        self.writer = CheckpointWriter(
            self.directory,
            self.settings.storage,
            lambda: oldest_input(self.directory),
            WalCopier(self.directory / FILE_NAME),
        )
        self.checkpointer = Checkpointer(self.pipeline, self.writer, self.settings.storage, now_s=time.monotonic())
        self.clock = ArrivalClock(self.ledger.received_at_ns)
        self.link = Link(
            self.settings.mqtt,
            self.filters(),
            forget=self._forget(),
            retained=self.retained_filters(),
            resumed=self.ledger.last_position > 0,  # who has forecast has had a session
        )
        self.loop = DataLoop(
            link=self.link,
            ledger=self.ledger,
            pipeline=self.pipeline,
            decoder=Decoder(self.fleets, self.settings.loop),
            clock=self.clock,
            settings=self.settings.loop,
            cautious=not clean,
            commands=self._take_orders,
        )
        self.tallies = reports.Tallies(self.pipeline)
        self.keeper = ModelRoles(self.pipeline, self.store, self.settings.learning)
        self.keeper.remember((fleet, event) for _, fleet, event in self.ledger.events())
        self.child = learner_child(self.settings)
        self.sweeper = Sweeper(self.directory)
        self._orders += self.keeper.loss_events(self.models.lost)
        self._orders += self.configuration_events(self.fleets, self.clock.stamp())

    def _occupy(self) -> None:
        """Take the state directory for us alone, and be found there."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            self.lock = StateLock(self.directory)
            self.control = Control(self.directory / SOCKET_NAME)
        except OSError as exc:
            raise StorageError(
                f"[storage] directory: expected one that we may make and write, {str(self.directory)!r} says: {exc}"
            ) from exc

    def _open_web(self) -> Web:
        http = self.settings.http
        try:
            web = Web(
                http.host,
                http.port,
                metrics=self.metrics.render,
                health=lambda: Health(
                    self.metrics.round_age_s is None or self.metrics.round_age_s < 30, "loop is stuck"
                ),
                readiness=lambda: Health(self.status.ready, self.status.reason, msgspec.to_builtins(self.status)),
            )
        except OSError as exc:
            raise AddressTaken(f"[http] expected {http.host}:{http.port} to be free and ours, got: {exc}") from exc
        web.start()
        self.metrics_url = f"http://{http.host}:{web.port}/metrics"
        return web

    def _recover(self) -> Pipeline:
        today = fingerprint()
        known = self.ledger.fingerprints()
        self.ledger.note_fingerprint(today)

        def same_machine(seq: int) -> bool:
            before = [text for first, text in known if first <= seq]
            return not before or before[-1] == today

        def progress(share: float) -> None:
            self.status = StatusAnswer(ready=False, reason=f"recovering {100 * share:.0f} %")
            self.metrics.set_state(
                State(
                    recovered=share,
                    unconfirmed_outputs=self.ledger.last_position - self.ledger.confirmed,
                    ledger_bytes=self.ledger.size_bytes,
                )
            )
            self.notifier.extend_timeout(30.0)

        def new_pipeline() -> Pipeline:
            return Pipeline(self.settings.loop, self.models)

        progress(0.0)
        pipeline, report = recover(
            self.directory, self.ledger, new_pipeline, same_machine=same_machine, progress=progress
        )
        self._log_recovery(report)
        return pipeline

    def _log_recovery(self, report: Recovered) -> None:
        for note in report.notes:
            log.warning("checkpoint", note=note)
        level = log.error if report.differing else log.info
        level(
            "recovered",
            checkpoint=report.from_seq,
            inputs=report.inputs,
            outputs=report.outputs,
            differing=report.differing,
            seconds=round(report.seconds, 3),
        )

    def filters(self) -> list[tuple[str, int]]:
        """What the fleets read, and the broker's count of drops: topic filters with their QoS."""
        ours = [(Pattern.parse(text).filter, f.input_qos) for f in self.fleets for text in f.subscribe]
        return [*ours, (SYS_DROPPED, 0)] if self.settings.mqtt.watch_drops else ours

    def retained_filters(self) -> list[str]:
        """Those of them for which retained messages count."""
        return [Pattern.parse(text).filter for f in self.fleets if f.accept_retained for text in f.subscribe]

    def _forget(self) -> list[str]:
        """Filters of fleets as the ledger knows them: the broker may still hold our subscription to them."""
        old = [part.fleet for part in self.pipeline.parts.values()]
        return [Pattern.parse(text).filter for f in old for text in f.subscribe]

    def configuration_events(self, fleets: Sequence[Fleet], now_ns: int) -> list[Input]:
        """What these fleets change against what the ledger says is in force."""
        made: list[Input] = []
        limits = events.limits_of(self.settings.loop)
        if not self.pipeline.limits_told or self.pipeline.limits != limits:
            made.append(Order(limits).stamped(now_ns))
        gone = [name for name in self.pipeline.parts if name not in {f.name for f in fleets}]
        made += [Order(events.FleetRetired(), name).stamped(now_ns) for name in gone]
        for fleet in fleets:
            part = self.pipeline.parts.get(fleet.name)
            if part is None or part.fleet.digest() != fleet.digest():
                made.append(Order.configuring(fleet).stamped(now_ns))
            if part is None or part.in_force is None:
                made += self._shipped(fleet, now_ns)
        return made

    def _shipped(self, fleet: Fleet, now_ns: int) -> list[Input]:
        model = shipped_model(fleet)
        if model is None:
            return []
        try:
            version = self.store.add(fleet.name, model)
        except OSError as exc:  # no room, or no right: persistence beats an end
            log.error("shipped model not stored", fleet=fleet.name, why=str(exc))
            return []
        event = events.ModelInstalled("in_force", version, sha256=model.manifest.sha256, reason="shipped")
        return [Order(event, fleet.name).stamped(now_ns)]

    # -- between two batches

    def prune(self, now_s: float) -> None:
        """Let go of what is too old, if it is time, a little; a full or locked disk only puts it off."""
        if now_s < self._prune_at_s or self.loop.holding:
            return
        self._prune_at_s = now_s + _PRUNE_S
        floor = checkpoints.floor_seq(self.directory)
        with contextlib.suppress(StorageFull, StorageBusy):
            if floor and self.ledger.prune(floor):
                self._prune_at_s = now_s

    def _take_orders(self, _now_ns: int) -> list[Input]:
        count = _affordable(self._orders)
        orders, self._orders = self._orders[:count], self._orders[count:]
        if orders and not self._orders:
            self.keeper.taken()
        now_ns = self.clock.latest
        return [order._replace(received_at_ns=now_ns, at_ns=now_ns) for order in orders]

    def order(self, event: Input) -> None:
        """Let an event input be taken with the next batch."""
        self._orders.append(event)

    def streams_answer(self, query: Streams) -> StreamsAnswer:
        """Answer to `{"command": "streams"}`."""
        rows, total = reports.stream_rows(self.pipeline, query)
        return StreamsAnswer(rows=rows, total=total, status=self.status)

    # -- the end

    def shutdown(self) -> None:
        """Drain, note, checkpoint, close: a restart then replays nothing."""
        self.notifier.stopping("draining")
        self.sweeper.close()
        if self.child is not None:
            self.child.close()
        until = time.monotonic() + 5.0
        while self.link.connected and self.loop.publisher.lag and time.monotonic() < until:
            self.loop.drain()
        self.loop.settle()
        if not self.loop.holding:
            self.checkpointer.give_up()  # else the writer would wait for slices that nobody cuts any more
            self.writer.wait(timeout_s=30.0)
            self.checkpointer.take_whole(self.ledger.last_seq, time.monotonic())
            self.writer.wait(timeout_s=30.0)
        self.writer.close()
        self.link.close()
        self.web.close()
        self.control.close()
        if not self.loop.holding:
            self.ledger.end_run()
        self.ledger.close()
        self.lock.release()
        log.info("stopped", seq=self.ledger.last_seq)


def _affordable(orders: Sequence[Input]) -> int:
    """How many of the orders, from the first on, one batch can take; at least one."""
    total = 0
    for count, order in enumerate(orders):
        total += len(order.values)
        if count and total > _ORDERED_BYTES:
            return count
    return len(orders)
