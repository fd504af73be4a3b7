"""What looking for anomalies costs a reading, and a stream's state: a whole `advance` with it beside one without."""

from __future__ import annotations

import time

import numpy as np

from bench.meter import cost_us
from bench.results import Bound, Result
from bench.scale import Scale
from gaugecast.batch import Inputs
from gaugecast.records import Input
from gaugecast.service.allocator import keep_freed_memory
from gaugecast.testing import SECOND, T0, fleet_of, pipeline_of
from gaugecast.watching import AnomalySettings

STREAMS, FEATURES = 256, "pq"
#: Most µs a reading, and bytes a stream, beyond those of a fleet that does not look for any.
MOST_US, MOST_BYTES = 6.0, 1024
#: Steps before anything is measured: by then limits are there, and a longer stretch is being looked at.
_CALIBRATED = 600


def measure(scale: Scale) -> list[Result]:
    """Processor time a reading, of both in turn."""
    keep_freed_memory()  # as the daemon does
    plain, watched = Stand(None), Stand(AnomalySettings())
    took, without = [], []
    for _ in range(scale.rounds):
        without.append(plain.cost_us(scale.seconds(0.5)))
        took.append(watched.cost_us(scale.seconds(0.5)))
    more = [ours - peer for ours, peer in zip(took, without, strict=True)]
    note = f"{STREAMS} streams of {len(FEATURES)} features a batch, forecast by persistence, no autoencoder"
    return [
        Result("anomaly_us", "µs", more, bound=Bound("≤", MOST_US), note=f"{note}: what it adds, in messages, too"),
        Result("anomaly_advance_us", "µs", took, without, note=f"{note}: all of `advance`; the peer looks for none"),
        Result("anomaly_bytes", "B", [float(watched.row_bytes)], bound=Bound("≤", MOST_BYTES), note="a stream"),
    ]  # fmt: skip


class Stand:
    """Noisy streams that go on and on."""

    def __init__(self, settings: AnomalySettings | None) -> None:
        self._pipeline = pipeline_of(fleet_of(FEATURES, anomaly=settings), max_streams=1000)
        self._rng, self._tick = np.random.default_rng(0), 0
        self._names = [f"s{number}" for number in range(STREAMS)]
        for _ in range(_CALIBRATED):
            self._advance()

    @property
    def row_bytes(self) -> int:
        """Of one stream, of what is remembered for anomalies."""
        watching = self._pipeline.parts["tanks"].anomalies
        return 0 if watching is None else sum(columns.row_bytes for columns in watching.tables().values())

    def cost_us(self, window_s: float) -> float:
        """Processor time a reading, µs, over batches that take about so long."""
        return cost_us(self._advance, window_s, readings=STREAMS)

    def _advance(self) -> float:
        values = 10.0 + self._rng.normal(size=(STREAMS, len(FEATURES)))
        at = T0 + self._tick * SECOND
        self._tick += 1
        rows = Inputs.of(
            [
                Input.reading("tanks", name, at, at, value.tobytes())
                for name, value in zip(self._names, values, strict=True)
            ]
        )
        began = time.process_time()
        self._pipeline.advance(rows)
        return time.process_time() - began
