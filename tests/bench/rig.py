"""What the benchmarks share: a broker, a daemon with a model in force, load, and an independent counter."""

from __future__ import annotations

import multiprocessing
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gaugecast import events
from gaugecast.config import load_settings, resolve_fleets
from gaugecast.ledger.store import Ledger
from gaugecast.pipeline import Pipeline
from gaugecast.records import Commit, Order
from gaugecast.storage.models import ModelStore
from gaugecast_sim.load import LoadGenerator, LoadReport
from gaugecast_sim.packets import LoadPlan
from gaugecast_sim.sink import Sink
from support.models import random_model
from support.mosquitto import free_port, wait_until

#: What both peers get: queues that hold a burst, and a window that does not throttle.
BROKER = "max_queued_messages 0\nmax_inflight_messages 1000\n"
_CONFIG = """
[mqtt]
host = "127.0.0.1"
port = {broker}
protocol = "{protocol}"
[storage]
directory = "{directory}"
[http]
port = {http}
[learning]
mode = "off"
rollback_skill = -10
[loop]
new_streams_per_s = 1e6
max_streams = 200_000
[fleet.load]
subscribe = ["load/{{stream}}"]
time = "$.t"
period = "1s"
output = "echo/{{stream}}"
input_qos = {qos}
output_qos = {qos}
stale_after = "1d"
[fleet.load.features.pressure]
[fleet.load.features.temperature]
"""


@dataclass(frozen=True, slots=True)
class DaemonRun:
    """A running daemon."""

    child: subprocess.Popen[bytes]
    http: int
    config: Path

    @property
    def rss_mb(self) -> float:
        """Resident memory, MB."""
        return self._memory_mb("VmRSS")

    @property
    def peak_rss_mb(self) -> float:
        """Highest resident memory so far, MB."""
        return self._memory_mb("VmHWM")

    def _memory_mb(self, name: str) -> float:
        lines = Path(f"/proc/{self.child.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1000

    def metric(self, name: str) -> float:
        """Sum of the samples whose line begins with `name`."""
        text = urllib.request.urlopen(f"http://127.0.0.1:{self.http}/metrics", timeout=10).read().decode()
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))


def prepare(directory: Path, broker_port: int, *, qos: int, units: int = 64, protocol: str = "5") -> Path:
    """Write a configuration, and a ledger in which an LSTM is in force."""
    directory.mkdir(parents=True)
    config = directory / "gaugecast.toml"
    state = directory / "state"
    config.write_text(_CONFIG.format(broker=broker_port, protocol=protocol, directory=state, http=free_port(), qos=qos))
    settings = load_settings(config, {})
    (fleet,) = resolve_fleets(settings)
    model = random_model(fleet.name, units=(units,), gain=0.1)
    version = ModelStore(state).add(fleet.name, model)
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
def run_daemon(config: Path, *, wait: bool = True) -> Iterator[DaemonRun]:
    """`gaugecast run`, ready and connected if `wait`; killed (-9) at the end."""
    settings = load_settings(config, {})
    log = (config.parent / "run.log").open("ab")
    child = subprocess.Popen([sys.executable, "-m", "gaugecast", "run", "-c", str(config)], stdout=log, stderr=log)
    daemon = DaemonRun(child, settings.http.port, config)
    try:
        if wait:
            wait_until(lambda: _ready(daemon), what=f"daemon ready ({config.parent / 'run.log'})", deadline_s=60)
        yield daemon
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGKILL)
        child.wait()
        log.close()


def _ready(daemon: DaemonRun) -> bool:
    assert daemon.child.poll() is None, "the daemon ended"
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{daemon.http}/readyz", timeout=5).close()
    except OSError:
        return False
    return True


@contextmanager
def run_echo(port: int, *, qos: int, protocol: str = "5") -> Iterator[subprocess.Popen[bytes]]:
    """The peer, killed at the end."""
    child = subprocess.Popen([sys.executable, "-m", "bench.echo", str(port), str(qos), protocol])
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def offer(port: int, plan: LoadPlan, *, rate: float, seconds: float, first: int) -> LoadReport:
    """Send load from a process of its own."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(send, (port, plan, rate, seconds, first))


def start_ns() -> int:
    """Event time of the first round: ten days ago, so that event time may run ahead of the clock."""
    return (time.time_ns() // 10**9 - 10 * 86_400) * 10**9


def send(port: int, plan: LoadPlan, rate: float, seconds: float, first: int) -> LoadReport:
    """Offer load from this process."""
    return LoadGenerator("127.0.0.1", port, plan, rate=rate, seconds=seconds, first=first).run()


class Counter:
    """A subscriber in a process of its own; `read()` is how many messages it has."""

    def __init__(self, port: int, topic: str, qos: int) -> None:
        context = multiprocessing.get_context("fork")
        self._count = context.Value("q", 0)
        self._ready = context.Event()
        self._process = context.Process(target=self._run, args=(port, topic, qos), daemon=True)
        self._process.start()
        assert self._ready.wait(10), "the counting subscriber did not subscribe"

    def _run(self, port: int, topic: str, qos: int) -> None:
        with Sink("127.0.0.1", port, [topic], qos=qos) as sink:
            self._ready.set()
            while True:
                sink.wait_for(self._count.value + 1, 0.05)
                self._count.value = sink.count

    def read(self) -> int:
        """Messages so far."""
        return int(self._count.value)

    def settled(self) -> int:
        """The count once nothing has come for half a second."""
        count, since = self.read(), time.monotonic()
        while time.monotonic() - since < 0.5:
            time.sleep(0.02)
            if self.read() != count:
                count, since = self.read(), time.monotonic()
        return count

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.join()
