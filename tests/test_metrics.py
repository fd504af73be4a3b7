"""Metrics: what rounds, states and columns look like to Prometheus."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from gaugecast.metrics import (
    DEGRADED_REASONS,
    STAGES,
    FeatureScore,
    FleetState,
    LearnerState,
    Metrics,
    Round,
    State,
    StreamColumns,
)
from gaugecast.metrics.catalogue import CATALOGUE
from gaugecast.metrics.tally import Histogram
from gaugecast.records import REJECT_REASONS, Verdict

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


def full_state(fleets: int = 1) -> State:
    """A state in which everything is known."""
    score = FeatureScore(feature="pressure", unit="bar", absolute_error=0.01, skill=0.6, shadow_skill=0.7)
    learner = LearnerState(updates_total=5, failures_total=1, drift_total=2, handovers_total=3, rate=1e-3, lag_s=2.5)
    return State(
        fleets=tuple(
            FleetState(
                fleet=f"f{i}", active=9, parked=2, stale=1, held=4, model="m1", features=(score,), learner=learner
            )
            for i in range(fleets)
        ),
        ready=True,
        recovered=1.0,
        mqtt_connected=True,
        broker_dropped_total=7,
        refused_rows=1,
        quarantine_rows=2,
        checkpoint_age_s=3.0,
        ledger_bytes=4096,
        disk_free_bytes=10**9,
        degraded=frozenset({"lag"}),
    )


def full_metrics() -> Metrics:
    """Metrics of which every name has a sample."""
    flagged = columns(3)
    flagged.quality[1] = 0b01001
    metrics = Metrics(["f0"], columns=lambda: [flagged], fingerprint="abc")
    metrics.observe(Round(messages=2, latencies_s=np.array([0.1]), stage_s=dict.fromkeys(STAGES, 0.1), commit_s=0.01))
    metrics.set_state(full_state())
    metrics.render()  # so that the scrape's own time is known
    return metrics


def test_counters_add_rounds_up() -> None:
    """Two rounds show as their sum, by fleet and outcome."""
    metrics = Metrics(["tanks", "pumps"])
    readings = {("tanks", Verdict.STEPPED): 3, ("pumps", Verdict.LATE): 1, ("tanks", Verdict.REJECTED): 2}
    once = Round(messages=4, readings=readings, rejects={"not_json": 2}, forecasts={"tanks": 3}, received={"tanks": 5})
    metrics.observe(once)
    metrics.observe(once)
    assert sample(metrics, "readings_total", fleet="tanks", outcome="stepped") == 6
    assert sample(metrics, "readings_total", fleet="pumps", outcome="late") == 2
    assert sample(metrics, "readings_total", fleet="tanks", outcome="rejected") == 4
    assert sample(metrics, "rejects_total", reason="not_json") == 4
    assert sample(metrics, "forecasts_total", fleet="tanks") == 6
    assert sample(metrics, "readings_received_total", fleet="tanks") == 10
    assert sample(metrics, "messages_received_total") == 8
    assert sample(metrics, "rounds_total") == 2


def test_what_befalls_streams_has_a_counter_each() -> None:
    """Gaps, bridges and resets are told apart."""
    metrics = Metrics(["tanks"])
    one, two, three = {"tanks": 1}, {"tanks": 2}, {"tanks": 3}
    metrics.observe(Round(gaps=one, bridged=two, partial=three, fallback={"tanks": 4}))
    metrics.observe(Round(resets={"tanks": 5}, reanchored={"tanks": 6}, broken={"tanks": 7}))
    names = ("gaps", "bridged_ticks", "partial_steps", "fallback_steps", "resets", "reanchored", "broken_states")
    assert [sample(metrics, f"{name}_total", fleet="tanks") for name in names] == [1, 2, 3, 4, 5, 6, 7]


def test_counters_begin_at_zero() -> None:
    """Every reason, outcome and fleet has its series before anything has happened."""
    metrics = Metrics(["tanks"])
    for reason in REJECT_REASONS:
        assert sample(metrics, "rejects_total", reason=reason) == 0
    for outcome in ("stepped", "late", "duplicate", "rejected"):
        assert sample(metrics, "readings_total", fleet="tanks", outcome=outcome) == 0
    assert sample(metrics, "resets_total", fleet="tanks") == 0


def test_a_held_reading_counts_once_when_its_tick_closes() -> None:
    """HELD moves no counter, so that the later STEPPED does not count the reading twice."""
    metrics = Metrics(["tanks"])
    metrics.observe(Round(received={"tanks": 2}, readings={("tanks", Verdict.HELD): 2}))
    metrics.observe(Round(received={"tanks": 1}, readings={("tanks", Verdict.STEPPED): 3}))
    total = sum(v for (name, _), v in scrape(metrics).items() if name == "gaugecast_readings_total")
    assert total == sample(metrics, "readings_received_total", fleet="tanks") == 3


def test_a_fleet_that_nobody_declared_makes_no_series() -> None:
    """A million invented fleets count under the empty name: the label set is closed."""
    metrics = Metrics(["tanks"])
    metrics.observe(Round(received={f"x{i}": 1 for i in range(1000)}, forecasts={"y": 1}))
    assert {dict(labels).get("fleet") for _, labels in scrape(metrics)} == {None, "", "tanks"}
    assert sample(metrics, "readings_received_total", fleet="") == 1000


def test_a_reason_outside_the_closed_set_is_a_defect() -> None:
    """A reject's reason that is not in REJECT_REASONS is refused, not exported."""
    with pytest.raises(ValueError, match="expected a reason of REJECT_REASONS, got 'because'"):
        Metrics(["tanks"]).observe(Round(rejects={"because": 1}))


def test_a_reload_adds_a_fleet_and_keeps_the_counts() -> None:
    """`declare_fleets` opens new series at 0 beside the old ones."""
    metrics = Metrics(["tanks"])
    metrics.observe(Round(forecasts={"tanks": 7}))
    metrics.declare_fleets(["tanks", "pumps"])
    assert sample(metrics, "forecasts_total", fleet="tanks") == 7
    assert sample(metrics, "forecasts_total", fleet="pumps") == 0


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
    metrics = Metrics(["tanks"])
    metrics.observe(Round(latencies_s=np.array([0.001, 0.004, 0.3, 700.0])))
    assert sample(metrics, "end_to_end_seconds_count") == 4
    assert sample(metrics, "end_to_end_seconds_sum") == pytest.approx(700.305)
    assert sample(metrics, "end_to_end_seconds_bucket", le="0.001") == 1
    assert sample(metrics, "end_to_end_seconds_bucket", le="600.0") == 3
    assert sample(metrics, "end_to_end_seconds_bucket", le="+Inf") == 4


def test_an_idle_round_makes_no_batch() -> None:
    """A turn that only waited counts in no histogram; one that committed a timer has its stages timed."""
    metrics = Metrics(["tanks"])
    metrics.observe(Round(stage_s={"poll": 0.02}))
    assert sample(metrics, "stage_seconds_count", stage="poll") == 0
    assert sample(metrics, "batch_messages_count") == 0
    assert sample(metrics, "commit_seconds_count") == 0
    metrics.observe(Round(stage_s={"poll": 0.02}, commit_s=0.001))
    assert sample(metrics, "stage_seconds_count", stage="poll") == 1


def test_the_age_of_the_last_round_follows_the_clock() -> None:
    """It grows while the loop is stuck and falls when the loop turns."""
    now = [100.0]
    metrics = Metrics(["tanks"], clock=lambda: now[0])
    assert sample(metrics, "last_round_age_seconds") is None
    metrics.turned()
    now[0] = 107.5
    assert sample(metrics, "last_round_age_seconds") == 7.5
    metrics.observe(Round())
    assert sample(metrics, "last_round_age_seconds") == 0


def test_the_state_shows_as_gauges_and_totals() -> None:
    """Each attribute of the state is the sample of its name."""
    metrics = Metrics(["f0"])
    metrics.set_state(full_state())
    assert sample(metrics, "ready") == 1
    assert sample(metrics, "streams", fleet="f0", state="stale") == 1
    assert sample(metrics, "readings_held", fleet="f0") == 4
    assert sample(metrics, "broker_messages_dropped_total") == 7
    assert sample(metrics, "skill", fleet="f0", feature="pressure") == 0.6
    assert sample(metrics, "absolute_error", fleet="f0", feature="pressure") == 0.01
    assert sample(metrics, "learner_lag_seconds", fleet="f0") == 2.5
    assert [sample(metrics, "degraded", reason=r) for r in DEGRADED_REASONS] == [r == "lag" for r in DEGRADED_REASONS]


def test_only_the_version_in_force_is_a_series() -> None:
    """A hand-over replaces the version's series, it does not add one."""
    metrics = Metrics(["tanks"])
    for version in ("a", "b", None):
        metrics.set_state(State(fleets=(FleetState(fleet="tanks", model=version),)))
    versions = [dict(labels)["version"] for name, labels in scrape(metrics) if name == "gaugecast_model_in_force"]
    assert versions == ["persistence"]


def test_what_is_not_known_has_no_sample() -> None:
    """An unknown value is absent, never 0 or NaN."""
    metrics = Metrics(["tanks"])
    metrics.set_state(State(fleets=(FleetState(fleet="tanks", features=(FeatureScore(feature="p"),)),)))
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
