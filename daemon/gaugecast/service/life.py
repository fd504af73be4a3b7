"""The daemon's life: startup, main loop, tick, shutdown."""

from __future__ import annotations

import os
import signal
import time

from gaugecast.config.schema import Settings
from gaugecast.control import Command
from gaugecast.logs import get
from gaugecast.service import reports
from gaugecast.service.commands import answer_command
from gaugecast.service.daemon import Daemon
from gaugecast.service.reload import reload
from gaugecast.service.reporter import Reporter
from gaugecast.service.transitions import TransitionLog

_TICK_S = 1.0

log = get("gaugecast")


def run(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; a second signal ends at once. SIGHUP reads the configuration again."""
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
    Life(daemon).main_loop()
    daemon.shutdown()


class Life:
    """Turns a daemon that has started, in the one thread that owns it."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._reporter = Reporter(daemon)
        self._diary = TransitionLog(f"{daemon.settings.mqtt.host}:{daemon.settings.mqtt.port}")
        self._ready = False
        self._connected = False  # as last published: /readyz must not lag behind by a second
        self._tick_at_s = 0.0
        self._waiting: list[Command] = []  # one at most, for an engine that is being loaded

    def main_loop(self) -> None:
        """Turn until asked to stop."""
        daemon = self._daemon
        while not daemon.stopping:
            if daemon.reloading and not daemon.loop.holding:  # orders must be taken before the next ones are made
                daemon.reloading = False
                reload(daemon)
            facts = daemon.loop.turn()
            daemon.checkpointer.add_cost(facts.stage_s.get("advance", 0.0))
            now_s = time.monotonic()
            if not daemon.loop.holding:
                daemon.checkpointer.turn(daemon.ledger.last_seq, now_s)
            daemon.metrics.observe(daemon.tallies.take(facts))
            self._reporter.note_latencies(facts.latencies_s)
            self._answer_commands()
            if now_s >= self._tick_at_s or daemon.link.connected != self._connected:
                self._tick_at_s, self._connected = now_s + _TICK_S, daemon.link.connected
                self.on_tick(now_s)
            daemon.notifier.beat()

    def _answer_commands(self) -> None:
        commands = [*self._waiting, *self._daemon.control.poll()]
        waiting = [command for command in commands if not answer_command(self._daemon, command)]
        self._waiting = waiting[:1]
        for late in waiting[1:]:
            late.refuse(f"{late.name}: an engine is being loaded for another command; ask again")

    def on_tick(self, now_s: float) -> None:
        """Once a second: judge the models, publish snapshots for other threads, prune, say READY."""
        daemon = self._daemon
        for event in daemon.keeper.judge():
            daemon.order(event)
        daemon.news.look(now_s)
        if daemon.child is not None:
            daemon.child.watch(now_s, daemon.news.heard_at_s)
        state = self._reporter.state()
        daemon.metrics.set_state(state)
        self._diary.look(
            state,
            fault=daemon.link.last_error,
            checkpoint_failure=daemon.writer.failure,
            wal_failure=daemon.writer.wal_failure,
        )
        most = daemon.settings.http.stream_series
        daemon.columns = tuple(reports.stream_columns(part, most) for part in daemon.pipeline.parts.values())
        daemon.status = self._reporter.status(state, now_s)
        line = self._reporter.line(daemon.status)
        daemon.notifier.status(line)
        if not self._ready:
            self._ready = True
            daemon.notifier.ready(line)
            log.info("ready", metrics=daemon.metrics_url, streams=daemon.pipeline.streams)
        daemon.prune(now_s)
