"""The daemon's own account of itself, once a second: gauges, `status`, and the line that systemd shows."""

from __future__ import annotations

import os
import statistics
import time
from collections import deque
from collections.abc import Sequence

from gaugecast import __version__
from gaugecast.control import StatusAnswer
from gaugecast.metrics.facts import FleetState, LearnerState, State
from gaugecast.pipeline.fleet_pipeline import FleetPipeline
from gaugecast.service import reports
from gaugecast.service.daemon import Daemon
from gaugecast.storage import checkpoints

#: Rates are means over so many seconds.
_RATE_WINDOW = 10
#: The median latency is over so many messages.
_LATENCIES = 200


class Reporter:
    """Looks at a running `Daemon`; owned by the loop's thread."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._began_s = time.monotonic()
        self._rates: deque[tuple[float, int, int]] = deque(maxlen=_RATE_WINDOW)
        self._latencies: deque[float] = deque(maxlen=_LATENCIES)
        self._forecasts_before = self._forecasts()  # by earlier processes
        self._rejects_before = sum(daemon.pipeline.rejects.values())
        self._checkpoints_total = 0
        self._checkpoint_seq = 0

    def note_latencies(self, latencies_s: Sequence[float]) -> None:
        """Arrival to publish, of some of the messages of a round."""
        self._latencies.extend(latencies_s[-20:])

    def state(self) -> State:
        """For the gauges."""
        daemon = self._daemon
        degraded = set(daemon.loop.degraded)
        if daemon.writer.failure is not None:
            degraded.add("checkpoint")
        refused_rows = daemon.ledger.refused_count
        if refused_rows:
            degraded.add("refused")
        usage = os.statvfs(daemon.directory)
        counters = daemon.link.counters
        return State(
            fleets=tuple(self._fleet(name, part) for name, part in daemon.pipeline.parts.items()),
            ready=daemon.link.connected,
            recovered=1.0,
            mqtt_connected=daemon.link.connected,
            mqtt_reconnects_total=counters.reconnects_total,
            mqtt_session_lost_total=counters.session_lost_total,
            broker_dropped_total=daemon.loop.broker_dropped_total,
            unconfirmed_outputs=daemon.loop.publisher.lag,
            outputs_refused_total=daemon.loop.publisher.refused_total,
            refused_rows=refused_rows,
            quarantine_rows=daemon.ledger.quarantine_count,
            checkpoint_failures_total=daemon.writer.failures_total,
            wal_copy_failures_total=daemon.writer.wal_failures_total,
            checkpoint_age_s=self._checkpoint_age_s(),
            checkpoints_total=self._checkpoints_total,
            ledger_bytes=daemon.ledger.size_bytes,
            disk_free_bytes=usage.f_bavail * usage.f_frsize,
            degraded=frozenset(degraded),
        )

    def _fleet(self, name: str, part: FleetPipeline) -> FleetState:
        daemon = self._daemon
        return reports.fleet_state(
            part,
            self._learner(name),
            held_at_start=daemon.tallies.held_at_start.get(name, 0),
            rollbacks=daemon.keeper.standing(name).rollbacks_total,
        )

    def _learner(self, fleet: str) -> LearnerState | None:
        daemon = self._daemon
        ended = 0 if daemon.child is None else daemon.child.failures_total
        refused = daemon.keeper.standing(fleet).refused_total
        return daemon.news.state(fleet, time.monotonic(), failures=ended + refused)

    def status(self, state: State, now_s: float) -> StatusAnswer:
        """For `gaugecast status` and /readyz."""
        daemon, link = self._daemon, self._daemon.link
        broker = f"{daemon.settings.mqtt.host}:{daemon.settings.mqtt.port}"
        reason = "" if link.connected else f"broker {broker}: {link.last_error or 'connecting'}"
        forecasts = self._forecasts() - self._forecasts_before
        readings = daemon.loop.received_total
        self._rates.append((now_s, readings, forecasts))
        then_s, readings_then, forecasts_then = self._rates[0]
        span_s = now_s - then_s
        return StatusAnswer(
            ready=not reason,
            reason=reason,
            version=__version__,
            pid=os.getpid(),
            uptime_s=time.monotonic() - self._began_s,
            broker=broker,
            connected=link.connected,
            reconnects_total=state.mqtt_reconnects_total,
            session_lost_total=state.mqtt_session_lost_total,
            readings_total=readings,
            forecasts_total=forecasts,
            rejects_total=sum(daemon.pipeline.rejects.values()) - self._rejects_before,
            readings_per_s=(readings - readings_then) / span_s if span_s > 0 else None,
            forecasts_per_s=(forecasts - forecasts_then) / span_s if span_s > 0 else None,
            latency_s=statistics.median(self._latencies) if self._latencies else None,
            lag=state.unconfirmed_outputs,
            checkpoint_age_s=state.checkpoint_age_s,
            ledger_bytes=state.ledger_bytes,
            quarantine_rows=state.quarantine_rows,
            degraded=sorted(state.degraded),
            metrics_url=daemon.metrics_url,
            fleets=[reports.fleet_status(f) for f in state.fleets],
        )

    def line(self, status: StatusAnswer) -> str:
        """For systemd's STATUS."""
        rate = "" if status.readings_per_s is None else f", {status.readings_per_s:.0f} readings/s"
        where = "".join(f"; {reason}" for reason in (status.reason, self._daemon.fault) if reason)
        return f"{self._daemon.pipeline.streams} streams{rate}, {status.lag} unconfirmed{where}"

    def _forecasts(self) -> int:
        return sum(part.totals.forecasts for part in self._daemon.pipeline.parts.values())

    def _checkpoint_age_s(self) -> float | None:
        daemon = self._daemon
        if daemon.writer.completed_seq != self._checkpoint_seq:
            self._checkpoint_seq = daemon.writer.completed_seq
            self._checkpoints_total += 1
        files = checkpoints.kept_files(checkpoints.folder(daemon.directory))
        return max(0.0, time.time() - files[-1][1].stat().st_mtime) if files else None
