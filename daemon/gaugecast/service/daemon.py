"""The daemon's life: `startup`, `main_loop`, `on_tick`, `shutdown`."""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import msgspec

from gaugecast import __version__
from gaugecast.config.resolve import resolve_fleets
from gaugecast.config.schema import Settings
from gaugecast.control import SOCKET_NAME, Control, StatusAnswer, StreamsAnswer, StreamsQuery
from gaugecast.engine.selftest import check_batch_independence, fingerprint
from gaugecast.errors import StorageError
from gaugecast.fleet import Fleet
from gaugecast.ledger import checkpoints
from gaugecast.ledger.checkpoint_writer import CheckpointWriter
from gaugecast.ledger.lock import StateLock
from gaugecast.ledger.store import Ledger
from gaugecast.logs import get
from gaugecast.metrics.exporter import Metrics
from gaugecast.metrics.facts import LearnerState, State, StreamColumns
from gaugecast.mqtt import Link
from gaugecast.notify import Notifier
from gaugecast.payloads import Decoder
from gaugecast.pipeline import Pipeline, events
from gaugecast.records import Input
from gaugecast.service import reports
from gaugecast.service.checkpointing import Checkpointer
from gaugecast.service.child import LearnerChild
from gaugecast.service.clock import ArrivalClock
from gaugecast.service.commands import answer_command
from gaugecast.service.keeper import ModelKeeper
from gaugecast.service.loop import DataLoop
from gaugecast.service.models import ModelStore, shipped_model
from gaugecast.service.recovery import Recovered, recover
from gaugecast.service.reload import reload
from gaugecast.topics import Pattern
from gaugecast.web import Health, Web

_TICK_S = 1.0
_PRUNE_S = 10.0
_RATE_WINDOW = 10

log = get("gaugecast")


class Daemon:
    """One running daemon. All methods belong to the main thread, which is the loop's; the HTTP threads read
    `self.published` only.

    Args:
        settings: Validated.
        fleets: Resolved from them.
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
        self.learners: dict[str, LearnerState] = {}  # by fleet, as the learner last said
        self._orders: list[Input] = []
        self._began_s = time.monotonic()
        self._rates: deque[tuple[float, int, int]] = deque(maxlen=_RATE_WINDOW)
        self._latency: deque[float] = deque(maxlen=200)
        self._ready = False
        self._tick_at_s = self._prune_at_s = 0.0

    # -- startup

    def startup(self) -> None:
        """Everything up to the first round: locks, self-test, recovery, sockets.

        Raises:
            GaugecastError: With the exit code that the process ends with.
        """
        check_batch_independence()
        self.directory.mkdir(parents=True, exist_ok=True)
        self.lock = StateLock(self.directory)
        self.notifier = Notifier()
        self.control = Control(self.directory / SOCKET_NAME)
        self.metrics = Metrics(
            [f.name for f in self.fleets],
            stream_series=self.settings.http.stream_series,
            columns=lambda: self.columns,
            fingerprint=fingerprint(),
        )
        self.web = self._open_web()
        self.store = ModelStore(self.directory)
        self.ledger = Ledger.open(self.directory, self.settings.storage)
        clean = self.ledger.begin_run()
        self.pipeline = self._recover()
        self.writer = CheckpointWriter(self.directory, self.settings.storage)
        self.checkpointer = Checkpointer(self.pipeline, self.writer, self.settings.storage, now_s=time.monotonic())
        self.clock = ArrivalClock(self.ledger.received_at_ns)
        self.link = Link(self.settings.mqtt, self.filters(), forget=self._forget(), retained=self.retained_filters())
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
        self._forecasts_before = self._forecasts()  # by earlier processes
        self.keeper = ModelKeeper(self.pipeline, self.store, self.settings.learning)
        self.child = LearnerChild(Path(self.settings.source)) if self.settings.learning.mode == "child" else None
        self._orders += self.configuration_events(self.fleets, self.clock.stamp())

    def _open_web(self) -> Web:
        http = self.settings.http
        web = Web(
            http.host,
            http.port,
            metrics=self.metrics.render,
            health=lambda: Health(self.metrics.round_age_s is None or self.metrics.round_age_s < 30, "loop is stuck"),
            readiness=lambda: Health(self.status.ready, self.status.reason, msgspec.to_builtins(self.status)),
        )
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
            self.notifier.extend_timeout(30.0)

        def new_pipeline() -> Pipeline:
            return Pipeline(self.settings.loop, self.store.load)

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
        """What the fleets read: topic filters with their QoS."""
        return [(Pattern.parse(text).filter, f.input_qos) for f in self.fleets for text in f.subscribe]

    def retained_filters(self) -> list[str]:
        """Those of them for which retained messages count."""
        return [Pattern.parse(text).filter for f in self.fleets if f.accept_retained for text in f.subscribe]

    def _forget(self) -> list[str]:
        """Filters of fleets as the ledger knows them: the broker may still hold our subscription to them."""
        old = [lane.fleet for lane in self.pipeline.lanes.values()]
        return [Pattern.parse(text).filter for f in old for text in f.subscribe]

    def configuration_events(self, fleets: Sequence[Fleet], now_ns: int) -> list[Input]:
        """What these fleets change against what the ledger says is in force."""
        made: list[Input] = []
        wanted = {f.name: f for f in fleets}
        for name in self.pipeline.lanes:
            if name not in wanted:
                made.append(events.event_input(events.FleetRetired(), received_at_ns=now_ns, fleet=name))
        for fleet in fleets:
            lane = self.pipeline.lanes.get(fleet.name)
            if lane is None or lane.fleet.digest() != fleet.digest():
                made.append(events.configured(fleet, received_at_ns=now_ns))
            if lane is None or lane.in_force is None:
                made += self._shipped(fleet, now_ns)
        return made

    def _shipped(self, fleet: Fleet, now_ns: int) -> list[Input]:
        model = shipped_model(fleet)
        if model is None:
            return []
        version = self.store.add(fleet.name, model)
        event = events.ModelInstalled("in_force", version, sha256=model.manifest.sha256, reason="shipped")
        return [events.event_input(event, received_at_ns=now_ns, fleet=fleet.name)]

    # -- the loop

    def main_loop(self) -> None:
        """Turn until asked to stop."""
        while not self.stopping:
            if self.reloading and not self.loop.holding:  # orders must be taken before the next ones are made
                self.reloading = False
                reload(self)
            facts = self.loop.turn()
            self.checkpointer.add_cost(facts.stage_s.get("advance", 0.0))
            now_s = time.monotonic()
            if not self.loop.holding:
                self.checkpointer.turn(self.ledger.last_seq, now_s)
            self.metrics.observe(self.tallies.take(facts))
            self._latency.extend(facts.latencies_s[-20:])
            for command in self.control.poll():
                answer_command(self, command)
            if now_s >= self._tick_at_s:
                self._tick_at_s = now_s + _TICK_S
                self.on_tick(now_s)
            self.notifier.beat()

    def on_tick(self, now_s: float) -> None:
        """Once a second: publish snapshots for other threads, prune, say READY."""
        self._note_rates(now_s)
        self._orders += self.keeper.judge()
        if self.child is not None:
            self.child.watch(now_s)
        state = self._state()
        self.metrics.set_state(state)
        self.columns = tuple(
            reports.stream_columns(lane, self.settings.http.stream_series) for lane in self.pipeline.lanes.values()
        )
        self.status = self._status(state)
        self.notifier.status(self._status_line())
        if not self._ready:
            self._ready = True
            self.notifier.ready(self._status_line())
            log.info("ready", metrics=self.metrics_url, streams=self.pipeline.streams)
        if now_s >= self._prune_at_s and not self.loop.holding:
            floor = checkpoints.floor_seq(self.directory)
            deleted = self.ledger.prune(floor) if floor else 0
            self._prune_at_s = now_s if deleted else now_s + _PRUNE_S

    def _take_orders(self, _now_ns: int) -> list[Input]:
        orders, self._orders = self._orders, []
        if orders:
            self.keeper.taken()
        now_ns = self.clock.latest
        return [order._replace(received_at_ns=now_ns, at_ns=now_ns) for order in orders]

    def order(self, event: Input) -> None:
        """Let an event input be taken with the next batch."""
        self._orders.append(event)

    # -- what is published

    def _state(self) -> State:
        failures = self.writer.failures_total
        degraded = set(self.loop.degraded)
        if self.writer.failure is not None:
            degraded.add("checkpoint")
        usage = os.statvfs(self.directory)
        parked = self.ledger.parked_count()
        lanes = list(self.pipeline.lanes.values())
        return State(
            fleets=tuple(
                reports.fleet_state(lane, parked if len(lanes) == 1 else 0, self.learners.get(lane.fleet.name))
                for lane in lanes
            ),
            ready=self.link.connected,
            recovered=1.0,
            mqtt_connected=self.link.connected,
            mqtt_reconnects_total=self.link.counters.reconnects_total,
            mqtt_session_lost_total=self.link.counters.session_lost_total,
            unconfirmed_outputs=self.loop.publisher.lag,
            outputs_refused_total=self.loop.publisher.refused_total,
            checkpoints_total=self._checkpoints_total,
            checkpoint_failures_total=failures,
            checkpoint_age_s=self._checkpoint_age_s(),
            ledger_bytes=self.ledger.size_bytes,
            disk_free_bytes=usage.f_bavail * usage.f_frsize,
            degraded=frozenset(degraded),
        )

    _checkpoints_total = 0
    _newest_checkpoint = 0

    def _checkpoint_age_s(self) -> float | None:
        if self.writer.completed_seq != self._newest_checkpoint:
            self._newest_checkpoint = self.writer.completed_seq
            self._checkpoints_total += 1
        files = checkpoints.kept_files(checkpoints.folder(self.directory))
        return max(0.0, time.time() - files[-1][1].stat().st_mtime) if files else None

    def _status(self, state: State) -> StatusAnswer:
        broker = f"{self.settings.mqtt.host}:{self.settings.mqtt.port}"
        reason = "" if self.link.connected else f"broker {broker}: {self.link.last_error or 'connecting'}"
        newest, oldest = self._rates[-1], self._rates[0]
        span = newest[0] - oldest[0]
        return StatusAnswer(
            ready=not reason,
            reason=reason,
            version=__version__,
            pid=os.getpid(),
            uptime_s=time.monotonic() - self._began_s,
            broker=broker,
            connected=self.link.connected,
            reconnects_total=state.mqtt_reconnects_total,
            session_lost_total=state.mqtt_session_lost_total,
            readings_total=self.loop.received_total,
            forecasts_total=self._forecasts() - self._forecasts_before,
            rejects_total=sum(self.pipeline.rejects.values()),
            readings_per_s=(newest[1] - oldest[1]) / span if span else None,
            forecasts_per_s=(newest[2] - oldest[2]) / span if span else None,
            latency_s=statistics.median(self._latency) if self._latency else None,
            lag=state.unconfirmed_outputs,
            checkpoint_age_s=state.checkpoint_age_s,
            ledger_bytes=state.ledger_bytes,
            degraded=sorted(state.degraded),
            metrics_url=self.metrics_url,
            fleets=[reports.fleet_status(f) for f in state.fleets],
        )

    def _forecasts(self) -> int:
        return sum(lane.totals.forecasts for lane in self.pipeline.lanes.values())

    def _note_rates(self, now_s: float) -> None:
        self._rates.append((now_s, self.loop.received_total, self._forecasts()))

    def _status_line(self) -> str:
        s = self.status
        rate = "" if s.readings_per_s is None else f", {s.readings_per_s:.0f} readings/s"
        where = "".join(f"; {reason}" for reason in (s.reason, self.fault) if reason)
        return f"{self.pipeline.streams} streams{rate}, {s.lag} unconfirmed{where}"

    def streams_answer(self, query: StreamsQuery) -> StreamsAnswer:
        """Answer to `{"command": "streams"}`."""
        rows, total = reports.stream_rows(self.pipeline, query)
        return StreamsAnswer(rows=rows, total=total, status=self.status)

    # -- the end

    def shutdown(self) -> None:
        """Drain, note, checkpoint, close: a restart then replays nothing."""
        self.notifier.stopping("draining")
        if self.child is not None:
            self.child.close()
        until = time.monotonic() + 5.0
        while self.link.connected and self.loop.publisher.lag and time.monotonic() < until:
            self.loop.drain()
        self.loop.settle()
        if not self.loop.holding:
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


def run(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; a second signal ends at once."""
    daemon = Daemon(settings)

    def stop(number: int, _frame: object) -> None:
        if daemon.stopping:
            os._exit(128 + number)
        daemon.stopping = True

    def ask_reload(_number: int, _frame: object) -> None:
        daemon.reloading = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    signal.signal(signal.SIGHUP, ask_reload)  # before READY, too: its default would end the process
    daemon.startup()
    daemon.main_loop()
    daemon.shutdown()


def require_state(directory: Path) -> Path:
    """The directory, if a daemon has ever run in it.

    Raises:
        StorageError: There is no ledger.
    """
    if not (directory / "ledger.sqlite").exists():
        raise StorageError(f"a state directory with a ledger expected at {directory}, found none")
    return directory
