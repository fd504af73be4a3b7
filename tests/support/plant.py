"""A whole installation at work: tanks, broker, daemon, a word from the learner, and a Prometheus that looks at it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from gaugecast.control import SOCKET_NAME, call
from gaugecast.demo.tanks import FLEET, PERIOD_S, TIME_SCALE
from support.daemon import DaemonProcess, run_daemon
from support.demo_plant import config
from support.mosquitto import Mosquitto, run_mosquitto, wait_until
from support.prometheus import Prometheus, run_prometheus

#: What a learner reports once a second.
LEARNER = {"updates_total": 3, "failures_total": 0, "drift_total": 0, "handovers_total": 1, "rate": 1e-3, "lag_s": 0.5}


@dataclass(frozen=True, slots=True)
class Plant:
    """What runs; `began` and `ended` bound the time in which Prometheus looked at it, Unix seconds."""

    broker: Mosquitto
    daemon: DaemonProcess
    prometheus: Prometheus
    began: float
    ended: float


@contextmanager
def run_plant(directory: Path, *, seconds: float = 30.0, tanks: int = 3) -> Iterator[Plant]:
    """Everything, after it has been at work for so long; ended on leaving."""
    with ExitStack() as stack:
        broker = stack.enter_context(run_mosquitto(directory / "broker", log_all=False))
        daemon = stack.enter_context(
            run_daemon(
                directory / "d", config(broker.port, stale_after="5s", mqtt=""), storage="checkpoint_every_s = 5"
            )
        )
        prometheus = stack.enter_context(run_prometheus(directory / "prometheus", [f"127.0.0.1:{daemon.http_port}"]))
        sensors = _start_tanks(broker.port, tanks)
        stack.callback(_end, sensors)
        told = threading.Event()
        speaker = threading.Thread(target=_report, args=(daemon, told), daemon=True)
        speaker.start()
        stack.callback(speaker.join, 10)
        stack.callback(told.set)
        daemon.wait_metric("gaugecast_forecasts_total", 1)
        began = time.time()
        wait_until(lambda: time.time() - began >= seconds, what="the plant at work", deadline_s=seconds + 30)
        yield Plant(broker, daemon, prometheus, began, time.time())


def _start_tanks(port: int, tanks: int) -> subprocess.Popen[bytes]:
    words = ["tanks", "--port", str(port), "--tanks", str(tanks), "--period", str(PERIOD_S)]
    faults = [
        "--time-scale",
        str(TIME_SCALE),
        "--faults-per-hour",
        "400",
        "--fault",
        "gap",
        "--fault",
        "nan",
        "--seed",
        "3",
    ]
    return subprocess.Popen([sys.executable, "-m", "gaugecast_sim", *words, *faults], stdout=subprocess.DEVNULL)


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait(timeout=20)


def _report(daemon: DaemonProcess, told: threading.Event) -> None:
    """Speak to the daemon as a learner does: by the same command, once a second."""
    while not told.wait(1.0):
        call(daemon.state / SOCKET_NAME, {"command": "learner", "fleet": FLEET, **LEARNER})
