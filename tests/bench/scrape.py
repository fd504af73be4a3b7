"""What a scrape costs: /metrics of a daemon with 10,000 streams, all of them with series of their own."""

from __future__ import annotations

import statistics
import tempfile
import time
import urllib.request
from pathlib import Path

from bench.results import Result
from bench.rig import BROKER, DaemonRun, offer, prepare, run_daemon, start_ns
from gaugecast_sim.packets import LoadPlan
from support.mosquitto import run_mosquitto, wait_until

STREAMS = 10_000
RATE = 3000.0
ROUNDS, SCRAPES = 3, 15


def measure() -> list[Result]:
    """With the cap as shipped (200 streams have series) and lifted; the daemon idles, as between two readings."""
    capped, _ = _scrape_ms(cap=200)
    whole, size_mb = _scrape_ms(cap=STREAMS)
    return [
        Result("scrape_10k_ms", capped, "ms", bound="≤ 100", note="10,000 streams, 200 of them with series"),
        Result("scrape_10k_all_series_ms", whole, "ms", note=f"10,000 streams with series, {size_mb:.1f} MB"),
    ]


def _scrape_ms(*, cap: int) -> tuple[float, float]:
    """Median of some scrapes over HTTP, gzip asked for as Prometheus does, and the text's size in MB."""
    plan = LoadPlan(STREAMS, start_ns(), topic="load/{stream}", qos=1)
    with tempfile.TemporaryDirectory() as name, run_mosquitto(Path(name) / "b", conf=BROKER, log_all=False) as broker:
        config = prepare(Path(name) / "d", broker.port, qos=1, units=16)
        config.write_text(config.read_text().replace("[http]\n", f"[http]\nstream_series = {cap}\n"))
        with run_daemon(config) as daemon:
            count = STREAMS * ROUNDS
            offer(broker.port, plan, rate=RATE, seconds=count / RATE, first=0)
            wait_until(
                lambda: daemon.metric("gaugecast_forecasts_total") >= 0.98 * count, what="forecasts", deadline_s=120
            )
            wait_until(
                lambda: daemon.metric('gaugecast_streams{fleet="load",state="active"') >= STREAMS, what="streams"
            )
            _scrape(daemon)
            took = [_scrape(daemon) for _ in range(SCRAPES)]
            plain = urllib.request.urlopen(f"http://127.0.0.1:{daemon.http}/metrics", timeout=10).read()
    return statistics.median(took), len(plain) / 1e6


def _scrape(daemon: DaemonRun) -> float:
    """Milliseconds from the request to the last byte."""
    url = f"http://127.0.0.1:{daemon.http}/metrics"
    began = time.perf_counter()
    request = urllib.request.Request(url, headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        answer.read()
    return (time.perf_counter() - began) * 1e3
