"""What the daemon answers to `status` and `streams`. Numbers that are not known are null, never 0 or NaN."""

from __future__ import annotations

import msgspec


class FeatureStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How well one feature of a fleet is forecast: mean absolute residual in `unit`, skill over persistence."""

    feature: str
    unit: str = ""
    absolute_error: float | None = None
    skill: float | None = None


class LearnerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What the learner said last of one fleet, and how often its weights were taken back; `lag_s`: behind the loop."""

    updates_total: int = 0
    handovers_total: int = 0
    drift_total: int = 0
    rollbacks_total: int = 0
    failures_total: int = 0
    rate: float | None = None
    lag_s: float | None = None


class FleetStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One fleet; `model` is the version in force, null = persistence; `spared`: why the learner leaves it as it is."""

    fleet: str
    active: int = 0
    parked: int = 0
    stale: int = 0
    model: str | None = None
    spared: str = ""
    learner: LearnerStatus | None = None
    features: list[FeatureStatus] = []


class StatusAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to `{"command": "status"}`; also the facts of /readyz.

    Attributes:
        reason: Why not ready: `broker: connection refused`, `recovering 43 %`; empty if ready.
        readings_per_s, forecasts_per_s: Over the last seconds.
        readings_total, forecasts_total, rejects_total: Of this process life.
        latency_s: Median from arrival to publish, lately.
        broker: `localhost:1883`.
        lag: Unconfirmed outputs.
        degraded: Reasons that hold now.
        metrics_url: Where /metrics is.
    """

    ready: bool
    reason: str = ""
    version: str = ""
    pid: int | None = None
    uptime_s: float | None = None
    broker: str = ""
    connected: bool = False
    reconnects_total: int = 0
    session_lost_total: int = 0
    readings_total: int = 0
    forecasts_total: int = 0
    rejects_total: int = 0
    readings_per_s: float | None = None
    forecasts_per_s: float | None = None
    latency_s: float | None = None
    lag: int = 0
    checkpoint_age_s: float | None = None
    ledger_bytes: int | None = None
    quarantine_rows: int | None = None
    degraded: list[str] = []
    metrics_url: str = ""
    fleets: list[FleetStatus] = []


class StreamRow(msgspec.Struct, frozen=True, kw_only=True):
    """One feature of one stream, in the sensor's unit.

    Attributes:
        step: The stream's step number: a new one means a new reading.
        at_s: Event time of `observed`, Unix seconds.
        forecast: Expected at the next tick.
        predicted: What had been expected for the instant of `observed`; residual = observed − predicted.
        skill: Discounted, over persistence.
        quality: Flags of the last forecast: warming, bridged, partial, fallback, stale.
    """

    fleet: str
    stream: str
    feature: str
    unit: str = ""
    step: int = 0
    at_s: float | None = None
    observed: float | None = None
    forecast: float | None = None
    predicted: float | None = None
    skill: float | None = None
    quality: list[str] = []

    @property
    def residual(self) -> float | None:
        """Observed minus what had been forecast for that instant."""
        return None if self.observed is None or self.predicted is None else self.observed - self.predicted


class StreamsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Answer to `requests.Streams`: rows in stable order, a stream's features next to each other.

    Attributes:
        total: Streams that match, shown or not.
        status: The daemon's, for the head of the table.
    """

    rows: list[StreamRow]
    total: int
    status: StatusAnswer
