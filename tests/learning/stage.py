"""A daemon that learns, and simulated tanks that speak to it: what the end-to-end tests of learning share."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gaugecast import events
from support.daemon import DaemonProcess
from support.mosquitto import Mosquitto, wait_until

#: A step is a minute of plant time: heater and pump cycles take 20 to 40 steps.
PERIOD_S, TIME_SCALE, TANKS = 0.1, 600, 8

CONFIG = """
[mqtt]
port = {port}
reconnect_max_s = 0.3
[loop]
skill_half_life = 200
[learning]
mode = "{mode}"
cpu = 1.0
every_s = 1.0
units = [16]
shadow_after = 20
promote_after = {promote_after}
[fleet.tanks]
subscribe = ["plant/{{site}}/{{tank}}/telemetry"]
time = "$.t"
period = "100ms"
stale_after = "1d"
[fleet.tanks.features.pressure]
[fleet.tanks.features.temperature]
"""


def learning_daemon(directory: Path, port: int, *, mode: str = "child", promote_after: int = 200) -> DaemonProcess:
    """Not started; a new fleet without a model."""
    return DaemonProcess(directory, CONFIG.format(port=port, mode=mode, promote_after=promote_after))


@contextmanager
def running_tanks(broker: Mosquitto) -> Iterator[subprocess.Popen[bytes]]:
    """Simulated tanks that publish in real time, ended by their process id."""
    words = ("--port", str(broker.port), "--tanks", str(TANKS), "--period", str(PERIOD_S))
    command = [sys.executable, "-m", "gaugecast_sim", "tanks", *words, "--time-scale", str(TIME_SCALE)]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def learner_pids(daemon: DaemonProcess) -> list[int]:
    """Process ids of all learners that the daemon has started, as its log says them."""
    return [int(found) for found in re.findall(r"learner started.*?pid\D+(\d+)", daemon.log_text())]


def is_alive(pid: int) -> bool:
    """Whether the process runs (one that has ended and was not waited for does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def kill_learner(daemon: DaemonProcess) -> int:
    """kill -9 of the newest; its process id."""
    pid = learner_pids(daemon)[-1]
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(pid), what="the learner's end")
    return pid


def model_events(daemon: DaemonProcess) -> list[tuple[str, str]]:
    """(what, version) of the events that concern models, in order: a role, `warmed` or `promoted`."""
    with daemon.ledger() as ledger:
        told = [event for _, _, event in ledger.events()]
    words = {events.ShadowWarmed: "warmed", events.ShadowPromoted: "promoted"}
    return [
        (event.role if isinstance(event, events.ModelInstalled) else words[type(event)], event.version)
        for event in told
        if isinstance(event, events.ModelInstalled | events.ShadowPromoted | events.ShadowWarmed)
    ]


def wait_events(daemon: DaemonProcess, what: str, at_least: int, *, deadline_s: float) -> list[tuple[str, str]]:
    """Wait until there are so many events of a kind."""

    def found() -> list[tuple[str, str]]:
        threading.Event().wait(0.2)  # TensorFlow needs the processor more than we do
        told = model_events(daemon)
        return told if sum(kind == what for kind, _ in told) >= at_least else []

    try:
        return wait_until(found, what=f"{at_least} x {what}", deadline_s=deadline_s)  # type: ignore[no-any-return]
    except AssertionError as exc:
        raise AssertionError(f"{exc}; log:\n{daemon.log_tail(40)}") from exc


def mean_skill(daemon: DaemonProcess) -> float:
    """The skill gauge, mean over the two features."""
    samples = daemon.metrics()
    return samples.total("gaugecast_skill") / 2
