"""Turns the published state into samples; what is not known has none."""

from __future__ import annotations

from collections.abc import Iterator

from gaugecast.metrics.facts import DEGRADED_REASONS, FeatureScore, FleetState, LearnerState, State
from gaugecast.metrics.tally import Sample

_PLAIN = (
    ("ready", "ready"),
    ("recovered", "recovered_ratio"),
    ("mqtt_connected", "mqtt_connected"),
    ("mqtt_reconnects_total", "mqtt_reconnects_total"),
    ("mqtt_session_lost_total", "mqtt_session_lost_total"),
    ("broker_dropped_total", "broker_messages_dropped_total"),
    ("unconfirmed_outputs", "unconfirmed_outputs"),
    ("outputs_refused_total", "outputs_refused_total"),
    ("refused_rows", "refused_rows"),
    ("quarantine_rows", "quarantine_rows"),
    ("checkpoints_total", "checkpoints_total"),
    ("checkpoint_failures_total", "checkpoint_failures_total"),
    ("wal_copy_failures_total", "wal_copy_failures_total"),
    ("checkpoint_age_s", "checkpoint_age_seconds"),
    ("ledger_bytes", "ledger_bytes"),
    ("disk_free_bytes", "disk_free_bytes"),
)


def read_state(state: State) -> Iterator[Sample]:
    """Samples of the whole state."""
    for attribute, name in _PLAIN:
        value = getattr(state, attribute)
        if value is not None:
            yield f"gaugecast_{name}", (), float(value)
    for reason in DEGRADED_REASONS:
        yield "gaugecast_degraded", (reason,), float(reason in state.degraded)
    for fleet in state.fleets:
        yield from _read_fleet(fleet)


def _read_fleet(state: FleetState) -> Iterator[Sample]:
    fleet = state.fleet
    yield "gaugecast_streams", (fleet, "active"), float(state.active)
    yield "gaugecast_streams", (fleet, "parked"), float(state.parked)
    yield "gaugecast_streams", (fleet, "stale"), float(state.stale)
    yield "gaugecast_readings_held", (fleet,), float(state.held)
    yield "gaugecast_readings_held_at_start", (fleet,), float(state.held_at_start)
    yield "gaugecast_model_in_force", (fleet, "persistence" if state.model is None else state.model), 1.0
    yield "gaugecast_rollbacks_total", (fleet,), float(state.rollbacks_total)
    for score in state.features:
        yield from _read_score(fleet, score)
    if state.learner is not None:
        yield from _read_learner(fleet, state.learner)


def _read_score(fleet: str, score: FeatureScore) -> Iterator[Sample]:
    yield "gaugecast_feature_unit", (fleet, score.feature, score.unit), 1.0
    for name in ("absolute_error", "skill", "shadow_skill"):
        value = getattr(score, name)
        if value is not None:
            yield f"gaugecast_{name}", (fleet, score.feature), float(value)


def _read_learner(fleet: str, learner: LearnerState) -> Iterator[Sample]:
    yield "gaugecast_learner_updates_total", (fleet,), float(learner.updates_total)
    yield "gaugecast_learner_failures_total", (fleet,), float(learner.failures_total)
    yield "gaugecast_learner_handovers_total", (fleet,), float(learner.handovers_total)
    yield "gaugecast_drift_total", (fleet,), float(learner.drift_total)
    if learner.rate is not None:
        yield "gaugecast_learner_rate", (fleet,), learner.rate
    if learner.lag_s is not None:
        yield "gaugecast_learner_lag_seconds", (fleet,), learner.lag_s
