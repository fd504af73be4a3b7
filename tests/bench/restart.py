"""From nothing to READY; and from `kill -9` and a new start to the first forecast, with the load going on."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from bench.contest import Lane
from bench.results import Bound, Result
from bench.rig import listening, prepare, run_broker, run_daemon, workplace
from bench.scale import Scale
from support.mosquitto import wait_until

STREAMS, RATE = 10_000, 2000.0
WORK_S = 4.0


def is_over(until_s: float) -> bool:
    """Whether it is so late."""
    return time.monotonic() > until_s


def measure(scale: Scale) -> list[Result]:
    """Some starts of each kind."""
    with workplace() as place, run_broker(place / "broker") as broker:
        fresh_s = [_start_s(place / f"fresh{i}", broker.port) for i in range(scale.rounds)]
        config = prepare(place / "daemon", broker.port, qos=1)
        with run_daemon(config) as daemon:
            lane = Lane(broker.port, daemon.child.pid, streams=STREAMS, qos=1)
            lane.warm(10)
        ready_s, first_s = _restarts(config, lane, scale.rounds)
        lane.close()
    note = f"{STREAMS:,} streams, {RATE:,.0f}/s at QoS 1, after `kill -9`"
    return [
        Result(
            "start_ready_s", "s", fresh_s, bound=Bound("≤", 1.5), note="a fresh state directory with a model in force"
        ),
        Result("restart_10k_ready_s", "s", ready_s, note=f"until READY; {note}"),
        Result("restart_10k_s", "s", first_s, bound=Bound("≤", 2.0), note=f"until the next forecast is heard; {note}"),
    ]


def _start_s(directory: Path, port: int) -> float:
    config = prepare(directory, port, qos=1, mqtt=f'client_id = "{directory.name}"')
    with listening() as (environment, ready):
        began = time.monotonic()
        with run_daemon(config, wait=False, environment=environment):
            ready()
            return time.monotonic() - began


def _restarts(config: Path, lane: Lane, tries: int) -> tuple[list[float], list[float]]:
    """Seconds from each start to READY, and to the next forecast."""
    ready_s, first_s = [], []
    lane.traffic.begin(RATE, 600.0)
    for _ in range(tries):
        before = lane.counter.settled()
        with listening() as (environment, ready):
            began = time.monotonic()
            with run_daemon(config, wait=False, environment=environment):
                ready()
                ready_s.append(time.monotonic() - began)
                assert lane.counter.reached(before + 1, 60), "no forecast within a minute"
                first_s.append(time.monotonic() - began)
                wait_until(partial(is_over, began + WORK_S), what="some seconds of work")
    lane.traffic.stop()
    return ready_s, first_s
