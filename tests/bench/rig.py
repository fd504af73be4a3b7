"""What the benchmarks share: a broker, and a daemon with a model in force."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.meter import Meter
from gaugecast import events
from gaugecast.config import load_settings, resolve_fleets
from gaugecast.ledger.store import Ledger
from gaugecast.pipeline import Pipeline
from gaugecast.records import Commit, Order
from gaugecast.storage.models import ModelStore
from gaugecast.testing import random_model
from support.mosquitto import Mosquitto, free_port, run_mosquitto, wait_until

#: What all contestants get: queues that hold a burst, and a window that does not throttle.
BROKER = "max_queued_messages 0\nmax_inflight_messages {inflight}\n"
#: On the disk that the project is on: a directory for temporary files may be memory.
PLACE = Path("build/bench")
_CONFIG = """
[mqtt]
host = "127.0.0.1"
port = {broker}
{mqtt}
[storage]
directory = "{directory}"
{storage}
[http]
port = {http_port}
{http}
[learning]
rollback_skill = -10
{learning}
[loop]
new_streams_per_s = 1e6
max_streams = 200_000
{loop}
[fleet.load]
subscribe = ["load/{{stream}}"]
time = "$.t"
period = "1s"
output = "{output}"
input_qos = {qos}
output_qos = {qos}
stale_after = "1d"
{fleet}
[fleet.load.features.pressure]
[fleet.load.features.temperature]
"""
_TABLES = ("mqtt", "storage", "http", "learning", "loop", "fleet")


@dataclass(frozen=True, slots=True)
class DaemonRun:
    """A running daemon."""

    child: subprocess.Popen[bytes]
    http: int
    config: Path

    @property
    def meter(self) -> Meter:
        """What the kernel says of it."""
        return Meter(self.child.pid)

    def page(self, path: str) -> bytes:
        """What it answers over HTTP."""
        answer: bytes = urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=10).read()
        return answer

    def metric(self, name: str) -> float:
        """Sum of the samples whose line begins with `name`."""
        lines = self.page("/metrics").decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


@contextmanager
def workplace() -> Iterator[Path]:
    """An empty directory, gone at the end."""
    PLACE.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(dir=PLACE)).resolve()
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def run_broker(directory: Path, *, inflight: int = 1000) -> Iterator[Mosquitto]:
    """A broker that drops nothing, and lets a client have so many messages on their way at QoS 1."""
    with run_mosquitto(directory, conf=BROKER.format(inflight=inflight), log_all=False) as broker:
        yield broker


def prepare(
    directory: Path, broker_port: int, *, qos: int, units: int = 64, output: str = "echo/{stream}", **tables: str
) -> Path:
    """Write a configuration, and a ledger in which an LSTM is in force.

    Args:
        output: Topic of the forecasts.
        tables: Lines to add to a table: `loop="batch_ms = 0"`. Without any for `learning`, nothing learns.
    """
    directory.mkdir(parents=True)
    config, state = directory / "gaugecast.toml", directory / "state"
    tables.setdefault("learning", 'mode = "off"')
    lines = {name: tables.pop(name, "") for name in _TABLES}
    assert not tables, f"tables are {_TABLES}, got {tables}"
    config.write_text(
        _CONFIG.format(broker=broker_port, directory=state, http_port=free_port(), qos=qos, output=output, **lines)
    )
    settings = load_settings(config, {})
    (fleet,) = resolve_fleets(settings)
    version = ModelStore(state).add(fleet.name, random_model(fleet.name, units=(units,), gain=0.1))
    now = time.time_ns()
    inputs = [
        Order.configuring(fleet).stamped(now),
        Order(events.ModelInstalled("in_force", version), fleet.name).stamped(now),
    ]
    verdicts = Pipeline(settings.loop, ModelStore(state).load).advance(inputs).verdicts
    ledger = Ledger.open(state, settings.storage)
    ledger.commit(Commit(inputs, verdicts, []))
    ledger.end_run()
    ledger.close()
    return config


@contextmanager
def run_daemon(config: Path, *, wait: bool = True, environment: Mapping[str, str] | None = None) -> Iterator[DaemonRun]:
    """`gaugecast run`, ready and connected if `wait`; killed (-9) at the end."""
    settings = load_settings(config, {})
    log = (config.parent / "run.log").open("ab")
    command = [sys.executable, "-m", "gaugecast", "run", "-c", str(config)]
    child = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **(environment or {})})
    daemon = DaemonRun(child, settings.http.port, config)
    try:
        if wait:
            wait_until(lambda: is_ready(daemon), what=f"daemon ready ({config.parent / 'run.log'})", deadline_s=60)
        yield daemon
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGKILL)
        child.wait()
        log.close()


def is_ready(daemon: DaemonRun) -> bool:
    """Whether it is connected and turns."""
    assert daemon.child.poll() is None, "the daemon ended"
    try:
        daemon.page("/readyz")
    except OSError:
        return False
    return True


@contextmanager
def listening() -> Iterator[tuple[dict[str, str], Callable[[], None]]]:
    """What systemd does for a unit: a socket, named in the environment, and a call that waits for READY=1 on it."""
    # Not in the workplace: a socket's path may have a hundred characters.
    with tempfile.TemporaryDirectory() as name, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        address = str(Path(name) / "notify")
        sock.bind(address)
        sock.settimeout(60)

        def ready() -> None:
            while b"READY=1" not in sock.recv(4096).split(b"\n"):
                pass

        yield {"NOTIFY_SOCKET": address}, ready
