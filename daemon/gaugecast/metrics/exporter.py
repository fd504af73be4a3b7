"""`Metrics`: what `service` holds, the loop feeds and the HTTP thread prints."""

from __future__ import annotations

import platform
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from gaugecast import __version__
from gaugecast.metrics.catalogue import FIXED, Definition
from gaugecast.metrics.facts import RoundFacts, StreamColumns
from gaugecast.metrics.histograms import RoundHistograms
from gaugecast.metrics.samples import Sample
from gaugecast.metrics.series import StreamSeries
from gaugecast.status import Status

_FAMILIES = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}


def _no_columns() -> Sequence[StreamColumns]:
    return ()


class Metrics(Collector):
    """All metrics of one daemon, in a registry of their own.

    `observe` and `set_status` belong to the loop thread; `render` to any thread.

    Args:
        stream_series: How many streams get series of their own.
        columns: Called at every scrape, in the scraping thread: the streams' columns as last published.
        fingerprint: Within which forecasts are equal to the bit.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        *,
        stream_series: int = 200,
        columns: Callable[[], Sequence[StreamColumns]] = _no_columns,
        fingerprint: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._status = Status()
        self._columns = columns
        self._fingerprint = fingerprint
        self._clock = clock
        self._rounds = self._messages = 0
        self._round_at_s: float | None = None
        self._histograms = RoundHistograms()
        self._series = StreamSeries(stream_series)
        self._scrape_s: float | None = None
        self._scraping = threading.Lock()
        self.registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self.registry)
        self.registry.register(self)

    def observe(self, facts: RoundFacts) -> None:
        """Take what one round took, with a batch or without. Loop thread."""
        self._rounds += 1
        self._messages += facts.messages
        self._round_at_s = self._clock()
        self._histograms.observe(facts)

    def set_status(self, status: Status) -> None:
        """Publish what the daemon says of itself. Loop thread; one assignment."""
        self._status = status

    def note_progress(self) -> None:
        """The loop has finished a part of a long round."""
        self._round_at_s = self._clock()

    @property
    def round_age_s(self) -> float | None:
        """Seconds since the loop finished a round or a part of one; `None` before the first. Any thread."""
        return None if self._round_at_s is None else self._clock() - self._round_at_s

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
        status = self._status
        own = self._own_samples()
        for definition in FIXED:
            if definition.kind == "histogram":
                yield self._histogram_family(definition)
                continue
            family = _FAMILIES[definition.kind](definition.name, definition.help, labels=definition.labels)
            for labels, value in own.get(definition.name) or definition.samples(status):
                family.add_metric(labels, value)
            yield family

    def _own_samples(self) -> dict[str, tuple[Sample, ...]]:
        """What the status does not know: of the loop's rounds, of scraping, of the build."""
        age, build = self.round_age_s, (__version__, platform.python_version(), np.__version__)
        known: dict[str, tuple[tuple[str, ...], float | None]] = {
            "rounds_total": ((), self._rounds),
            "messages_received_total": ((), self._messages),
            "last_round_age_seconds": ((), age),
            "build_info": (build, 1.0),
            "fingerprint_info": ((self._fingerprint or "",), None if self._fingerprint is None else 1.0),
            "stream_series_omitted": ((), self._series.omitted),
            "scrape_seconds": ((), self._scrape_s),
            "clock_seconds": ((), time.time()),
        }
        return {f"gaugecast_{n}": ((labels, float(v)),) for n, (labels, v) in known.items() if v is not None}

    def _histogram_family(self, definition: Definition) -> HistogramMetricFamily:
        family = HistogramMetricFamily(definition.name, definition.help, labels=definition.labels)
        for labels, histogram in self._histograms.by_name[definition.name].items():
            buckets, total = histogram.read()
            family.add_metric(labels, buckets, total)
        return family
