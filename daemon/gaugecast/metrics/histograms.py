"""Histograms that take a whole batch at once: what is measured of each round, and is no total."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gaugecast.metrics.facts import STAGES, RoundFacts
from gaugecast.records import Float64, Int64

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


class RoundHistograms:
    """What rounds took. Owner: the loop thread; any thread may read.

    Attributes:
        by_name: Of each metric, its histograms by label values.
    """

    def __init__(self) -> None:
        self._batch, self._commit = Histogram(BATCH_BUCKETS), Histogram(COMMIT_BUCKETS)
        self._latency = Histogram(LATENCY_BUCKETS)
        self._stages = {stage: Histogram(STAGE_BUCKETS) for stage in STAGES}
        self.by_name: dict[str, dict[tuple[str, ...], Histogram]] = {
            "gaugecast_batch_messages": {(): self._batch},
            "gaugecast_commit_seconds": {(): self._commit},
            "gaugecast_end_to_end_seconds": {(): self._latency},
            "gaugecast_stage_seconds": {(stage,): histogram for stage, histogram in self._stages.items()},
        }

    def observe(self, facts: RoundFacts) -> None:
        """Take one round; some 50 µs, whatever the batch's size."""
        if facts.messages > 0:
            self._batch.observe_one(facts.messages)
        if facts.commit_s is not None:
            self._commit.observe_one(facts.commit_s)
        if facts.latencies_s:
            self._latency.observe(np.array(facts.latencies_s))
        if facts.messages == 0 and facts.commit_s is None:
            return  # an idle round's poll is waiting, which would drown the times of work
        for stage, seconds in facts.stage_s.items():
            self._stages[stage].observe_one(seconds)
