"""The daemon's own account of itself, once a second: the one place where the status tree is built."""

from __future__ import annotations

import errno
import os
import statistics
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import TypeVar

import msgspec

from gaugecast import __version__
from gaugecast.config.exposure import warn_of_exposure
from gaugecast.config.schema import Settings
from gaugecast.errors import GaugecastError
from gaugecast.loop.core import Core
from gaugecast.pipeline.batch_result import Totals
from gaugecast.pipeline.fleet_pipeline import FleetPipeline
from gaugecast.service import anomalies, foretold, reports
from gaugecast.service.children import Child
from gaugecast.service.learner_monitor import LearnerMonitor
from gaugecast.service.learning_mode import START_UNIT
from gaugecast.status import (
    BrokerStatus,
    FleetCounts,
    FleetStatus,
    LearningStatus,
    PublishingStatus,
    Rates,
    Status,
    StorageStatus,
)
from gaugecast.storage import checkpoints
from gaugecast.storage.backup import last_backup_s

#: Rates are means over so many looks.
_RATE_WINDOW = 10
#: The median latency is over so many messages.
_LATENCIES = 200

_T = TypeVar("_T")


class Reporter:
    """Looks at a running daemon; owned by the loop's thread. Made after the recovery: what it counts begins here.

    Args:
        core: The daemon's core; read are its link, loop, publisher, pipeline, ledger, writer, roles and directory.
        monitor: What the learner told.
        child: The learner as a child of ours.
        learning: Whether anything is learned, and by whom.
        clock: Monotonic seconds.

    Attributes:
        settings: Those in force; a reload puts the new ones here.
        reload_refused: Why the last reload changed nothing; a reload says.
        put_away: Of models in force that the last reload, or this start, had no place for: what is told, by fleet.
    """

    def __init__(
        self,
        core: Core,
        *,
        settings: Settings,
        monitor: LearnerMonitor,
        child: Child | None,
        learning: LearningStatus | None = None,
        metrics_url: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.reload_refused: str | None = None
        self.put_away: dict[str, str] = {}
        self._core, self._monitor, self._child = core, monitor, child
        self._learning = learning or LearningStatus()
        self._metrics_url, self._began_s = metrics_url, clock()
        self._heard_at_s = self._began_s  # when we were last connected to what sends readings
        self._totals_at_start: dict[str, Totals] = core.pipeline.totals()
        self._rejects_at_start: Counter[tuple[str, str]] = core.pipeline.rejects.copy()
        self._rates: deque[tuple[float, int, int]] = deque(maxlen=_RATE_WINDOW)
        self._latencies: deque[float] = deque(maxlen=_LATENCIES)
        self._checkpoints_total = self._checkpoint_seq = 0
        self._faults: list[str] = []

    def note_latencies(self, latencies_s: Sequence[float]) -> None:
        """Arrival to publish, of some of the messages of a round."""
        self._latencies.extend(latencies_s[-20:])

    def look(self, now_s: float) -> Status:
        """The daemon at `now_s`, monotonic. Raises nothing that a disk or a lack of descriptors could cause."""
        fleets = self._fleets(now_s)
        broker, publishing = self._broker(now_s), self._publishing()
        storage = self._storage()  # the last: it takes the faults of all
        return Status(
            version=__version__,
            pid=os.getpid(),
            uptime_s=now_s - self._began_s,
            recovered=1.0,
            broker=broker,
            publishing=publishing,
            storage=storage,
            rates=self._rates_of(fleets, now_s),
            fleets=fleets,
            learning=self._learning_now(),
            skill_half_life=self._core.pipeline.limits.skill_half_life,
            degraded=self._degraded(broker, publishing, storage),
            reload_refused=self.reload_refused,
            put_away=list(self.put_away.values()),
            warnings=warn_of_exposure(self.settings),
            metrics_url=self._metrics_url,
        )

    def _learning_now(self) -> LearningStatus:
        """A unit that has never spoken is most likely not enabled."""
        if self._monitor.heard:
            return msgspec.structs.replace(self._learning, heard=True)
        if self._learning.mode != "unit":
            return self._learning
        return msgspec.structs.replace(self._learning, why=f"not heard of yet ({START_UNIT})")

    def _broker(self, now_s: float) -> BrokerStatus:
        side, mqtt = self._core.link.subscriber, self.settings.mqtt
        if side.connected:
            self._heard_at_s = now_s
        return BrokerStatus(
            address=f"{mqtt.host}:{mqtt.port}",
            connected=side.connected,
            error=side.last_error,
            away=now_s - self._heard_at_s > mqtt.keepalive_s,
            deaf=side.deaf,
            lowered=side.lowered,
            reconnects_total=side.counters.reconnects_total,
            session_lost_total=side.counters.session_lost_total,
            dropped_total=self._core.loop.asides.dropped_total,
        )

    def _publishing(self) -> PublishingStatus:
        side, publisher, mqtt = self._core.link.sender, self._core.publisher, self.settings.mqtt.publishing
        return PublishingStatus(
            address=f"{mqtt.host}:{mqtt.port}",
            connected=side.connected,
            error=side.last_error,
            reconnects_total=side.counters.reconnects_total,
            mute=publisher.mute,
            unkept=side.unkept,
            unconfirmed=publisher.lag,
            refused_total=publisher.refused_total,
            refused_rows=self._ask("refused outputs", lambda: int(self._core.ledger.refused_count)),
            latency_s=statistics.median(self._latencies) if self._latencies else None,
        )

    def _storage(self) -> StorageStatus:
        core, writer = self._core, self._core.writer
        if writer.completed_seq != self._checkpoint_seq:
            self._checkpoint_seq = writer.completed_seq
            self._checkpoints_total += 1
        return StorageStatus(
            holding=self._holding(),
            ledger_bytes=self._ask("ledger", self._ledger_bytes),
            disk_free_bytes=self._ask("state directory", self._disk_free_bytes),
            quarantine_rows=self._ask("refused readings", lambda: int(core.ledger.quarantine_count)),
            damaged_total=core.ledger.damages.total,
            damage=core.ledger.damages.newest,
            checkpoint_age_s=self._ask("checkpoints", self._checkpoint_age_s),
            backup_age_s=self._ask("last backup", self._backup_age_s),
            checkpoints_total=self._checkpoints_total,
            checkpoint_failures_total=writer.failures_total,
            checkpoint_failure=None if writer.failure is None else str(writer.failure),
            wal_copy_failures_total=writer.wal_failures_total,
            wal_failure=None if writer.wal_failure is None else str(writer.wal_failure),
            fault=self._take_faults(),
        )

    def _holding(self) -> str | None:
        loop = self._core.loop
        if not loop.holding:
            return None
        if "storage_busy" not in loop.degraded:
            return "no room on the disk: a batch waits"
        remote = self.settings.storage.postgres
        return f"{'PostgreSQL does not answer' if remote else 'another process has the ledger locked'}: a batch waits"

    def _degraded(self, broker: BrokerStatus, publishing: PublishingStatus, storage: StorageStatus) -> list[str]:
        also = {
            "checkpoint": storage.checkpoint_failure is not None,
            "damaged": storage.damage is not None,
            "qos": broker.lowered is not None,
            "refused": publishing.refused_rows is not None and publishing.refused_rows > 0,
            "storage_fault": storage.fault is not None,
        }
        return sorted({*self._core.loop.degraded, *(reason for reason, holds in also.items() if holds)})

    # -- what asks the system, which may say no

    def _ask(self, what: str, read: Callable[[], _T]) -> _T | None:
        """A fact, or `None` and a note: what only reports must not end the loop."""
        try:
            return read()
        except (OSError, GaugecastError) as exc:
            self._faults.append(f"{what}: {getattr(exc, 'strerror', None) or exc}")
            return None

    def _take_faults(self) -> str | None:
        taken, self._faults = self._faults, []
        return "; ".join(taken) if taken else None

    def _ledger_bytes(self) -> int:
        size = int(self._core.ledger.size_bytes)
        if size <= 0:
            raise FileNotFoundError(errno.ENOENT, "its file is not where it was")
        return size

    def _disk_free_bytes(self) -> int:
        usage = os.statvfs(self._core.directory)
        return usage.f_bavail * usage.f_frsize

    def _checkpoint_age_s(self) -> float | None:
        files = checkpoints.kept_files(checkpoints.folder(self._core.directory))
        return max(0.0, time.time() - files[-1][1].stat().st_mtime) if files else None

    def _backup_age_s(self) -> float | None:
        at_s = last_backup_s(self._core.directory)
        return None if at_s is None else max(0.0, time.time() - at_s)

    # -- fleets: totals now minus what they were at the start

    def _fleets(self, now_s: float) -> dict[str, FleetStatus]:
        parts: dict[str, FleetPipeline] = self._core.pipeline.parts
        counts = self._counts()
        return {
            name: self._fleet(name, parts[name], counts[name], now_s)
            if name in parts
            else FleetStatus(counts=counts[name])
            for name in counts
        }

    def _fleet(self, name: str, part: FleetPipeline, counts: FleetCounts, now_s: float) -> FleetStatus:
        standing = self._core.roles.standing(name)
        ended = 0 if self._child is None else self._child.failures_total
        learner = self._monitor.state(name, now_s, failures=ended + standing.refused_total)
        if learner is not None and learner.steps_left is not None:
            learner = msgspec.structs.replace(learner, eta_s=reports.time_for(part, learner.steps_left))
        return FleetStatus(
            counts=counts,
            streams=reports.streams_of(part),
            model=None if part.in_force is None else part.in_force.version,
            shadow=reports.shadow_of(part, self._core.roles.trial(part)),
            features=reports.scores_of(part),
            learner=learner,
            crossings=foretold.threshold_statuses(part),
            anomalies=anomalies.status_of(part),
            rollbacks_total=standing.rollbacks_total,
            never_came=reports.never_came(part),
        )

    def _counts(self) -> dict[str, FleetCounts]:
        """Of what is configured or at work, and of all else of which this process has counted anything."""
        pipeline = self._core.pipeline
        received: Counter[str] = self._core.loop.received
        totals: dict[str, Totals] = pipeline.totals()
        rejects: dict[str, dict[str, int]] = {}
        for (fleet, reason), count in (pipeline.rejects - self._rejects_at_start).items():
            rejects.setdefault(fleet, {})[reason] = count
        shown = dict.fromkeys([*self.settings.fleet, *pipeline.parts])
        made = {}
        for name in dict.fromkeys([*shown, *totals, *received, *rejects]):
            now, before = totals.get(name, Totals()), self._totals_at_start.get(name, Totals())
            if name in shown or now != before or name in received or name in rejects:
                counts = _counts_of(now, before, received.get(name, 0), rejects.get(name, {}))
                made[name] = msgspec.structs.replace(counts, not_ours=self._core.loop.not_ours[name])
        return made

    def _rates_of(self, fleets: dict[str, FleetStatus], now_s: float) -> Rates:
        readings = sum(fleet.counts.received for fleet in fleets.values())
        forecasts = sum(fleet.counts.forecasts for fleet in fleets.values())
        self._rates.append((now_s, readings, forecasts))
        then_s, readings_then, forecasts_then = self._rates[0]
        span_s = now_s - then_s
        if span_s <= 0:
            return Rates()
        return Rates(
            readings_per_s=(readings - readings_then) / span_s, forecasts_per_s=(forecasts - forecasts_then) / span_s
        )


_GROWING = {f.name for f in fields(Totals)} & set(FleetCounts.__struct_fields__) - {"held"}


def _counts_of(now: Totals, before: Totals, received: int, rejects: dict[str, int]) -> FleetCounts:
    grown = {name: int(getattr(now, name) - getattr(before, name)) for name in sorted(_GROWING)}
    return FleetCounts(received=received, held=now.held, held_at_start=before.held, rejects=rejects, **grown)
