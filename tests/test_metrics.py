"""Metrics: what rounds, states and columns look like to Prometheus."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from gaugecast.loop.micro_batch import RoundFacts
from gaugecast.metrics import STAGES, Metrics, StreamColumns
from gaugecast.metrics.catalogue import CATALOGUE
from gaugecast.metrics.histograms import Histogram
from gaugecast.records import REJECT_REASONS
from gaugecast.status import (
    DEGRADED_REASONS,
    AnomalyStatus,
    BrokerStatus,
    ExpertStatus,
    FeatureStatus,
    FleetCounts,
    FleetStatus,
    LearnerStatus,
    PublishingStatus,
    Shadow,
    Status,
    StorageStatus,
    StreamCounts,
    ThresholdStatus,
)

ROOT = Path(__file__).resolve().parent.parent


def scrape(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """All samples by (name, labels), read by prometheus_client's own parser; a sample twice is an error."""
    samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
    for family in text_string_to_metric_families(metrics.render().decode()):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in samples, key
            samples[key] = sample.value
    return samples


def sample(metrics: Metrics, name: str, **labels: str) -> float | None:
    """The one sample of that name and those labels, or `None`."""
    return scrape(metrics).get((f"gaugecast_{name}", frozenset(labels.items())))


def columns(n: int, fleet: str = "tanks", features: tuple[str, ...] = ("pressure", "temperature")) -> StreamColumns:
    """`n` streams with float32 values, as a model makes them."""
    rng = np.random.default_rng(n)
    table = [rng.normal(20, 3, (n, len(features))).astype(np.float32).astype(np.float64) for _ in range(4)]
    return StreamColumns(
        fleet=fleet,
        streams=[f"hall/tank-{i}" for i in range(n)],
        features=features,
        observed=table[0],
        forecast=table[1],
        predicted=table[2],
        skill=table[3],
        quality=np.zeros(n, dtype=np.uint8),
        at_s=np.full(n, 1_700_000_000.125),
    )


def full_status(fleets: int = 1) -> Status:
    """A status in which everything is known."""
    figures: dict[str, Any] = {"unit": "bar", "absolute_error": 0.01, "skill": 0.6, "shadow_skill": 0.7}
    figures["coverage"] = {"1m": {"0.8": 0.79}}
    figures["experts"] = {"1m": {"linear": ExpertStatus(weight=0.7, skill=0.4)}}
    fleet = FleetStatus(
        counts=FleetCounts(held=4),
        streams=StreamCounts(active=9, parked=2, stale=1),
        model="m1",
        features={"pressure": FeatureStatus(**figures)},
        shadow=Shadow(version="m2", steps=3, promote_after=30, eta_s=9.0),
        anomalies=AnomalyStatus(warning=1, critical=2, judged=9),
        crossings=[ThresholdStatus(feature="pressure", side="above", value=8.2, within="1h", open=2)],
        learner=LearnerStatus(
            updates_total=5, failures_total=1, drift_total=2, handovers_total=3, rate=1e-3, lag_s=2.5
        ),
    )
    return Status(
        fleets={f"f{i}": fleet for i in range(fleets)},
        recovered=1.0,
        broker=BrokerStatus(connected=True, dropped_total=7),
        publishing=PublishingStatus(connected=True, refused_rows=1),
        storage=StorageStatus(
            quarantine_rows=2, checkpoint_age_s=3.0, backup_age_s=60.0, ledger_bytes=4096, disk_free_bytes=10**9
        ),
        degraded=["lag"],
    )


def metrics_of(*, recovered: float | None = None, degraded: list[str] | None = None, **fleets: FleetStatus) -> Metrics:
    """What a scrape of these fleets reads."""
    metrics = Metrics()
    metrics.set_status(Status(fleets=fleets, recovered=recovered, degraded=degraded or []))
    return metrics


def full_metrics() -> Metrics:
    """Metrics of which every name has a sample."""
    ahead = np.ones((3, 2, 1))
    flagged = replace(
        columns(3), spans=("1m",), ahead=ahead, lower=ahead, upper=ahead, level="0.8",
        marks=(("pressure", "above", "8.2"),), likely=np.ones((3, 1)), median_s=np.ones((3, 1)),
        score=np.ones((3, 2)),
    )  # fmt: skip
    flagged.quality[1] = 0b01001  # type: ignore[index]
    metrics = Metrics(columns=lambda: [flagged], fingerprint="abc")
    metrics.observe(RoundFacts(messages=2, latencies_s=[0.1], stage_s=dict.fromkeys(STAGES, 0.1), commit_s=0.01))
    metrics.set_status(full_status())
    metrics.render()  # so that the scrape's own time is known
    return metrics


def test_counts_are_shown_by_fleet_and_outcome() -> None:
    """Each where the status has it; refusals of all fleets by reason."""
    tanks = FleetCounts(received=8, stepped=3, late=2, late_ns=90 * 10**9, rejects={"not_json": 2, "retained": 1})
    pumps = FleetCounts(received=1, rejects={"not_json": 1}, forecasts=5)
    metrics = metrics_of(tanks=FleetStatus(counts=tanks), pumps=FleetStatus(counts=pumps))
    assert sample(metrics, "readings_total", fleet="tanks", outcome="stepped") == 3
    assert sample(metrics, "readings_total", fleet="tanks", outcome="late") == 2
    assert sample(metrics, "late_seconds_total", fleet="tanks") == 90
    assert sample(metrics, "readings_total", fleet="tanks", outcome="rejected") == 3
    assert sample(metrics, "rejects_total", reason="not_json") == 3
    assert sample(metrics, "forecasts_total", fleet="pumps") == 5
    assert sample(metrics, "readings_received_total", fleet="tanks") == 8


def test_rounds_and_their_messages_are_counted() -> None:
    """Idle rounds included."""
    metrics = Metrics()
    for messages in (4, 0, 4):
        metrics.observe(RoundFacts(messages=messages))
    assert sample(metrics, "messages_received_total") == 8
    assert sample(metrics, "rounds_total") == 3


def test_what_happens_to_streams_has_a_counter_each() -> None:
    """Gaps, bridges and resets are told apart."""
    counts = FleetCounts(
        gaps=1, bridged_steps=2, partial_steps=3, fallback_steps=4, resets=5,
        reanchored=6, broken_states=7, unchanged_steps=8,
    )  # fmt: skip
    metrics = metrics_of(tanks=FleetStatus(counts=counts))
    names = (
        "gaps", "bridged_ticks", "partial_steps", "fallback_steps", "resets", "reanchored", "broken_states",
        "unchanged_steps",
    )  # fmt: skip
    assert [sample(metrics, f"{name}_total", fleet="tanks") for name in names] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_counters_begin_at_zero() -> None:
    """Every reason, outcome and fleet has its series before anything has happened."""
    metrics = metrics_of(tanks=FleetStatus())
    for reason in REJECT_REASONS:
        assert sample(metrics, "rejects_total", reason=reason) == 0
    for outcome in ("stepped", "late", "duplicate", "rejected"):
        assert sample(metrics, "readings_total", fleet="tanks", outcome=outcome) == 0
        assert sample(metrics, "readings_total", fleet="", outcome=outcome) == 0
    assert sample(metrics, "resets_total", fleet="tanks") == 0


def test_messages_of_no_fleet_have_no_forecasts() -> None:
    """Under the empty name stand what was received and what became of it, and nothing else."""
    nobodys: dict[str, Any] = {"": FleetStatus(counts=FleetCounts(received=1, rejects={"unknown_topic": 1}))}
    metrics = metrics_of(**nobodys)
    names = {name for name, labels in scrape(metrics) if dict(labels).get("fleet") == ""}
    assert names == {"gaugecast_readings_received_total", "gaugecast_readings_total"}
    assert sample(metrics, "readings_total", fleet="", outcome="rejected") == 1


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), max_size=60))
def test_a_histogram_counts_as_its_definition_says(values: list[float]) -> None:
    """Bucket `le` holds the finite values ≤ le, bounds included; the sum is theirs."""
    bounds = (0.0, 0.5, 1.0, 10.0)
    histogram = Histogram(bounds)
    histogram.observe(np.array(values, dtype=np.float64))
    finite = [v for v in values if np.isfinite(v)]
    counts, total = histogram.read()
    for (label, count), bound in zip(counts, (*bounds, np.inf), strict=True):
        assert count == sum(v <= bound for v in finite), label
    assert total == pytest.approx(sum(finite), rel=1e-9, abs=1e-6)


def test_latencies_reach_the_histogram() -> None:
    """An array of latencies shows as count, sum and cumulated buckets."""
    metrics = Metrics()
    metrics.observe(RoundFacts(latencies_s=[0.001, 0.004, 0.3, 700.0]))
    assert sample(metrics, "end_to_end_seconds_count") == 4
    assert sample(metrics, "end_to_end_seconds_sum") == pytest.approx(700.305)
    assert sample(metrics, "end_to_end_seconds_bucket", le="0.001") == 1
    assert sample(metrics, "end_to_end_seconds_bucket", le="600.0") == 3
    assert sample(metrics, "end_to_end_seconds_bucket", le="+Inf") == 4


def test_an_idle_round_makes_no_batch() -> None:
    """A turn that only waited counts in no histogram; one that committed a timer has its stages timed."""
    metrics = Metrics()
    metrics.observe(RoundFacts(stage_s={"poll": 0.02}))
    assert sample(metrics, "stage_seconds_count", stage="poll") == 0
    assert sample(metrics, "batch_messages_count") == 0
    assert sample(metrics, "commit_seconds_count") == 0
    metrics.observe(RoundFacts(stage_s={"poll": 0.02}, commit_s=0.001))
    assert sample(metrics, "stage_seconds_count", stage="poll") == 1


def test_the_age_of_the_last_round_follows_the_clock() -> None:
    """It grows while the loop is stuck and falls when the loop turns."""
    now = [100.0]
    metrics = Metrics(clock=lambda: now[0])
    assert sample(metrics, "last_round_age_seconds") is None
    metrics.observe(RoundFacts())
    now[0] = 107.5
    assert sample(metrics, "last_round_age_seconds") == 7.5
    metrics.observe(RoundFacts())
    assert sample(metrics, "last_round_age_seconds") == 0


def test_the_status_shows_as_gauges_and_totals() -> None:
    """Each part of the tree is the sample of its name."""
    metrics = Metrics()
    metrics.set_status(full_status())
    assert sample(metrics, "ready") == 1
    assert sample(metrics, "streams", fleet="f0", state="stale") == 1
    assert sample(metrics, "readings_held", fleet="f0") == 4
    assert sample(metrics, "broker_messages_dropped_total") == 7
    assert sample(metrics, "skill", fleet="f0", feature="pressure") == 0.6
    assert sample(metrics, "absolute_error", fleet="f0", feature="pressure") == 0.01
    assert sample(metrics, "learner_lag_seconds", fleet="f0") == 2.5
    assert [sample(metrics, "degraded", reason=r) for r in DEGRADED_REASONS] == [r == "lag" for r in DEGRADED_REASONS]


def test_a_daemon_that_holds_is_not_ready() -> None:
    """Though it is connected and its loop turns."""
    metrics = Metrics()
    metrics.set_status(msgspec.structs.replace(full_status(), storage=StorageStatus(holding="no room on the disk")))
    assert (sample(metrics, "ready"), sample(metrics, "mqtt_connected")) == (0, 1)


def test_only_the_version_in_force_is_a_series() -> None:
    """A hand-over replaces the version's series, it does not add one."""
    for version, shown in (("a", "a"), (None, "persistence")):
        metrics = metrics_of(tanks=FleetStatus(model=version, streams=StreamCounts()))
        versions = [dict(labels)["version"] for name, labels in scrape(metrics) if name == "gaugecast_model_in_force"]
        assert versions == [shown]


def test_what_is_not_known_has_no_sample() -> None:
    """An unknown value is absent, never 0 or NaN."""
    metrics = metrics_of(tanks=FleetStatus(streams=StreamCounts(), features={"p": FeatureStatus()}))
    for name in ("ledger_bytes", "checkpoint_age_seconds", "broker_messages_dropped_total", "quarantine_rows"):
        assert sample(metrics, name) is None
    assert sample(metrics, "skill", fleet="tanks", feature="p") is None


def documented() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Name, kind and labels from the tables of docs/metrics.md."""
    for line in (ROOT / "docs" / "metrics.md").read_text().splitlines():
        if match := re.match(r"\| `(gaugecast_\w+)` \| (\w+) \| ([^|]*) \|", line):
            yield match[1], match[2], tuple(re.findall(r"`(\w+)`", match[3]))


def test_docs_and_catalogue_name_the_same_metrics() -> None:
    """docs/metrics.md lists every metric with its kind and labels, and none that is not there."""
    assert sorted(documented()) == sorted((d.name, d.kind, d.labels) for d in CATALOGUE)


def test_every_metric_of_the_catalogue_is_exported_with_its_labels() -> None:
    """With everything known, each name has a sample, and each sample has a name with just those labels."""
    found: dict[str, set[tuple[str, ...]]] = {}
    for name, labels in scrape(full_metrics()):
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        keys = tuple(sorted(key for key, _ in labels if key != "le"))
        if name.startswith("gaugecast_"):
            found.setdefault(base, set()).add(keys)
    assert found == {d.name: {tuple(sorted(d.labels))} for d in CATALOGUE}


def test_reasons_in_the_docs_are_complete() -> None:
    """Closed label sets are spelled out in docs/metrics.md."""
    text = (ROOT / "docs" / "metrics.md").read_text()
    for value in (*REJECT_REASONS, *DEGRADED_REASONS, *STAGES):
        assert f"`{value}`" in text


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_finds_nothing_to_say() -> None:
    """Prometheus' own linter accepts names, units and help of the whole page."""
    run = subprocess.run(["promtool", "check", "metrics"], input=full_metrics().render(), capture_output=True)
    assert (run.returncode, run.stdout + run.stderr) == (0, b"")
