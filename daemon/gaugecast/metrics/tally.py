"""Adds rounds up: counters, and histograms that take a whole batch at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from gaugecast.metrics.facts import STAGES, Round
from gaugecast.records import REJECT_REASONS, Float64, Int64, Verdict

Sample = tuple[str, tuple[str, ...], float]

OUTCOMES = {
    Verdict.STEPPED: "stepped",
    Verdict.LATE: "late",
    Verdict.DUPLICATE: "duplicate",
    Verdict.REJECTED: "rejected",
}

#: Attribute of a round → metric.
_OF_STREAMS = {
    "gaps": "gaps",
    "bridged": "bridged_ticks",
    "partial": "partial_steps",
    "fallback": "fallback_steps",
    "resets": "resets",
    "reanchored": "reanchored",
    "broken": "broken_states",
}

#: Upper bounds; +Inf is understood.
BATCH_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
STAGE_BUCKETS = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0)
COMMIT_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)
LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0)


class Histogram:
    """Counts by upper bound. Owner: the loop thread; `counts` and `sum` may be read together by any thread.

    Args:
        bounds: Ascending upper bounds (≤), without +Inf.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = np.asarray(bounds, dtype=np.float64)
        self._published: tuple[Int64, float] = (np.zeros(len(bounds) + 1, dtype=np.int64), 0.0)

    def observe(self, values: Float64) -> None:
        """Take (n,) values at once; non-finite ones are left out, since they would poison the sum for ever."""
        finite = values[np.isfinite(values)]
        found = np.bincount(np.searchsorted(self.bounds, finite, side="left"), minlength=len(self.bounds) + 1)
        counts, total = self._published
        # One assignment of a new pair: a scrape in between sees the old one or the new one, never half of each.
        self._published = (counts + found, total + float(finite.sum()))

    def observe_one(self, value: float) -> None:
        """Take one value."""
        self.observe(np.array([value], dtype=np.float64))

    def read(self) -> tuple[list[tuple[str, float]], float]:
        """(upper bound as text, cumulated count) up to `+Inf`, and the sum of all values."""
        counts, total = self._published
        labels = [*(repr(float(bound)) for bound in self.bounds), "+Inf"]
        return list(zip(labels, np.cumsum(counts).tolist(), strict=True)), total


class Tally:
    """All counters and histograms of this process life. Owner: the loop thread; any thread may read.

    Fleets are declared beforehand, so that every series begins at 0 and the label set is closed:
    a name that was not declared counts under fleet `""`.
    """

    def __init__(self, fleets: Iterable[str]) -> None:
        self._counts: dict[tuple[str, tuple[str, ...]], float] = {}
        self._fleets: frozenset[str] = frozenset()
        self._histograms: dict[tuple[str, tuple[str, ...]], Histogram] = {
            ("gaugecast_batch_messages", ()): Histogram(BATCH_BUCKETS),
            ("gaugecast_commit_seconds", ()): Histogram(COMMIT_BUCKETS),
            ("gaugecast_end_to_end_seconds", ()): Histogram(LATENCY_BUCKETS),
            **{("gaugecast_stage_seconds", (stage,)): Histogram(STAGE_BUCKETS) for stage in STAGES},
        }
        for name in ("messages_received", "rounds"):
            self._counts[f"gaugecast_{name}_total", ()] = 0
        for reason in REJECT_REASONS:
            self._counts["gaugecast_rejects_total", (reason,)] = 0
        self.declare_fleets(fleets)

    def declare_fleets(self, fleets: Iterable[str]) -> None:
        """Let these fleets' series begin at 0; known ones keep their counts."""
        self._fleets |= frozenset(fleets)
        for fleet in sorted(self._fleets | {""}):
            for outcome in OUTCOMES.values():
                self._counts.setdefault(("gaugecast_readings_total", (fleet, outcome)), 0)
            self._counts.setdefault(("gaugecast_readings_received_total", (fleet,)), 0)
        for fleet in sorted(self._fleets):
            for name in ("forecasts", *_OF_STREAMS.values()):
                self._counts.setdefault((f"gaugecast_{name}_total", (fleet,)), 0)

    def add(self, batch: Round) -> None:
        """Take the facts of one batch; some 50 µs, whatever the batch's size."""
        self._add("gaugecast_rounds_total", (), 1)
        self._add("gaugecast_messages_received_total", (), batch.messages)
        for (fleet, verdict), count in batch.readings.items():
            if verdict in OUTCOMES:
                self._add("gaugecast_readings_total", (self._closed(fleet), OUTCOMES[verdict]), count)
        for reason, count in batch.rejects.items():
            if reason not in REJECT_REASONS:
                raise ValueError(f"expected a reason of REJECT_REASONS, got {reason!r}")
            self._add("gaugecast_rejects_total", (reason,), count)
        self._add_by_fleet("readings_received", batch.received)
        self._add_by_fleet("forecasts", batch.forecasts)
        for attribute, name in _OF_STREAMS.items():
            self._add_by_fleet(name, getattr(batch, attribute))
        self._time(batch)

    def _time(self, batch: Round) -> None:
        if batch.messages > 0:
            self._histograms["gaugecast_batch_messages", ()].observe_one(batch.messages)
        if batch.commit_s is not None:
            self._histograms["gaugecast_commit_seconds", ()].observe_one(batch.commit_s)
        if len(batch.latencies_s) > 0:
            self._histograms["gaugecast_end_to_end_seconds", ()].observe(batch.latencies_s)
        if batch.messages == 0 and batch.commit_s is None:
            return  # an idle round's poll is waiting, which would drown the times of work
        for stage, seconds in batch.stage_s.items():
            self._histograms["gaugecast_stage_seconds", (stage,)].observe_one(seconds)

    def _add(self, name: str, labels: tuple[str, ...], count: float) -> None:
        self._counts[name, labels] = self._counts.get((name, labels), 0) + count

    def _add_by_fleet(self, name: str, counts: Mapping[str, int]) -> None:
        for fleet, count in counts.items():
            self._add(f"gaugecast_{name}_total", (self._closed(fleet),), count)

    def _closed(self, fleet: str) -> str:
        return fleet if fleet in self._fleets else ""

    def samples(self) -> Iterator[Sample]:
        """Name, label values and count of every counter."""
        for (name, labels), count in list(self._counts.items()):
            yield name, labels, float(count)

    def histograms(self) -> Iterator[tuple[str, tuple[str, ...], Histogram]]:
        """Name, label values and histogram of each."""
        for (name, labels), histogram in self._histograms.items():
            yield name, labels, histogram
