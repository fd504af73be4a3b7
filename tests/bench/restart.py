"""From `kill -9` and a new start to the first forecast, with the load going on."""

from __future__ import annotations

import multiprocessing
import statistics
import tempfile
import time
from pathlib import Path

from bench.results import Result
from bench.rig import BROKER, Counter, offer, prepare, run_daemon, send, start_ns
from gaugecast_sim.packets import LoadPlan
from support.mosquitto import run_mosquitto, wait_until

STREAMS, RATE, TRIES = 10_000, 2000.0, 5


def measure() -> list[Result]:
    """Median of some restarts at 2,000 readings/s with 10,000 streams."""
    plan = LoadPlan(STREAMS, start_ns(), topic="load/{stream}", qos=1)
    with tempfile.TemporaryDirectory() as name, run_mosquitto(Path(name) / "b", conf=BROKER, log_all=False) as broker:
        counter = Counter(broker.port, "echo/#", 1)
        config = prepare(Path(name) / "d", broker.port, qos=1)
        with run_daemon(config):
            warm = offer(broker.port, plan, rate=RATE, seconds=20 * STREAMS / RATE / 2, first=0)
        load = multiprocessing.get_context("fork").Process(
            target=send, args=(broker.port, plan, RATE, 60.0 + 15 * TRIES, warm.sent), daemon=True
        )
        load.start()
        took = []
        for _ in range(TRIES):
            before = counter.settled()
            began = time.monotonic()
            with run_daemon(config, wait=False):
                wait_until(lambda before=before: counter.read() > before, what="a forecast", deadline_s=60)
                took.append(time.monotonic() - began)
                wait_until(lambda b=began: time.monotonic() > b + 10, what="ten seconds of work")
        load.kill()
        counter.close()
    return [
        Result(
            "restart_10k_s", statistics.median(took), "s", bound="≤ 2",
            note=f"{STREAMS} streams, {RATE:.0f}/s; worst of {TRIES}: {max(took):.2f}",
        )
    ]  # fmt: skip
