"""Every metric that exists: its name on the wire, kind, labels and help. docs/metrics.md lists the same, by test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Definition:
    """One metric as Prometheus sees it; `name` is the name on the wire, `_total` of counters included."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()


def _counter(name: str, text: str, *labels: str) -> Definition:
    return Definition(f"gaugecast_{name}_total", "counter", text, labels)


def _gauge(name: str, text: str, *labels: str) -> Definition:
    return Definition(f"gaugecast_{name}", "gauge", text, labels)


def _histogram(name: str, text: str, *labels: str) -> Definition:
    return Definition(f"gaugecast_{name}", "histogram", text, labels)


#: Added up by `tally.Tally` from rounds.
COUNTED = (
    _counter("messages_received", "MQTT messages taken from the broker"),
    _counter("readings_received", "Readings in those messages, whatever became of them", "fleet"),
    _counter("readings", "Readings by what became of them", "fleet", "outcome"),
    _counter("rejects", "Readings, or messages that cannot be split, refused", "reason"),
    _counter("forecasts", "Forecast messages made", "fleet"),
    _counter("rounds", "Rounds of the loop, idle ones included"),
    _counter("gaps", "Gaps of at least one tick met in a stream", "fleet"),
    _counter("bridged_ticks", "Ticks rolled through in closed loop", "fleet"),
    _counter("resets", "States reset: gap too long, non-finite, or asked for", "fleet"),
    _counter("partial_steps", "Steps in which a feature was absent", "fleet"),
    _counter("fallback_steps", "Steps answered by persistence", "fleet"),
    _counter("reanchored", "Streams whose phase was set anew after they had been late for long", "fleet"),
    _counter("broken_states", "States found non-finite, and reset", "fleet"),
    _histogram("batch_messages", "Messages in a batch"),
    _histogram("stage_seconds", "Seconds that a round with a batch spends in each stage of the loop", "stage"),
    _histogram("commit_seconds", "Seconds of a ledger commit, fsync included"),
    _histogram("end_to_end_seconds", "Seconds from a message's arrival to the publish of its forecast"),
)

#: Read by `gauges` from the last published state.
STATED = (
    _gauge("ready", "1 when the state is recovered, the loop turns and the broker is connected"),
    _gauge("recovered_ratio", "Share of the replay at start that is done"),
    _gauge("last_round_age_seconds", "Seconds since the loop finished a round, idle ones included"),
    _gauge("mqtt_connected", "1 while connected to the broker"),
    _counter("mqtt_reconnects", "Connections made after the first"),
    _counter("mqtt_session_lost", "Connections on which the broker had forgotten our session"),
    _counter("broker_messages_dropped", "Messages that the broker dropped, by its own $SYS count"),
    _gauge("unconfirmed_outputs", "Forecast messages that the broker has not confirmed yet"),
    _counter("outputs_refused", "Forecast messages that the broker refused, or that expired"),
    _gauge("refused_rows", "Rows in the table of refused outputs"),
    _gauge("quarantine_rows", "Rows in the table of refused readings"),
    _counter("checkpoints", "Checkpoints written"),
    _counter("checkpoint_failures", "Checkpoints that could not be written"),
    _counter("wal_copy_failures", "Attempts to copy the write-ahead log into the ledger's file that failed"),
    _gauge("checkpoint_age_seconds", "Age of the newest valid checkpoint"),
    _gauge("ledger_bytes", "Size of the ledger with its write-ahead log"),
    _gauge("disk_free_bytes", "Free space where the state directory lies"),
    _gauge("degraded", "1 while the daemon works with less than it should", "reason"),
    _gauge("streams", "Streams by state; a stale one is active too", "fleet", "state"),
    _gauge("readings_held", "Readings that wait in an open tick", "fleet"),
    _gauge("readings_held_at_start", "Readings of earlier processes that waited when this one began", "fleet"),
    _gauge("model_in_force", "1 for the version of the weights that forecasts now", "fleet", "version"),
    _gauge("feature_unit", "1, to carry the unit of a forecast feature", "fleet", "feature", "unit"),
    _gauge("absolute_error", "Discounted mean absolute residual, in the sensor's unit", "fleet", "feature"),
    _gauge("skill", "Discounted skill over persistence: 1 perfect, 0 no better", "fleet", "feature"),
    _gauge("shadow_skill", "Skill of the model in shadow", "fleet", "feature"),
    _counter("learner_updates", "Updates of the weights made by the learner", "fleet"),
    _counter("learner_failures", "Updates and hand-overs that failed, and learners that ended unasked", "fleet"),
    _counter("learner_handovers", "Weights that the learner handed over, into shadow or in force", "fleet"),
    _counter("rollbacks", "Weights in force that were taken back, for good ones or for persistence", "fleet"),
    _counter("drift", "Drifts declared by the learner's detector", "fleet"),
    _gauge("learner_rate", "Learning rate in use", "fleet"),
    _gauge("learner_lag_seconds", "How far behind the newest reading the learner is", "fleet"),
    _gauge("build_info", "1, to carry what was built with what", "version", "python", "numpy"),
    _gauge("fingerprint_info", "1, to carry the fingerprint within which forecasts are bit-equal", "fingerprint"),
    _gauge("stream_series_omitted", "Streams left without series of their own by the cap"),
    _gauge("scrape_seconds", "Seconds that printing the previous scrape took"),
)

#: Printed by `series` from `facts.StreamColumns`, under the cap `http.stream_series`.
STREAMED = (
    _gauge("stream_observed", "Last observed value", "fleet", "stream", "feature"),
    _gauge("stream_forecast", "Value expected at the next tick", "fleet", "stream", "feature"),
    _gauge("stream_predicted", "Value that had been expected for the last observation", "fleet", "stream", "feature"),
    _gauge("stream_residual", "Observed minus predicted", "fleet", "stream", "feature"),
    _gauge("stream_skill", "Discounted skill of the stream over persistence", "fleet", "stream", "feature"),
    _gauge("stream_quality", "1 for each quality flag that is set on the last forecast", "fleet", "stream", "flag"),
    _gauge("stream_observed_timestamp_seconds", "Event time of the last observed value", "fleet", "stream"),
)

CATALOGUE = COUNTED + STATED + STREAMED
