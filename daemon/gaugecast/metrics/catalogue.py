"""Every metric that exists: its name on the wire, kind, labels, help, and where in the status its value stands.

docs/metrics.md lists the same, by test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from gaugecast.metrics import samples
from gaugecast.metrics.samples import Sample
from gaugecast.records import REJECT_REASONS
from gaugecast.status import (
    FeatureStatus,
    FleetCounts,
    FleetStatus,
    LearnerStatus,
    Status,
    StreamCounts,
)

Getter = Callable[[Status], Iterable[Sample]]
#: What is not known has no sample.
Value = float | None


def _fed(_status: Status) -> Iterable[Sample]:
    """Of what the status does not know: the exporter has it, or `series`."""
    return ()


@dataclass(frozen=True, slots=True)
class Definition:
    """One metric as Prometheus sees it; `name` is the name on the wire, `_total` of counters included."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    samples: Getter = _fed


def _counter(name: str, text: str, *labels: str, of: Getter = _fed) -> Definition:
    return Definition(f"gaugecast_{name}_total", "counter", text, labels, of)


def _gauge(name: str, text: str, *labels: str, of: Getter = _fed) -> Definition:
    return Definition(f"gaugecast_{name}", "gauge", text, labels, of)


def _histogram(name: str, text: str, *labels: str) -> Definition:
    return Definition(f"gaugecast_{name}", "histogram", text, labels)


# -- where values stand: a getter for each shape of labels


def _one(get: Callable[[Status], Value]) -> Getter:
    def samples(status: Status) -> Iterator[Sample]:
        value = get(status)
        if value is not None:
            yield (), float(value)

    return samples


def _counted(get: Callable[[FleetCounts], float]) -> Getter:
    """By fleet; those that have left go on to be told, and what belongs to no fleet has none of these counts."""
    return lambda status: [((name,), float(get(fleet.counts))) for name, fleet in status.fleets.items() if name]


def _received(status: Status) -> Iterator[Sample]:
    for name, fleet in _with_nobody(status):
        yield (name,), float(fleet.counts.received)


def _outcomes(status: Status) -> Iterator[Sample]:
    for name, fleet in _with_nobody(status):
        counts = fleet.counts
        for outcome in ("stepped", "late", "duplicate", "rejected", "not_ours", "same_period"):
            yield (name, outcome), float(getattr(counts, outcome))


def _with_nobody(status: Status) -> Iterator[tuple[str, FleetStatus]]:
    """All fleets, and `""` always: its series begin at 0, too."""
    yield from (status.fleets if "" in status.fleets else {"": FleetStatus(), **status.fleets}).items()


def _rejects(status: Status) -> Iterator[Sample]:
    rejects = status.total.rejects
    for reason in REJECT_REASONS:
        yield (reason,), float(rejects.get(reason, 0))


def _fleets(get: Callable[[FleetStatus, StreamCounts], Value]) -> Getter:
    """By fleet, of those at work."""

    def samples(status: Status) -> Iterator[Sample]:
        for name, fleet, streams in status.at_work():
            value = get(fleet, streams)
            if value is not None:
                yield (name,), float(value)

    return samples


def _learners(get: Callable[[LearnerStatus], Value]) -> Getter:
    return _fleets(lambda fleet, _: None if fleet.learner is None else get(fleet.learner))


def _features(get: Callable[[FeatureStatus], Value]) -> Getter:
    def samples(status: Status) -> Iterator[Sample]:
        for name, fleet, _ in status.at_work():
            for feature, score in fleet.features.items():
                value = get(score)
                if value is not None:
                    yield (name, feature), float(value)

    return samples


def _units(status: Status) -> Iterator[Sample]:
    for name, fleet, _ in status.at_work():
        for feature, score in fleet.features.items():
            yield (name, feature, score.unit), 1.0


def _streams(status: Status) -> Iterator[Sample]:
    for name, _, streams in status.at_work():
        for state in ("active", "parked", "stale"):
            yield (name, state), float(getattr(streams, state))


def _models(status: Status) -> Iterator[Sample]:
    for name, fleet, _ in status.at_work():
        yield (name, fleet.model or "persistence"), 1.0


def _sides(status: Status) -> Iterator[Sample]:
    yield ("subscribe",), float(status.broker.connected)
    yield ("publish",), float(status.publishing.connected)


#: What is counted: of readings and forecasts as the status tells it, the rest as the loop's rounds tell it.
COUNTED = (
    _counter("messages_received", "MQTT messages taken from the broker"),
    _counter("readings_received", "Readings in those messages, whatever became of them", "fleet", of=_received),
    _counter("readings", "Readings by what became of them", "fleet", "outcome", of=_outcomes),
    _counter("late_seconds", "By how much late readings were late, summed up", "fleet",
             of=_counted(lambda c: c.late_ns / 1e9)),
    _counter("rejects", "Readings, or messages that cannot be split, refused", "reason", of=_rejects),
    _counter("forecasts", "Forecast messages made", "fleet", of=_counted(lambda c: c.forecasts)),
    _counter("rounds", "Rounds of the loop, idle ones included"),
    _counter("gaps", "Gaps of at least one tick met in a stream", "fleet", of=_counted(lambda c: c.gaps)),
    _counter("bridged_ticks", "Ticks rolled through in closed loop", "fleet", of=_counted(lambda c: c.bridged_steps)),
    _counter("resets", "States reset: gap too long, non-finite, or asked for", "fleet",
             of=_counted(lambda c: c.resets)),
    _counter("partial_steps", "Steps in which a feature was absent", "fleet", of=_counted(lambda c: c.partial_steps)),
    _counter("fallback_steps", "Steps answered by persistence", "fleet", of=_counted(lambda c: c.fallback_steps)),
    _counter("unchanged_steps", "Steps in which silence counted as the same value (`hold`)", "fleet",
             of=_counted(lambda c: c.unchanged_steps)),
    _counter("reanchored", "Streams whose phase was set anew after they had been late for long", "fleet",
             of=_counted(lambda c: c.reanchored)),
    _counter("anomalies", "Anomalies that have begun", "fleet", of=_counted(lambda c: c.anomalies)),
    _counter("broken_states", "States found non-finite, and reset", "fleet", of=_counted(lambda c: c.broken_states)),
    _histogram("batch_messages", "Messages in a batch"),
    _histogram("stage_seconds", "Seconds that a round with a batch spends in each stage of the loop", "stage"),
    _histogram("commit_seconds", "Seconds of a ledger commit, fsync included"),
    _histogram("end_to_end_seconds", "Seconds from a message's arrival to the publish of its forecast"),
)  # fmt: skip

#: What is the case now.
STATED = (
    _gauge("ready", "1 while it forecasts: recovered, the disk takes what comes, readings come, forecasts go",
           of=_one(lambda s: s.ready)),
    _gauge("doing", "1 for what it does: of `holding`, `deaf` and `mute` no forecast comes", "verb", of=samples.doing),
    _gauge("recovered_ratio", "Share of the replay at start that is done", of=_one(lambda s: s.recovered)),
    _gauge("last_round_age_seconds", "Seconds since the loop finished a round, an idle one or a part of a long one"),
    _gauge("mqtt_connected", "1 while connected to the broker, both to hear and to publish",
           of=_one(lambda s: s.broker.connected and s.publishing.connected)),
    _gauge("mqtt_side_connected", "1 while this one of the two connections is up", "side", of=_sides),
    _counter("mqtt_reconnects", "Connections made after the first of each side",
             of=_one(lambda s: s.broker.reconnects_total + s.publishing.reconnects_total)),
    _counter("mqtt_session_lost", "Connections on which the broker had forgotten our session",
             of=_one(lambda s: s.broker.session_lost_total)),
    _counter("broker_messages_dropped", "Messages that the broker dropped, by its own $SYS count",
             of=_one(lambda s: s.broker.dropped_total)),
    _gauge("unconfirmed_outputs", "Forecast messages that the broker has not confirmed yet",
           of=_one(lambda s: s.publishing.unconfirmed)),
    _counter("outputs_refused", "Forecast messages that the broker refused, or that expired",
             of=_one(lambda s: s.publishing.refused_total)),
    _gauge("refused_rows", "Rows in the table of refused outputs", of=_one(lambda s: s.publishing.refused_rows)),
    _gauge("quarantine_rows", "Rows in the table of refused readings", of=_one(lambda s: s.storage.quarantine_rows)),
    _counter("checkpoints", "Checkpoints written", of=_one(lambda s: s.storage.checkpoints_total)),
    _counter("checkpoint_failures", "Checkpoints that could not be written",
             of=_one(lambda s: s.storage.checkpoint_failures_total)),
    _counter("wal_copy_failures", "Attempts to copy the write-ahead log into the ledger's file that failed",
             of=_one(lambda s: s.storage.wal_copy_failures_total)),
    _counter("ledger_damaged", "Places in the ledger that were found damaged: rows by their checksum, or pages",
             of=_one(lambda s: s.storage.damaged_total)),
    _gauge("checkpoint_age_seconds", "Age of the newest valid checkpoint",
           of=_one(lambda s: s.storage.checkpoint_age_s)),
    _gauge("backup_age_seconds", "Age of the newest backup, where one was ever made",
           of=_one(lambda s: s.storage.backup_age_s)),
    _gauge("ledger_bytes", "Size of the ledger with its write-ahead log", of=_one(lambda s: s.storage.ledger_bytes)),
    _gauge("disk_free_bytes", "Free space where the state directory lies",
           of=_one(lambda s: s.storage.disk_free_bytes)),
    _gauge("degraded", "1 while the daemon works with less than it should", "reason", of=samples.degraded),
    _gauge("streams", "Streams by state; a stale one is active too", "fleet", "state", of=_streams),
    _gauge("readings_held", "Readings that wait in an open tick", "fleet", of=_counted(lambda c: c.held)),
    _gauge("readings_held_at_start", "Readings of earlier processes that waited when this one began", "fleet",
           of=_counted(lambda c: c.held_at_start)),
    _gauge("model_in_force", "1 for the version of the weights that forecasts now", "fleet", "version", of=_models),
    _gauge("feature_unit", "1, to carry the unit of a forecast feature", "fleet", "feature", "unit", of=_units),
    _gauge("absolute_error", "Discounted mean absolute residual, in the sensor's unit", "fleet", "feature",
           of=_features(lambda f: f.absolute_error)),
    _gauge("skill", "Discounted skill over persistence: 1 perfect, 0 no better", "fleet", "feature",
           of=_features(lambda f: f.skill)),
    _gauge("shadow_skill", "Skill of the model in shadow", "fleet", "feature", of=_features(lambda f: f.shadow_skill)),
    _gauge("interval_coverage_ratio", "Share of due intervals that held the value, discounted", "fleet", "feature",
           "horizon", "level", of=samples.coverage),
    _gauge("interval_nominal_ratio", "What share that should be", "fleet", "feature", "horizon", "level",
           of=samples.nominal),
    _gauge("expert_weight_ratio", "Share that the expert has in what is published, mean over the streams", "fleet",
           "feature", "horizon", "expert", of=samples.expert_weights),
    _gauge("expert_skill", "What the expert alone gains over persistence, discounted", "fleet", "feature", "horizon",
           "expert", of=samples.expert_skills),
    _gauge("crossings_open", "Streams of which a crossing of the threshold is foretold, or that are beyond it", "fleet",
           "feature", "side", "value", of=samples.crossings),
    _gauge("anomalies_open", "Streams of which an anomaly is told", "fleet", "severity", of=samples.anomalies),
    _gauge("learning", "1 for who learns: a `child`, a `unit`, nobody since `off` or `impossible`", "mode",
           of=samples.learning),
    _gauge("learner_heard", "1 once a learner has spoken to this process", of=_one(lambda s: s.learning.heard)),
    _gauge("lesson_ratio", "Share of its first updates that a model has before it goes into shadow", "fleet",
           of=_fleets(samples.lesson)),
    _gauge("trial_ratio", "Steps that the model in shadow was judged by, of those it needs", "fleet",
           of=_fleets(samples.trial)),
    _gauge("lesson_eta_seconds", "Until the next of these two is done, about; none where it is not foreseen", "fleet",
           of=_fleets(samples.eta)),
    _counter("learner_updates", "Updates of the weights made by the learner", "fleet",
             of=_learners(lambda x: x.updates_total)),
    _counter("learner_failures", "Updates and hand-overs that failed, and learners that ended unasked", "fleet",
             of=_learners(lambda x: x.failures_total)),
    _counter("learner_handovers", "Weights that the learner handed over, into shadow or in force", "fleet",
             of=_learners(lambda x: x.handovers_total)),
    _counter("rollbacks", "Weights in force that were taken back, for good ones or for persistence", "fleet",
             of=_fleets(lambda fleet, _: fleet.rollbacks_total)),
    _counter("drift", "Drifts declared by the learner's detector", "fleet", of=_learners(lambda x: x.drift_total)),
    _gauge("learner_rate", "Learning rate in use", "fleet", of=_learners(lambda x: x.rate)),
    _gauge("learner_lag_seconds", "How far behind the newest reading the learner is", "fleet",
           of=_learners(lambda x: x.lag_s)),
    _gauge("build_info", "1, to carry what was built with what", "version", "python", "numpy"),
    _gauge("fingerprint_info", "1, to carry the fingerprint within which forecasts are bit-equal", "fingerprint"),
    _gauge("stream_series_omitted", "Streams left without series of their own by the cap"),
    _gauge("scrape_seconds", "Seconds that printing the previous scrape took"),
    _gauge("clock_seconds", "The daemon's own clock, Unix time"),
)  # fmt: skip

#: Printed by `series` from `facts.StreamColumns`, under the cap `http.stream_series`.
STREAMED = (
    _gauge("stream_observed", "Last observed value", "fleet", "stream", "feature"),
    _gauge("stream_forecast", "Value expected at the next tick", "fleet", "stream", "feature"),
    _gauge("stream_predicted", "Value that had been expected for the last observation", "fleet", "stream", "feature"),
    _gauge("stream_residual", "Observed minus predicted", "fleet", "stream", "feature"),
    _gauge("stream_skill", "Discounted skill of the stream over persistence", "fleet", "stream", "feature"),
    _gauge("stream_quality", "1 for each quality flag that is set on the last forecast", "fleet", "stream", "flag"),
    _gauge("stream_ahead", "Value expected at a listed horizon", "fleet", "stream", "feature", "horizon"),
    _gauge("stream_lower", "Lower bound of its narrowest interval", "fleet", "stream", "feature", "horizon", "level"),
    _gauge("stream_upper", "Upper bound of its narrowest interval", "fleet", "stream", "feature", "horizon", "level"),
    _gauge("stream_anomaly_score", "How strange the last value was; 1 is the limit", "fleet", "stream", "feature"),
    _gauge(
        "stream_crossing_probability",
        "That the threshold is crossed within its reach",
        "fleet",
        "stream",
        "feature",
        "side",
        "value",
    ),
    _gauge(
        "stream_crossing_seconds",
        "Time until the median instant of the first crossing",
        "fleet",
        "stream",
        "feature",
        "side",
        "value",
    ),
    _gauge("stream_observed_timestamp_seconds", "Event time of the last observed value", "fleet", "stream"),
)

#: All but the streams' own series.
FIXED = COUNTED + STATED
CATALOGUE = FIXED + STREAMED
