"""A real cluster on this machine, hurt while it works: Ray, mosquitto, PostgreSQL, a steady load."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import ray
from ray.cluster_utils import Cluster

from chaos.reference import Reference, run_reference
from chaos.scenario import BROKER_CONF, FLEET, UNITS, config_text
from gaugecast import events
from gaugecast.cluster.plan import Plan
from gaugecast.cluster.postgres.ledger import PostgresLedger
from gaugecast.cluster.postgres.models import ModelRows
from gaugecast.cluster.postgres.place import Place
from gaugecast.cluster.ray import start
from gaugecast.cluster.ray.controller import NAMESPACE, PartStatus
from gaugecast.cluster.routing import slots_of
from gaugecast.config import load_settings
from gaugecast.errors import Fenced
from gaugecast.forecast.message import SCHEMA
from gaugecast.model import Model
from gaugecast.records import Commit, Input, Order, Verdict
from gaugecast.testing import random_model
from gaugecast_sim.load import LoadGenerator
from gaugecast_sim.packets import LoadPlan
from gaugecast_sim.sink import Sink
from support.mosquitto import run_mosquitto, wait_until
from support.postgres import Postgres, running

_RAYLET = "raylet"
_DEADLINE_S = 90.0
#: Readings over which processor time is measured, before anything is hurt.
_MEASURED = 1000


@dataclass(slots=True)
class Heard:
    """What the world saw.

    Attributes:
        bodies: By stream and step the first copy's body.
        torn: Further copies whose bytes differ.
        disordered: First copies that came after one of a later step.
        copies: Further copies.
        silence_s: The longest time in which a stream's forecasts did not come, while there were readings.
    """

    bodies: dict[str, dict[int, bytes]] = field(default_factory=dict)
    torn: int = 0
    disordered: int = 0
    copies: int = 0
    silence_s: float = 0.0


@dataclass(slots=True)
class Findings:
    """Of one run: all but `kills`, `readings`, `copies` and `silence_s` should be zero; see `Heard`."""

    kills: int
    readings: int
    lost: int = 0
    twice: int = 0
    differing: int = 0
    disordered: int = 0
    copies: int = 0
    fenced: int = 0
    silence_s: float = 0.0
    ingest_us: float = 0.0
    partition_us: float = 0.0
    partition_mb: float = 0.0
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def red(self) -> bool:
        """Whether a promise was broken."""
        return self.lost + self.twice + self.differing + self.disordered > 0 or self.silence_s > 10.0


class Site:
    """Everything that runs, and the ways to hurt it.

    Attributes:
        load: The sensors.
        kills: So far.
        fenced: Writes with an old token that were refused.
    """

    def __init__(
        self, directory: Path, stack: ExitStack, *, partitions: int, streams: int, rate: float, patience_ms: int
    ) -> None:
        self.directory, self.partitions, self.kills, self.fenced = directory, partitions, 0, 0
        self.broker = stack.enter_context(run_mosquitto(directory / "broker", conf=BROKER_CONF, log_all=False))
        (directory / "postgres").mkdir(mode=0o755)
        self.postgres: Postgres = stack.enter_context(running(directory / "postgres"))
        self.config = directory / "gaugecast.toml"
        self.config.write_text(
            config_text(self.broker.port, ahead=False) + f'\n[storage]\npostgres = "{self.postgres.url}"\n'
            f'directory = "{directory}/unused"\n[http]\nport = 0\n'
        )
        self.settings = load_settings(self.config, {})
        self.place = Place.of(self.settings.storage)
        self.model: Model = random_model(FLEET, units=UNITS, seed=1, gain=0.05)
        self.beginning = next(iter([self._seed(number) for number in range(partitions)]))
        self.plan = LoadPlan(streams, (int(time.time()) - 10 * 86_400) * 10**9, qos=1)
        self.sink = stack.enter_context(
            Sink("127.0.0.1", self.broker.port, ["gaugecast/+/+"], qos=1, record=True, client_id="judge", clean=False)
        )
        self.load = LoadGenerator("127.0.0.1", self.broker.port, self.plan, rate=rate)
        self._loading = threading.Thread(target=self.load.run, daemon=True)
        self.nodes: list[Any] = []
        self._start_ray(stack, patience_ms)
        self._start_gaugecast(stack)

    def _seed(self, number: int) -> list[Input]:
        """What each partition begins with: a lineage, the fleet, an LSTM in force."""
        (fleet,) = Plan.of([self.settings], self.partitions).fleets
        place, scratch = self.place.part(number), self.directory / f"seed{number}"
        storage = self.settings.storage.model_copy(update={"directory": scratch})
        scratch.mkdir()
        ledger = PostgresLedger.open(place, storage, slots=slots_of(number, self.partitions))
        version = ModelRows(scratch, place, lambda: ledger.token).add(FLEET, self.model)
        installed = events.ModelInstalled("in_force", version, sha256=self.model.manifest.sha256, reason="test")
        inputs = [
            Order(events.LineageBegun("0a0b0c0d", reason="test", schema=SCHEMA)).stamped(1),
            Order.configuring(fleet).stamped(1),
            Order(installed, FLEET).stamped(1),
        ]
        ledger.commit(Commit(inputs, [Verdict.NONE] * len(inputs), []))
        ledger.close()
        return inputs

    def _start_ray(self, stack: ExitStack, patience_ms: int) -> None:
        head = {
            "num_cpus": 1,
            "include_dashboard": False,
            "object_store_memory": 100 << 20,
            "_system_config": {**start.HEALTH, "health_check_timeout_ms": patience_ms},
        }
        self.ray = Cluster(initialize_head=True, head_node_args=head)
        stack.callback(self.ray.shutdown)
        for _ in range(2):
            self.add_node()
        ray.init(address=self.ray.address, namespace=NAMESPACE, log_to_driver=False)
        stack.callback(ray.shutdown)

    def _start_gaugecast(self, stack: ExitStack) -> None:
        log = (self.directory / "cluster.log").open("wb")
        words = ["cluster", "run", "-c", str(self.config), "--address", self.ray.address]
        self.command = subprocess.Popen(
            [sys.executable, "-m", "gaugecast", *words, "--partitions", str(self.partitions)], stdout=log, stderr=log
        )
        stack.callback(self._end_gaugecast)
        wait_until(self._all_there, what=self.log_tail, deadline_s=3 * _DEADLINE_S)

    def _end_gaugecast(self) -> None:
        self.command.send_signal(signal.SIGTERM)
        try:
            self.command.wait(60)
        except subprocess.TimeoutExpired:
            self.command.kill()

    def log_tail(self) -> str:
        """The end of what the command has said."""
        return "all parts at work: " + (self.directory / "cluster.log").read_text()[-3000:]

    # -- looking

    def parts(self) -> dict[str, PartStatus]:
        """By name; empty while nobody answers."""
        with contextlib.suppress(Exception):
            return {part.name: part for part in start.ask_status()}
        return {}

    def _all_there(self) -> bool:
        assert self.command.poll() is None, self.log_tail()
        parts = self.parts()
        heard = parts["ingest-0"].told if "ingest-0" in parts else None
        well = all(part.told is not None for part in parts.values())
        return len(parts) == self.partitions + 1 and well and heard is not None and bool(heard["connected"])

    def begin_load(self) -> None:
        """Sensors begin to speak; a forecast is waited for."""
        self._loading.start()
        self.wait_forecasts()

    def wait_forecasts(self, many: int = 1) -> None:
        """Wait for so many more."""
        before = self.sink.count
        wait_until(lambda: self.sink.count >= before + many, what=self.log_tail, deadline_s=_DEADLINE_S)

    def measure(self, many: int) -> tuple[float, float, float]:
        """Processor time of a reading in the ingest and in its partition, µs; the largest partition's memory, MB."""
        pids = {name: part.pid for name, part in self.parts().items()}
        before = {name: _cpu_s(pid) for name, pid in pids.items()}
        count = self.sink.count
        self.wait_forecasts(many)
        came = self.sink.count - count
        spent = {name: (_cpu_s(pid) - before[name]) / came * 1e6 for name, pid in pids.items()}
        ingest_us = sum(us for name, us in spent.items() if name.startswith("ingest"))
        memory_mb = max(_memory_mb(pid) for name, pid in pids.items() if name.startswith("partition"))
        return round(ingest_us, 1), round(sum(spent.values()) - ingest_us, 1), round(memory_mb)

    # -- hurting

    def kill_part(self, name: str) -> None:
        """`kill -9` of a partition's or an ingest's process; its successor is waited for."""
        before = self.parts()[name]
        os.kill(before.pid, signal.SIGKILL)
        self.kills += 1
        self.wait_replaced({name: before})

    def wait_replaced(self, before: dict[str, PartStatus]) -> None:
        """Wait until each of these is another process that answers."""

        def done() -> bool:
            now = self.parts()
            return all(
                name in now and now[name].pid != part.pid and now[name].told is not None
                for name, part in before.items()
            )

        wait_until(done, what=self.log_tail, deadline_s=_DEADLINE_S)

    def on_node(self, node: Any) -> dict[str, PartStatus]:
        """What runs on a node."""
        return {name: part for name, part in self.parts().items() if part.node == node.node_id}

    def add_node(self) -> Any:
        """A machine joins."""
        node = self.ray.add_node(num_cpus=1, object_store_memory=100 << 20)
        self.nodes.append(node)
        return node

    def busiest(self) -> Any:
        """The worker with most parts."""
        return max(self.nodes, key=lambda node: len(self.on_node(node)))

    def kill_node(self) -> None:
        """A machine is lost, with all that runs on it."""
        node = self.busiest()
        before = self.on_node(node)
        self.nodes.remove(node)
        for part in before.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(part.pid, signal.SIGKILL)
        self.ray.remove_node(node, allow_graceful=False)
        self.kills += 1
        self.wait_replaced(before)

    def stop_raylet(self, seconds: float) -> None:
        """Ray's process of a node stands still for so long, while its actors go on: zombies."""
        node = self.busiest()
        before = self.on_node(node)
        pid = node.all_processes[_RAYLET][0].process.pid
        os.kill(pid, signal.SIGSTOP)
        until = time.monotonic() + seconds
        self.kills += 1
        self.nodes.remove(node)
        self.wait_replaced(before)
        wait_until(lambda: time.monotonic() >= until, what="the raylet's sleep", deadline_s=seconds + 1)
        os.kill(pid, signal.SIGCONT)
        self.ray.remove_node(node, allow_graceful=False)

    def write_with_old_token(self, number: int) -> None:
        """Take a partition's token, wait until it is taken back, and write: that must be refused."""
        storage = self.settings.storage.model_copy(update={"directory": self.directory / "thief"})
        before = {f"partition-{number}": self.parts()[f"partition-{number}"]}
        thief = PostgresLedger.open(self.place.part(number), storage)
        self.kills += 1
        self.wait_replaced(before)
        try:
            thief.commit(Commit([Input.timer(1)], [Verdict.NONE], []))
        except Fenced:
            self.fenced += 1
        finally:
            thief.close()

    def restart_postgres(self, away_s: float) -> None:
        """The database is away for a while, under load."""
        self.postgres.stop()
        until = time.monotonic() + away_s
        wait_until(lambda: time.monotonic() >= until, what="the database's absence", deadline_s=away_s + 1)
        self.postgres.start()

    # -- the end

    def finish(self) -> Heard:
        """End the load, wait for what is under way, fold what was heard."""
        self.load.stop()
        self._loading.join()
        wait_until(lambda: self._distinct() >= self.load.sent, what=self._missing, deadline_s=_DEADLINE_S)
        self._wait_still()
        return fold(self.sink)

    def _distinct(self) -> int:
        return sum(map(len, fold(self.sink).bodies.values()))

    def _missing(self) -> str:
        return f"{self.load.sent} forecasts, got {self._distinct()}; {self.log_tail()}"

    def _wait_still(self) -> None:
        """Until nothing new, be it a copy, has come for three seconds."""
        seen, since = -1, time.monotonic()
        while time.monotonic() - since < 3.0:
            if self.sink.count != seen:
                seen, since = self.sink.count, time.monotonic()
            threading.Event().wait(0.1)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def fold(sink: Sink) -> Heard:
    """First copies, further copies, gaps."""
    heard, last_at = Heard(), dict[str, int]()
    for message in sink.messages:
        name = msgspec.json.decode(message.payload)
        stream, step = name["stream"], name["step"]
        steps = heard.bodies.setdefault(stream, {})
        if step in steps:
            heard.copies += 1
            heard.torn += steps[step] != message.payload
            continue
        heard.disordered += bool(steps) and next(reversed(steps)) > step
        steps[step] = message.payload
        gap_s = (message.received_ns - last_at.get(stream, message.received_ns)) / 1e9
        heard.silence_s = max(heard.silence_s, gap_s)
        last_at[stream] = message.received_ns
    return heard


def judge(findings: Findings, heard: Heard, reference: Reference) -> Findings:
    """Hold what was heard against an uninterrupted run of one process."""
    findings.differing += heard.torn
    findings.disordered, findings.copies, findings.silence_s = heard.disordered, heard.copies, heard.silence_s
    for stream, expected in reference.bodies.items():
        got = heard.bodies.get(stream, {})
        findings.lost += sum(step not in got for step in expected)
        findings.twice += sum(step not in expected for step in got)
        findings.differing += sum(expected[step][0] != hash(body) for step, body in got.items() if step in expected)
    wrong = next(
        (
            body
            for stream, steps in heard.bodies.items()
            for step, body in steps.items()
            if reference.bodies[stream].get(step, (None,))[0] != hash(body)
        ),
        None,
    )
    if wrong is not None:
        findings.notes.append(wrong.decode())
    return findings


@contextlib.contextmanager
def site(
    directory: Path, *, partitions: int = 4, streams: int = 48, rate: float = 400.0, patience_ms: int = 600
) -> Iterator[Site]:
    """All of it, ended on leaving."""
    with ExitStack() as stack:
        yield Site(directory, stack, partitions=partitions, streams=streams, rate=rate, patience_ms=patience_ms)


def run(directory: Path, hurts: Callable[[Site], None], **settings: Any) -> Findings:
    """A run with its troubles, judged."""
    began = time.monotonic()
    with site(directory, **settings) as one:
        one.begin_load()
        figures = one.measure(_MEASURED)
        hurts(one)
        heard = one.finish()
        findings = Findings(one.kills, one.load.sent, fenced=one.fenced)
        findings.ingest_us, findings.partition_us, findings.partition_mb = figures
    reference = run_reference(one.plan, one.load.sent, one.beginning, one.model)
    findings = judge(findings, heard, reference)
    findings.seconds = round(time.monotonic() - began, 1)
    return findings
