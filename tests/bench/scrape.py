"""What a scrape costs: /metrics of a daemon with 10,000 streams, and the processor time of writing and packing it."""

from __future__ import annotations

import gzip
import time
import urllib.request
from collections.abc import Callable

from bench.contest import Lane
from bench.results import Bound, Result
from bench.rig import DaemonRun, prepare, run_broker, run_daemon, workplace
from bench.scale import Scale
from gaugecast.metrics import Metrics
from support.mosquitto import wait_until
from test_metrics import columns, full_status

STREAMS = 10_000
SCRAPES = 15
LIMIT = Bound("≤", 100.0)


def measure(scale: Scale) -> list[Result]:
    """With the cap as shipped (200 streams have series) and lifted; then in this process."""
    capped, capped_mb = _scrapes_ms("")
    whole, whole_mb = _scrapes_ms(f"stream_series = {STREAMS}")
    note = f"{STREAMS:,} streams over HTTP, the daemon idle"
    return [
        Result("scrape_10k_ms", "ms", capped, bound=LIMIT, note=f"{note}; 200 of them with series, {capped_mb:.2f} MB"),
        Result("scrape_10k_all_series_ms", "ms", whole, note=f"{note}; all with series, {whole_mb:.1f} MB"),
        *_in_process(),
    ]


def _scrapes_ms(http: str) -> tuple[list[float], float]:
    """Some scrapes over HTTP, gzip asked for as Prometheus does, and the text's size in MB."""
    with workplace() as place, run_broker(place / "broker") as broker:
        config = prepare(place / "daemon", broker.port, qos=1, units=16, http=http)
        with run_daemon(config) as daemon:
            lane = Lane(broker.port, daemon.child.pid, streams=STREAMS, qos=1)
            lane.warm(3)
            active = 'gaugecast_streams{fleet="load",state="active"'
            wait_until(lambda: daemon.metric(active) >= STREAMS, what="streams")
            _scrape_ms(daemon)
            took = [_scrape_ms(daemon) for _ in range(SCRAPES)]
            size = len(daemon.page("/metrics"))
            lane.close()
    return took, size / 1e6


def _scrape_ms(daemon: DaemonRun) -> float:
    """Milliseconds from the request to the last byte."""
    url = f"http://127.0.0.1:{daemon.http}/metrics"
    began = time.perf_counter()
    request = urllib.request.Request(url, headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        answer.read()
    return (time.perf_counter() - began) * 1e3


def _in_process() -> list[Result]:
    """Processor time of the text of 10,000 streams, five series for each of two features, and of packing it; and of
    the part that does not grow with streams."""
    many = columns(STREAMS)
    metrics = Metrics(stream_series=STREAMS, columns=lambda: [many])
    text = metrics.render()
    most = columns(100_000)
    fixed = Metrics(stream_series=0, columns=lambda: [most])
    fixed.set_status(full_status(fleets=10))
    note = f"processor time; {STREAMS:,} streams × 5 series × 2 features, {len(text) / 1e6:.1f} MB"
    return [
        Result("scrape_render_ms", "ms", _cpu_ms(metrics.render), bound=LIMIT, note=note),
        Result("scrape_gzip_ms", "ms", _cpu_ms(lambda: gzip.compress(text, 1)), bound=LIMIT, note=note),
        Result(
            "scrape_fixed_ms", "ms", _cpu_ms(fixed.render), bound=Bound("≤", 50.0),
            note="processor time; 100,000 streams in ten fleets, none with series of its own",
        ),
    ]  # fmt: skip


def _cpu_ms(work: Callable[[], object]) -> list[float]:
    """Of this thread: what others do meanwhile does not count."""
    times = []
    for _ in range(SCRAPES):
        began = time.thread_time()
        work()
        times.append(1e3 * (time.thread_time() - began))
    return times
