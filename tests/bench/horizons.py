"""What listed horizons cost a reading, and a stream's state: the experts alone, at a batch of 256 streams."""

from __future__ import annotations

import time

import numpy as np

from bench.meter import cost_us
from bench.results import Bound, Result
from bench.scale import Scale
from gaugecast.forecast.crossings.extremes import Extremes
from gaugecast.forecast.horizons.experts import HorizonExperts
from gaugecast.service.allocator import keep_freed_memory

STREAMS, FEATURES = 256, 2
SECOND_NS, HOUR_NS = 10**9, 3600 * 10**9
#: What is listed: name, period, horizons, most µs a reading, most bytes a stream.
CASES: tuple[tuple[str, int, tuple[int, ...], float, int | None], ...] = (
    ("next_step", SECOND_NS, (1,), 8.0, 2560),
    ("four", SECOND_NS, (1, 60, 900, 3600), 40.0, None),
    ("24", HOUR_NS, tuple(range(1, 25)), 150.0, None),
)


def measure(scale: Scale) -> list[Result]:
    """Processor time a reading, of each case, and of one threshold an hour ahead."""
    keep_freed_memory()  # as the daemon does
    results = []
    for name, period_ns, horizons, most_us, most_bytes in CASES:
        stand = Stand(period_ns, horizons)
        took = [stand.cost_us(scale.seconds(0.5)) for _ in range(scale.rounds)]
        note = f"{STREAMS} streams of {FEATURES} features a batch, intervals at two levels, the network not counted"
        results.append(Result(f"horizons_{name}_us", "µs", took, bound=Bound("≤", most_us), note=note))
        if most_bytes is not None:
            size = [float(stand.experts.columns.row_bytes)]
            results.append(Result(f"horizons_{name}_bytes", "B", size, bound=Bound("≤", most_bytes), note="a stream"))
    took = _threshold_us(scale)
    return [*results, Result("threshold_us", "µs", took, note="one threshold, within 1 h of 1 Hz, beside the above")]


class Stand:
    """Walks of many streams that go on and on."""

    def __init__(self, period_ns: int, horizons: tuple[int, ...]) -> None:
        self.experts = HorizonExperts(period_ns, FEATURES, horizons, capacity=STREAMS)
        self._rng = np.random.default_rng(0)
        self._x = self._rng.normal(size=(STREAMS, FEATURES))
        self._slots, self._gap = np.arange(STREAMS), np.zeros(STREAMS, np.int64)
        for _ in range(2 * min(64, max(horizons)) + 20):
            self._step()

    def cost_us(self, window_s: float) -> float:
        """Processor time a reading, µs, over rounds that take about so long."""
        return cost_us(self._step, window_s, readings=STREAMS)

    def _step(self) -> float:
        last, count = self._x, self.experts.layout.count
        self._x = x = last + self._rng.normal(size=last.shape)
        own = x[:, None] + self._rng.normal(size=(STREAMS, count, FEATURES))
        began = time.process_time()
        self.experts.step(self._slots, x, x=x, last=last, gap=self._gap, own=own)
        return time.process_time() - began


def _threshold_us(scale: Scale) -> list[float]:
    extremes = Extremes(SECOND_NS, 1, (60, 450, 900, 1350, 1800, 2700, 3600), capacity=STREAMS)
    rng, last = np.random.default_rng(0), np.zeros((STREAMS, 1))
    own = np.full((STREAMS, 1, extremes.layout.count), np.nan)

    def step() -> float:
        nonlocal last
        before, last = last, last + rng.normal(size=last.shape)
        began = time.process_time()
        extremes.step(
            np.arange(STREAMS), last, x=last, last=before, gap=np.zeros(STREAMS, np.int64), own=own,
            level=np.array([9.0]), reach=np.array([extremes.layout.count - 1]),
        )  # fmt: skip
        return time.process_time() - began

    return [cost_us(step, scale.seconds(0.5), readings=STREAMS) for _ in range(scale.rounds)]
