"""What the loop tells the metrics: a `Round` per batch, a `State` now and then, `StreamColumns` on request.

All are frozen, so that the HTTP thread may read what the loop thread published without a lock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from gaugecast.records import Float64, Verdict

#: The loop's stages, in their order: the closed set that labels `gaugecast_stage_seconds`.
STAGES = ("poll", "decode", "advance", "commit", "publish")

#: Why the daemon works with less than it should: the closed set that labels `gaugecast_degraded`.
DEGRADED_REASONS = (
    "storage_full",  # commits wait for space
    "storage_busy",  # another process holds the ledger
    "lag",  # too many unconfirmed outputs: polling has stopped
    "checkpoint",  # the last checkpoint failed
    "refused",  # forecasts that the broker refused wait to be offered again
    "quarantine",  # redelivered messages are taken one a commit after an unclean exit
)


def _no_latencies() -> Float64:
    return np.empty(0, dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """The facts of one finished batch: counts, never totals.

    Attributes:
        messages: MQTT messages taken from the socket.
        received: Readings by fleet, whatever became of them; fleet `""` where none could be told.
        readings: Final verdicts by (fleet, verdict). A reading that was `HELD` counts here once, when its tick
            closes, as `STEPPED`; counts under `HELD` and `NONE` are left out (`FleetState.held` is the gauge).
        rejects: Refused readings, or whole messages, by a reason of `records.REJECT_REASONS`.
        forecasts: Outputs by fleet.
        stage_s: Seconds spent in each of `STAGES`; absent stages did not run.
        commit_s: Seconds of the ledger's commit with its fsync; `None` if nothing was committed.
        latencies_s: (n,) seconds from a message's arrival to the publish of each output sent in this round.
        gaps, bridged, partial, fallback, resets, reanchored, broken: By fleet: gaps met, ticks rolled through in
            closed loop, steps with absent features, steps answered by persistence, states reset, streams whose
            phase was set anew after they had been late for long, states found non-finite.
    """

    messages: int = 0
    received: Mapping[str, int] = field(default_factory=dict)
    readings: Mapping[tuple[str, Verdict], int] = field(default_factory=dict)
    rejects: Mapping[str, int] = field(default_factory=dict)
    forecasts: Mapping[str, int] = field(default_factory=dict)
    stage_s: Mapping[str, float] = field(default_factory=dict)
    commit_s: float | None = None
    latencies_s: Float64 = field(default_factory=_no_latencies)
    gaps: Mapping[str, int] = field(default_factory=dict)
    bridged: Mapping[str, int] = field(default_factory=dict)
    partial: Mapping[str, int] = field(default_factory=dict)
    fallback: Mapping[str, int] = field(default_factory=dict)
    resets: Mapping[str, int] = field(default_factory=dict)
    reanchored: Mapping[str, int] = field(default_factory=dict)
    broken: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureScore:
    """How well one feature of one fleet is forecast; `None` = not known yet.

    Attributes:
        absolute_error: Exponentially discounted mean of |residual| over the fleet's streams, in `unit`.
        skill: 1 − Σ squared error / Σ squared error of persistence, discounted alike. 1 is perfect, 0 no better.
        shadow_skill: The same of the model in shadow.
    """

    feature: str
    unit: str = ""
    absolute_error: float | None = None
    skill: float | None = None
    shadow_skill: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnerState:
    """The learner of one fleet; totals of this process life.

    Attributes:
        lag_s: How far behind the newest reading the learner's `advance` is.
        rate: Learning rate in use.
        drift_total: Drifts that its detector has declared.
        handovers_total: Weights put in force.
        spared: What in the model in force keeps it from being learned; empty = it is.
    """

    updates_total: int = 0
    failures_total: int = 0
    drift_total: int = 0
    handovers_total: int = 0
    rate: float | None = None
    lag_s: float | None = None
    spared: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetState:
    """One fleet now.

    Attributes:
        active, parked, stale: Streams; a stale one is active too, but silent for `stale_after`.
        held: Readings that wait in an open tick.
        held_at_start: Those that waited when this process began: received by an earlier one, settled by this.
        model: Version of the weights in force; `None` = persistence.
        rollbacks_total: How often weights in force were taken back.
    """

    fleet: str
    active: int = 0
    parked: int = 0
    stale: int = 0
    held: int = 0
    held_at_start: int = 0
    model: str | None = None
    features: tuple[FeatureScore, ...] = ()
    learner: LearnerState | None = None
    rollbacks_total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The daemon now, for the gauges; totals (`*_total`) are of this process life. `None` = not known.

    Attributes:
        recovered: 0…1, how much of the replay at start is done; 1 when the loop turns.
        checkpoint_age_s: Age of the newest valid checkpoint.
        degraded: Those of `DEGRADED_REASONS` that hold now.
        broker_dropped_total: What the broker says in `$SYS/broker/publish/messages/dropped`.
        refused_rows, quarantine_rows: Rows in the two bounded tables.
    """

    fleets: tuple[FleetState, ...] = ()
    ready: bool = False
    recovered: float = 0.0
    mqtt_connected: bool = False
    mqtt_reconnects_total: int = 0
    mqtt_session_lost_total: int = 0
    broker_dropped_total: int | None = None
    unconfirmed_outputs: int = 0
    outputs_refused_total: int = 0
    refused_rows: int | None = None
    quarantine_rows: int | None = None
    checkpoints_total: int = 0
    checkpoint_failures_total: int = 0
    wal_copy_failures_total: int = 0
    checkpoint_age_s: float | None = None
    ledger_bytes: int | None = None
    disk_free_bytes: int | None = None
    degraded: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamColumns:
    """One fleet's streams as columns, copied (or no longer written to) when handed over. NaN = no value.

    Attributes:
        streams: (n,) ids, in slot order, so that the same streams stay within the cap.
        features: (F,) names of the forecast features.
        observed: (n, F) last values, in the sensors' units.
        forecast: (n, F) expected at the next tick.
        predicted: (n, F) what had been expected for the instant of `observed`.
        skill: (n, F), or `None`.
        quality: (n,) bits of `forecast.body.QUALITY`, or `None`.
        at_s: (n,) event time of `observed`, Unix seconds, or `None`.
    """

    fleet: str
    streams: Sequence[str]
    features: Sequence[str]
    observed: Float64
    forecast: Float64
    predicted: Float64
    skill: Float64 | None = None
    quality: np.ndarray[tuple[int], np.dtype[np.uint8]] | None = None
    at_s: Float64 | None = None
