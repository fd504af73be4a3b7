"""A restart with a backlog: do forecasts come as fast as when all was well?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.contest import Lane
from bench.results import Bound, Result
from bench.rig import listening, prepare, run_broker, run_daemon, workplace
from bench.scale import Scale

STREAMS, BACKLOG = 10_000, 300_000
FEW_STREAMS, FEW_BACKLOG = 10, 100_000
OFFERED = 30_000.0
PATIENCE_S = 120.0


def measure(scale: Scale) -> list[Result]:
    """With many streams, and with few."""
    ratio, first_s, note = _catch_up(STREAMS, BACKLOG, scale)
    few_ratio, _, few_note = _catch_up(FEW_STREAMS, FEW_BACKLOG, scale)
    return [
        Result("catchup_ratio", "msg/s", *ratio, Bound("≥", 0.8, "ratio"), note),
        Result("catchup_first_s", "s", [first_s], bound=Bound("≤", 2.0), note="from READY to the first forecast"),
        Result("catchup_ratio_10_streams", "msg/s", *few_ratio, note=few_note),
    ]


def _catch_up(streams: int, backlog: int, scale: Scale) -> tuple[tuple[list[float], list[float]], float, str]:
    """What is confirmed a second of the backlog, and what was held before; when the first came, s; what was seen."""
    with workplace() as place, run_broker(place / "broker") as broker:
        config = prepare(place / "daemon", broker.port, qos=1)
        with _daemon_lane(config, broker.port, streams) as lane:
            lane.warm(max(10, 2000 // streams))
            held = lane.pace(scale).rate
            traffic, counter = lane.traffic, lane.counter
            before = counter.settled()
        traffic.offer(OFFERED, scale.count(backlog) / OFFERED)
        waiting = traffic.sent - before
        with listening() as (environment, ready), run_daemon(config, wait=False, environment=environment):
            ready()
            began = time.monotonic()
            counter.reached(before + 1, PATIENCE_S)
            first_s = time.monotonic() - began
            counter.reached(traffic.sent, PATIENCE_S)
            took_s, heard = time.monotonic() - began, counter.read() - before
        counter.close()
    note = f"{streams:,} streams, {waiting:,} readings waited: {heard:,} confirmed within {took_s:.1f} s"
    return ([heard / took_s], [held]), first_s, note + "; the peer is what was held before, in a closed loop"


@contextmanager
def _daemon_lane(config: Path, port: int, streams: int) -> Iterator[Lane]:
    """A lane whose subscriber outlives the daemon."""
    with run_daemon(config) as daemon:
        yield Lane(port, daemon.child.pid, streams=streams, qos=1)
