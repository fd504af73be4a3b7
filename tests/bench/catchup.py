"""A restart with a backlog: do forecasts come as fast as readings are taken?"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from bench.results import Result
from bench.rig import BROKER, Counter, DaemonRun, offer, prepare, run_daemon, start_ns
from gaugecast_sim.packets import LoadPlan
from support.mosquitto import run_mosquitto, wait_until

STREAMS, BACKLOG = 1000, 100_000
PATIENCE_S = 90.0


def measure() -> list[Result]:
    """Seconds until all of the backlog is taken, over seconds until all of its forecasts are heard: 1 is best."""
    plan = LoadPlan(STREAMS, start_ns(), topic="load/{stream}", qos=1)
    with tempfile.TemporaryDirectory() as name, run_mosquitto(Path(name) / "b", conf=BROKER, log_all=False) as broker:
        counter = Counter(broker.port, "echo/#", 1)
        config = prepare(Path(name) / "d", broker.port, qos=1)
        with run_daemon(config):
            sent = offer(broker.port, plan, rate=2000.0, seconds=5.0, first=0).sent
            wait_until(lambda: counter.read() >= sent, what="all heard", deadline_s=60)
        sent = offer(broker.port, plan, rate=10_000.0, seconds=BACKLOG / 10_000, first=sent).sent
        before = counter.settled()
        with run_daemon(config) as daemon:
            taken_s, first_s, heard_s, heard = _watch(daemon, counter, before, sent)
        counter.close()
    note = (
        f"{sent:,} readings waited: all taken after {taken_s:.1f} s, first forecast after {first_s:.1f} s, "
        f"{heard:,} heard after {heard_s:.1f} s"
    )
    return [Result("catchup_ratio", taken_s / heard_s, "", bound="≥ 0.8", note=note)]


def _watch(daemon: DaemonRun, counter: Counter, before: int, sent: int) -> tuple[float, float, float, int]:
    """When all was taken, when the first forecast was heard, when the last, and how many were; seconds from READY."""
    began = time.monotonic()
    taken_s = first_s = PATIENCE_S
    while (now_s := time.monotonic() - began) < PATIENCE_S:
        heard = counter.read() - before
        if heard and first_s == PATIENCE_S:
            first_s = now_s
        if taken_s == PATIENCE_S and daemon.metric("gaugecast_messages_received_total") >= sent:
            taken_s = now_s
        if heard >= sent:
            return min(taken_s, now_s), first_s, now_s, heard
        time.sleep(0.05)
    return taken_s, first_s, PATIENCE_S, counter.read() - before
