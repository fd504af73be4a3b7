"""`Metrics`: what `service` holds, the loop feeds and the HTTP thread prints."""

from __future__ import annotations

import platform
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from gaugecast import __version__
from gaugecast.metrics.catalogue import COUNTED, STATED, Definition
from gaugecast.metrics.facts import Round, State, StreamColumns
from gaugecast.metrics.gauges import read_state
from gaugecast.metrics.series import StreamSeries
from gaugecast.metrics.tally import Sample, Tally

_FAMILIES = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}


def _no_columns() -> Sequence[StreamColumns]:
    return ()


class Metrics(Collector):
    """All metrics of one daemon, in a registry of their own.

    `observe`, `turned`, `set_state` and `declare_fleets` belong to the loop thread; `render` to any thread.

    Args:
        fleets: Names from the configuration; they close the label `fleet`.
        stream_series: How many streams get series of their own.
        columns: Called at every scrape, in the scraping thread: the streams' columns as last published.
        fingerprint: Within which forecasts are equal to the bit; known once the ledger is open.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        fleets: Iterable[str],
        *,
        stream_series: int = 200,
        columns: Callable[[], Sequence[StreamColumns]] = _no_columns,
        fingerprint: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tally = Tally(fleets)
        self._state: State | None = None
        self._columns = columns
        self._fingerprint = fingerprint
        self._clock = clock
        self._turned_at: float | None = None
        self._series = StreamSeries(stream_series)
        self._scrape_s: float | None = None
        self._scraping = threading.Lock()
        self.registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self.registry)
        self.registry.register(self)

    def observe(self, batch: Round) -> None:
        """Take the facts of one finished batch. Loop thread."""
        self._tally.add(batch)
        self.turned()

    def turned(self) -> None:
        """The loop has finished a round, with a batch or without. Loop thread."""
        self._turned_at = self._clock()

    def set_state(self, state: State) -> None:
        """Publish the gauges' values. Loop thread; one assignment."""
        self._state = state

    def declare_fleets(self, fleets: Iterable[str]) -> None:
        """Add fleets that a reload brought. Loop thread."""
        self._tally.declare_fleets(fleets)

    @property
    def round_age_s(self) -> float | None:
        """Seconds since the loop last finished a round; `None` before the first. Any thread."""
        return None if self._turned_at is None else self._clock() - self._turned_at

    def render(self) -> bytes:
        """Everything in the text format 0.0.4. Any thread; scrapes at the same time wait for each other."""
        with self._scraping:
            begun = time.perf_counter()
            streams = self._series.render(self._columns())
            text = generate_latest(self.registry) + streams.encode()
            self._scrape_s = time.perf_counter() - begun
            return text

    def collect(self) -> Iterator[Metric]:
        """The fixed part, for prometheus_client; every metric of the catalogue is there, with samples or without."""
        found: dict[str, list[Sample]] = {}
        for sample in (*self._tally.samples(), *self._own_samples()):
            found.setdefault(sample[0], []).append(sample)
        for definition in (*COUNTED, *STATED):
            if definition.kind == "histogram":
                yield self._histogram_family(definition)
            else:
                family = _FAMILIES[definition.kind](definition.name, definition.help, labels=definition.labels)
                for _, labels, value in found.get(definition.name, ()):
                    family.add_metric(labels, value)
                yield family

    def _own_samples(self) -> Iterator[Sample]:
        yield "gaugecast_build_info", (__version__, platform.python_version(), np.__version__), 1.0
        yield "gaugecast_stream_series_omitted", (), float(self._series.omitted)
        if self._fingerprint is not None:
            yield "gaugecast_fingerprint_info", (self._fingerprint,), 1.0
        if (age := self.round_age_s) is not None:
            yield "gaugecast_last_round_age_seconds", (), age
        if self._scrape_s is not None:
            yield "gaugecast_scrape_seconds", (), self._scrape_s
        state = self._state
        if state is not None:
            yield from read_state(state)

    def _histogram_family(self, definition: Definition) -> HistogramMetricFamily:
        family = HistogramMetricFamily(definition.name, definition.help, labels=definition.labels)
        for name, labels, histogram in self._tally.histograms():
            if name == definition.name:
                buckets, total = histogram.read()
                family.add_metric(labels, buckets, total)
        return family
