"""The running daemon, from its first lock to its last checkpoint: a thin shell around the core.

`run` reads top to bottom: `startup`, `main_loop` with `on_tick` once a second, `shutdown`.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from contextlib import ExitStack

from gaugecast import __version__
from gaugecast.config.resolve import resolve_fleets
from gaugecast.config.schema import Settings
from gaugecast.control import SOCKET_NAME, Control
from gaugecast.engine.selftest import check_batch_independence, fingerprint
from gaugecast.errors import AddressTaken, StorageError
from gaugecast.files import make_private
from gaugecast.logs import get
from gaugecast.loop.core import Core, Ports, Setup
from gaugecast.loop.orders import TopicFilters
from gaugecast.metrics.exporter import Metrics
from gaugecast.metrics.facts import StreamColumns
from gaugecast.mqtt import Link
from gaugecast.notify import Notifier
from gaugecast.outputs.messages import announcement
from gaugecast.service import reports
from gaugecast.service.allocator import keep_freed_memory
from gaugecast.service.beside import threads_beside
from gaugecast.service.children import console_child, learner_child
from gaugecast.service.commands import Commands
from gaugecast.service.learner_monitor import LearnerMonitor
from gaugecast.service.learning_mode import decide, settled
from gaugecast.service.opening import open_ledger
from gaugecast.service.reload import find_put_away, reload, tell_put_away
from gaugecast.service.reporter import Reporter
from gaugecast.service.transitions import TransitionLog
from gaugecast.service.world import real_ports
from gaugecast.status import FleetStatus, Status
from gaugecast.storage.crash_note import CrashNote
from gaugecast.storage.lock import StateLock
from gaugecast.web import Health, Web, readiness_of

_TICK_S = 1.0
#: A loop that has not turned for so long is stuck, as /healthz says.
_STUCK_S = 30.0
#: The service manager is asked for so much more time whenever the recovery has got on.
_EXTEND_S = 30.0
#: A broker that does not confirm is waited for so long at the end; what it has not confirmed is sent again at a start.
_DRAIN_S = 1.0

log = get("gaugecast")


def run(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; a second signal ends at once. SIGHUP reads the configuration again.

    Raises:
        GaugecastError: With the exit code that the process ends with.
    """
    keep_freed_memory()
    daemon = Daemon(settings)
    daemon.watch_signals()
    with ExitStack() as held:
        daemon.startup(held)
        daemon.main_loop()
        daemon.shutdown()
    log.info("stopped", seq=daemon.core.ledger.last_seq)


class Daemon:
    """One running daemon. All of it belongs to the main thread, which is the loop's; the HTTP threads read what
    `on_tick` has published: `status` and `columns`.

    Args:
        settings: Validated.

    Attributes:
        core: What forecasts; there from `startup` on.
    """

    core: Core

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._stopping = False
        self._reloading = False
        self._ready = False
        self._announced = (0, 0, "")  # epoch of the connection that speaks, reconnects of the one that hears, text
        self._directory = settings.storage.directory
        self._notifier = Notifier()
        self._monitor = LearnerMonitor()
        self._learning = decide(settings.learning)
        self.status = Status(version=__version__)
        self.columns: tuple[StreamColumns, ...] = ()

    def watch_signals(self) -> None:
        """Before READY, too: SIGHUP's default would end the process."""

        def stop(number: int, _frame: object) -> None:
            if self._stopping:
                os._exit(128 + number)
            self.ask_stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        signal.signal(signal.SIGHUP, lambda *_: self.ask_reload())

    def ask_stop(self) -> None:
        """Let the main loop end after this round. Any thread."""
        self._stopping = True

    def ask_reload(self) -> None:
        """Let the configuration be read again between two rounds. Any thread."""
        self._reloading = True

    # -- startup

    def startup(self, held: ExitStack) -> None:
        """Everything up to the first round: lock, self-test, sockets, recovery.

        Args:
            held: What is opened here is closed by it, however the daemon ends. The core is not: `shutdown` closes it,
                and after a failure nothing must be written any more.

        Raises:
            GaugecastError: With the exit code that the process ends with.
        """
        check_batch_independence()
        self._occupy(held)
        self._metrics = Metrics(
            stream_series=self.settings.http.stream_series,
            columns=lambda: self.columns,
            fingerprint=fingerprint(),
        )
        self._web = self._open_web(held)
        notes = CrashNote(self._directory)
        held.callback(notes.close)
        notes.watch_signals()
        if notes.trace:
            log.error("died", trace=notes.trace)
        self.core = Core.open(self._setup(), self._ports(notes), progress=self._tell_progress)
        self._log_recovery()
        log.info("learning", what=str(self._learning))
        self._child = learner_child(self.settings, self._learning)
        self._console = console_child(self.settings)
        self._beside = threads_beside(self._ledger, self._directory)
        self.reporter = Reporter(
            self.core,
            settings=self.settings,
            monitor=self._monitor,
            child=self._child,
            learning=self._learning,
            metrics_url=f"http://{self.settings.http.host}:{self._web.port}/metrics",
        )
        self.reporter.put_away = tell_put_away(find_put_away(self.core.pipeline, self.core.setup.fleets))
        self._transitions = TransitionLog()
        self._commands = Commands(
            self.core, self._monitor, lambda: self.status, put_away=lambda: self.reporter.put_away
        )

    def _occupy(self, held: ExitStack) -> None:
        """Take the state directory for us alone, and be found there."""
        try:
            make_private(self._directory)
            held.callback(StateLock(self._directory).release)
            self._control = Control(self._directory / SOCKET_NAME)
        except OSError as exc:
            raise StorageError(
                f"[storage] directory: expected one that we may make and write, {str(self._directory)!r} says: {exc}; "
                "name another, or run as the user that it belongs to"
            ) from exc
        held.callback(self._control.close)

    def _open_web(self, held: ExitStack) -> Web:
        http = self.settings.http
        try:
            web = Web(
                http.host, http.port, metrics=self._metrics.render, health=self._health,
                readiness=lambda: readiness_of(self.status),
            )  # fmt: skip
        except OSError as exc:
            raise AddressTaken(f"[http] expected {http.host}:{http.port} to be free and ours, got: {exc}") from exc
        web.start()
        held.callback(web.close)
        return web

    def _health(self) -> Health:
        age_s = self._metrics.round_age_s
        return Health(age_s is None or age_s < _STUCK_S, "loop is stuck")

    def _setup(self) -> Setup:
        settings, learning = self.settings, settled(self.settings.learning, self._learning)
        return Setup(resolve_fleets(settings), settings.loop, settings.storage, learning, settings.mqtt.watch_drops)

    def _ports(self, notes: CrashNote) -> Ports:
        """The real world."""
        storage, mqtt = self.settings.storage, self.settings.mqtt

        def dial(wanted: TopicFilters, forget: Sequence[str], resumed: bool) -> Link:
            caller = self._control.fileno()
            return Link(mqtt, wanted.filters, forget=forget, retained=wanted.retained, resumed=resumed, caller=caller)

        self._ledger = open_ledger(storage)
        return real_ports(self._ledger, storage, notes, dial=dial, alive=self._note_alive)

    def _note_alive(self) -> None:
        """A part of a long round is done: neither the watchdog nor /healthz is to take it for a loop that is stuck."""
        self._notifier.beat()
        self._metrics.note_progress()

    def _tell_progress(self, share: float) -> None:
        fleets = {name: FleetStatus() for name in self.settings.fleet}
        self.status = Status(version=__version__, recovered=min(share, 0.999), fleets=fleets)
        self._metrics.set_status(self.status)
        self._notifier.extend_timeout(_EXTEND_S)

    def _log_recovery(self) -> None:
        report = self.core.recovered
        for note in report.notes:
            log.warning("checkpoint", note=note)
        level = log.error if report.differing else log.info
        counted = {"inputs": report.inputs, "outputs": report.outputs, "differing": report.differing}
        level("recovered", checkpoint=report.from_seq, **counted, seconds=round(report.seconds, 3))

    # -- the main loop

    def main_loop(self) -> None:
        """Turn until asked to stop."""
        tick_at_s, connected = 0.0, (False, False)  # as last published: /readyz must not lag behind by a second
        while not self._stopping:
            if self._reloading:
                self._reloading = False
                self.settings = reload(self.core, self.settings, self.reporter, self._notifier)
            facts = self.core.turn()
            self._metrics.observe(facts)
            self.reporter.note_latencies(facts.latencies_s)
            self._commands.answer(self._control.poll())
            now_s, link = time.monotonic(), self.core.link
            now_connected = link.subscriber.connected, link.sender.connected
            if now_s >= tick_at_s or now_connected != connected:
                tick_at_s, connected = now_s + _TICK_S, now_connected
                self.on_tick(now_s)
            self._notifier.beat()

    def on_tick(self, now_s: float) -> None:
        """Once a second: judge the models, publish snapshots for other threads, say READY."""
        self.core.look_after()
        self._monitor.look(now_s, runs=self._child is None or self._child.pid is not None)
        if self._child is not None:
            self._child.watch(now_s, self._monitor.heard_at_s)
        if self._console is not None:
            self._console.watch(now_s)
        self.status = status = self.reporter.look(now_s)
        self._metrics.set_status(status)
        self._transitions.look(status)
        most = self.settings.http.stream_series
        self.columns = tuple(reports.stream_columns(part, most) for part in self.core.pipeline.parts.values())
        self._announce(status)
        self._notifier.status(str(status))
        if not self._ready:
            self._ready = True
            self._notifier.ready(str(status))
            log.info("ready", metrics=status.metrics_url, streams=self.core.pipeline.streams)

    def _announce(self, status: Status) -> None:
        """Put it on the status topic where it is new, or the connection is: each begins with a bare `online`."""
        sender = self.core.link.sender
        news = sender.epoch, self.core.link.subscriber.counters.reconnects_total, announcement(status)
        if sender.connected and news != self._announced:
            self._announced = news
            sender.announce(news[2])

    # -- the end

    def shutdown(self) -> None:
        """Drain, note, checkpoint, close: a restart then replays nothing.

        Whoever ends by himself is asked first, so that all that is waited for together takes three seconds at most.
        """
        self._notifier.stopping("draining")
        children = [child for child in (self._child, self._console) if child is not None]
        for child in children:
            child.ask_to_end()
        for one in self._beside:
            one.ask_to_end()
        self.core.drain(patience_s=_DRAIN_S)
        for one in self._beside:
            one.close()
        self.core.close()
        for child in children:
            child.close()
