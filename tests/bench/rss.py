"""Peak resident memory of `gaugecast run` with many streams, copies for checkpoints included."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.results import Result
from bench.rig import BROKER, Counter, DaemonRun, offer, prepare, run_daemon, start_ns
from gaugecast_sim.packets import LoadPlan
from support.mosquitto import run_mosquitto, wait_until

RATE = 3000.0


def measure() -> list[Result]:
    """1,000 and 100,000 streams of two features, LSTM(64), rows `per_feature`."""
    return [
        Result("rss_1k_mb", _peak_mb(1_000, rounds=60), "MB", bound="≤ 100", note="1,000 streams"),
        Result("rss_100k_mb", _peak_mb(100_000, rounds=3), "MB", bound="≤ 400", note="100,000 streams"),
    ]


def _peak_mb(streams: int, *, rounds: int) -> float:
    plan = LoadPlan(streams, start_ns(), topic="load/{stream}", qos=1)
    with tempfile.TemporaryDirectory() as name, run_mosquitto(Path(name) / "b", conf=BROKER, log_all=False) as broker:
        counter = Counter(broker.port, "echo/#", 1)
        with run_daemon(prepare(Path(name) / "d", broker.port, qos=1)) as daemon:
            count = streams * rounds
            offer(broker.port, plan, rate=RATE, seconds=count / RATE, first=0)
            wait_until(
                lambda: daemon.metric("gaugecast_forecasts_total") >= 0.98 * count, what="forecasts", deadline_s=120
            )
            wait_until(lambda: _has_checkpoint(daemon), what="a checkpoint", deadline_s=120)
            peak = daemon.peak_rss_mb
        counter.close()
    return peak


def _has_checkpoint(daemon: DaemonRun) -> bool:
    return daemon.metric("gaugecast_checkpoints_total") >= 1
