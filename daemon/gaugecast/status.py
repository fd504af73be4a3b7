"""What the daemon says of itself: one frozen tree, built once a second, and read by everything that tells of it.

`/metrics`, `/readyz`, `gaugecast status` and `watch`, the log, the status topic and systemd's line read this tree and
nothing else. As JSON it is what `{"command": "status"}` answers. What cannot be known is null, never 0 or NaN.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from gaugecast.counts import FleetCounts as FleetCounts
from gaugecast.counts import add_up
from gaugecast.lessons import LearnerStatus as LearnerStatus
from gaugecast.lessons import LearningStatus as LearningStatus
from gaugecast.lessons import Shadow as Shadow
from gaugecast.lessons import tell
from gaugecast.scores import AnomalyStatus as AnomalyStatus
from gaugecast.scores import ExpertStatus as ExpertStatus
from gaugecast.scores import FeatureStatus as FeatureStatus
from gaugecast.scores import ThresholdStatus as ThresholdStatus

#: Why the daemon works with less than it should: the closed set that labels `gaugecast_degraded`.
DEGRADED_REASONS = (
    "storage_full",  # commits wait for space
    "storage_busy",  # another process holds the ledger, or its database does not answer
    "storage_fault",  # the state directory cannot be looked at
    "damaged",  # rows or pages of the ledger are not those that were written
    "lag",  # too many unconfirmed outputs: reading waits while the broker confirms some
    "checkpoint",  # the last checkpoint failed
    "refused",  # forecasts that the broker refused wait to be offered again
    "quarantine",  # redelivered messages are taken one a commit after an unclean exit
    "qos",  # a subscription was granted at QoS 0 where 1 was asked: what we are away for is lost
)

#: What it does: the closed set that labels `gaugecast_doing`.
VERBS = ("starting", "recovering", "holding", "deaf", "mute", "forecasting")


class Doing(msgspec.Struct, frozen=True):
    """What the daemon does, in one word, and why where it does not forecast.

    Attributes:
        verb: `starting`, `recovering`, `holding` (what was taken waits for the disk), `deaf` (readings cannot
            reach us), `mute` (forecasts cannot leave us) or `forecasting`.
    """

    verb: str = "starting"
    why: str = ""

    def __str__(self) -> str:
        return f"{self.verb}: {self.why}" if self.why else self.verb


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One of our two connections; totals are of this process.

    Attributes:
        address: `localhost:1883`.
        error: Why the last connection or attempt ended.
    """

    address: str = ""
    connected: bool = False
    error: str | None = None
    reconnects_total: int = 0


class BrokerStatus(Side, frozen=True, kw_only=True):
    """The connection that subscribes.

    Attributes:
        away: It has been gone for longer than the keepalive: no forecast is of now.
        deaf: Which subscription the broker refused, or has not answered.
        lowered: Which it granted at a lower QoS than was asked.
        session_lost_total: Connections on which the broker had forgotten our session.
        dropped_total: Messages that the broker dropped, by its own count.
    """

    away: bool = False
    deaf: str | None = None
    lowered: str | None = None
    session_lost_total: int = 0
    dropped_total: int | None = None


class PublishingStatus(Side, frozen=True, kw_only=True):
    """The connection that publishes, and forecasts on their way out.

    Attributes:
        mute, unkept: Why the broker does not take them; why nothing of it is there for those who come later.
        unconfirmed: Durable forecasts that the broker has not confirmed.
        refused_total: Those that it refused, or that expired, in this process.
        refused_rows: Those that wait to be offered again.
        latency_s: Median from arrival to publish.
    """

    mute: str | None = None
    unkept: str | None = None
    unconfirmed: int = 0
    refused_total: int = 0
    refused_rows: int | None = None
    latency_s: float | None = None


class StorageStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The state directory; totals are of this process.

    Attributes:
        holding: Why a batch waits to be written: nothing is read until it is.
        fault: What could not be found out about the directory, and why.
        quarantine_rows: Refused readings that are kept.
        damaged_total: Places in the ledger that were found damaged.
        damage: Which was found last, and is still there.
        backup_age_s: Since the last backup was finished; null where none was made of this directory.
        checkpoint_failure, wal_failure: Why the newest checkpoint, the last copy of the write-ahead log failed.
    """

    holding: str | None = None
    fault: str | None = None
    ledger_bytes: int | None = None
    disk_free_bytes: int | None = None
    quarantine_rows: int | None = None
    damaged_total: int = 0
    damage: str | None = None
    backup_age_s: float | None = None
    checkpoint_age_s: float | None = None
    checkpoints_total: int = 0
    checkpoint_failures_total: int = 0
    checkpoint_failure: str | None = None
    wal_copy_failures_total: int = 0
    wal_failure: str | None = None


class StreamCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many streams a fleet has; a stale one is active too, but silent for `stale_after`."""

    active: int = 0
    parked: int = 0
    stale: int = 0


class FleetStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One fleet. One that has left, or the fleet `""` of messages that belong to none, has counts alone.

    Attributes:
        streams: null where the fleet is not at work.
        model: Version of the weights in force; null = persistence.
        rollbacks_total: How often weights in force were taken back.
        anomalies: null where nobody looks for them.
        never_came: Features that no stream has brought so far, often as they have spoken.
    """

    counts: FleetCounts = FleetCounts()
    streams: StreamCounts | None = None
    model: str | None = None
    shadow: Shadow | None = None
    features: dict[str, FeatureStatus] = {}
    learner: LearnerStatus | None = None
    rollbacks_total: int = 0
    crossings: list[ThresholdStatus] = []
    anomalies: AnomalyStatus | None = None
    never_came: list[str] = []

    @property
    def absent(self) -> str:
        """Which features never came, in words; empty where all did."""
        if not self.never_came:
            return ""
        whose = "is its" if len(self.never_came) == 1 else "are their"
        return f"{', '.join(self.never_came)} never came: {whose} `path` right? The others go on"

    @property
    def lesson(self) -> str:
        """How far its learning is, in words; empty where nothing is learned, or all of it is in force."""
        return tell(self.model, self.shadow, self.learner)


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """Means over the last seconds; null before the second look."""

    readings_per_s: float | None = None
    forecasts_per_s: float | None = None


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The daemon now.

    Attributes:
        doing: Made of the rest of the tree, wherever it is built, read or changed.
        recovered: Share of the replay at start that is done; null before it begins, 1 when the loop turns.
        fleets: By name; `""`: messages of which no fleet could be told.
        learning: Whether anything is learned here, and by whom.
        skill_half_life: Steps after which an error counts half in a skill.
        degraded: Those of `DEGRADED_REASONS` that hold now, sorted.
        reload_refused: Why the last reload changed nothing.
        put_away: Models that the last reload, or the start, had no place for, and how they come back.
        warnings: What in the configuration should be mended although it works: secrets that others can read.
        metrics_url: Where /metrics is.
    """

    doing: Doing = Doing()
    version: str = ""
    pid: int | None = None
    uptime_s: float | None = None
    recovered: float | None = None
    broker: BrokerStatus = BrokerStatus()
    publishing: PublishingStatus = PublishingStatus()
    storage: StorageStatus = StorageStatus()
    rates: Rates = Rates()
    fleets: dict[str, FleetStatus] = {}
    learning: LearningStatus = LearningStatus()
    skill_half_life: float = 500.0
    degraded: list[str] = []
    reload_refused: str | None = None
    put_away: list[str] = []
    warnings: list[str] = []
    metrics_url: str = ""

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "doing", _decide(self))

    def __str__(self) -> str:
        """One line, as systemd shows it."""
        active = sum(streams.active for _, _, streams in self.at_work())
        rate = "" if self.rates.readings_per_s is None else f", {self.rates.readings_per_s:.0f} readings/s"
        troubles = (None if self.ready else str(self.doing), self.reload_refused)
        where = "".join(f"; {trouble}" for trouble in troubles if trouble is not None)
        return f"{active} streams{rate}, {self.publishing.unconfirmed} unconfirmed{where}"

    @property
    def ready(self) -> bool:
        """Whether it forecasts."""
        return self.doing.verb == "forecasting"

    @property
    def total(self) -> FleetCounts:
        """The counts of all fleets together."""
        return add_up(fleet.counts for fleet in self.fleets.values())

    def at_work(self) -> Iterator[tuple[str, FleetStatus, StreamCounts]]:
        """The fleets that are configured and have begun, with their streams."""
        for name, fleet in self.fleets.items():
            if fleet.streams is not None:
                yield name, fleet, fleet.streams


def _decide(status: Status) -> Doing:
    """What the daemon does. Whatever waits for the disk hides what the broker does, and so on downwards."""
    if status.recovered is None:
        return Doing("starting")
    if status.recovered < 1:
        return Doing("recovering", f"{int(100 * status.recovered)} %")
    if status.storage.holding is not None:
        return Doing("holding", status.storage.holding)
    broker, publishing = status.broker, status.publishing
    if not broker.connected:
        return Doing("deaf", f"not connected to broker {broker.address}: {broker.error or 'connecting'}")
    if broker.deaf is not None:
        return Doing("deaf", broker.deaf)
    if not publishing.connected:
        missing = f"not connected to broker {publishing.address} for publishing"
        return Doing("mute", f"{missing}: {publishing.error or 'connecting'}")
    if publishing.mute is not None:
        return Doing("mute", publishing.mute)
    return Doing("forecasting")
