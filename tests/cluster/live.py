"""A real cluster on this machine, hurt while it works: Ray, mosquitto, PostgreSQL, a steady load."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import ray
from ray.cluster_utils import Cluster

from chaos.reference import run_reference
from chaos.scenario import BROKER_CONF, FLEET, UNITS
from cluster.beginning import configured, health, opening
from cluster.judging import Findings, Heard, fold, judge, waves
from gaugecast.cluster.postgres.ledger import PostgresLedger
from gaugecast.cluster.postgres.models import ModelRows
from gaugecast.cluster.postgres.place import Place
from gaugecast.cluster.ray import start
from gaugecast.cluster.ray.controller import NAMESPACE
from gaugecast.cluster.ray.parts import PartStatus
from gaugecast.cluster.routing import slots_of
from gaugecast.config import load_settings
from gaugecast.errors import Fenced
from gaugecast.model import Model
from gaugecast.records import Commit, Input, Verdict
from gaugecast.testing import random_model
from gaugecast_sim.load import LoadGenerator
from gaugecast_sim.packets import LoadPlan
from gaugecast_sim.sink import Sink
from support.mosquitto import run_mosquitto, wait_until
from support.postgres import Postgres, running

_RAYLET = "raylet"
_DEADLINE_S = 90.0


class Site:
    """Everything that runs, and the ways to hurt it.

    Attributes:
        load: The sensors.
        kills: So far.
        hurts: What was done, and when it began, Unix ns.
        rate: Readings a second.
        fenced: Writes with an old token that were refused.
    """

    def __init__(
        self, directory: Path, stack: ExitStack, *, partitions: int, streams: int, rate: float, patience_ms: int,
        workers: int = 2, learning: bool = False, count: int | None = None,
    ) -> None:  # fmt: skip
        self.directory, self.partitions, self.kills, self.fenced = directory, partitions, 0, 0
        self.hurts: list[tuple[str, int]] = []
        self.learning, self.rate = learning, rate
        self.broker = stack.enter_context(run_mosquitto(directory / "broker", conf=BROKER_CONF, log_all=False))
        (directory / "postgres").mkdir(mode=0o755)
        self.postgres: Postgres = stack.enter_context(running(directory / "postgres"))
        self.config = directory / "gaugecast.toml"
        self.config.write_text(
            configured(self.broker.port, learning=learning) + f'\n[storage]\npostgres = "{self.postgres.url}"\n'
            f'directory = "{directory}/unused"\n[http]\nport = 0\n'
        )
        self.settings = load_settings(self.config, {})
        self.place = Place.of(self.settings.storage)
        self.model: Model = random_model(FLEET, units=UNITS, seed=1, gain=0.05)
        self.beginning = [] if learning else self._seed_all()
        self.plan = LoadPlan(streams, (int(time.time()) - 10 * 86_400) * 10**9, qos=1)
        self.sink = stack.enter_context(
            Sink("127.0.0.1", self.broker.port, ["gaugecast/+/+"], qos=1, record=True, client_id="judge", clean=False)
        )
        self.load = LoadGenerator("127.0.0.1", self.broker.port, self.plan, rate=rate, count=count)
        self._loading = threading.Thread(target=self.load.run, daemon=True)
        stack.callback(self._end_load)
        self.nodes: list[Any] = []
        self._start_ray(stack, patience_ms, workers)
        self._start_gaugecast(stack)

    def _seed_all(self) -> list[Input]:
        """All partitions begin alike."""
        return [self._seed(number) for number in range(self.partitions)][-1]

    def _seed(self, number: int) -> list[Input]:
        """What each partition begins with."""
        place, scratch = self.place.part(number), self.directory / f"seed{number}"
        storage = self.settings.storage.model_copy(update={"directory": scratch})
        scratch.mkdir()
        ledger = PostgresLedger.open(place, storage, slots=slots_of(number, self.partitions))
        ModelRows(scratch, place, lambda: ledger.token).add(FLEET, self.model)
        inputs = opening(self.settings, self.model)
        ledger.commit(Commit(inputs, [Verdict.NONE] * len(inputs), []))
        ledger.close()
        return inputs

    def _start_ray(self, stack: ExitStack, patience_ms: int, workers: int) -> None:
        head = {
            "num_cpus": 0,
            "include_dashboard": False,
            "no_monitor": True,
            "object_store_memory": 100 << 20,
            "_system_config": health(patience_ms),
        }
        self.ray = Cluster(initialize_head=True, head_node_args=head)
        stack.callback(self.ray.shutdown)
        for _ in range(workers):
            self.add_node()
        ray.init(address=self.ray.address, namespace=NAMESPACE, log_to_driver=False)
        stack.callback(ray.shutdown)

    def _start_gaugecast(self, stack: ExitStack) -> None:
        words = ["cluster", "run", "-c", str(self.config), "--address", self.ray.address]
        with (self.directory / "cluster.log").open("wb") as log:
            self.command = subprocess.Popen(
                [sys.executable, "-m", "gaugecast", *words, "--partitions", str(self.partitions)],
                stdout=log,
                stderr=log,
            )
        stack.callback(self._end_gaugecast)
        wait_until(self._all_there, what=self.log_tail, deadline_s=3 * _DEADLINE_S)

    def _end_load(self) -> None:
        """While the broker is there still."""
        self.load.stop()
        if self._loading.is_alive():
            self._loading.join()

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
        """By name, without those that wait to become one; empty while nobody answers."""
        with contextlib.suppress(Exception):
            return {part.name: part for part in start.ask_status() if not part.name.startswith("spare-")}
        return {}

    def wait_whole(self) -> None:
        """Wait until all parts are in place, and a spare process stands by wherever one should."""
        wait_until(lambda: start.is_whole(), what=self.log_tail, deadline_s=_DEADLINE_S)

    def _all_there(self) -> bool:
        assert self.command.poll() is None, self.log_tail()
        parts = self.parts()
        heard = parts["ingest-0"].told if "ingest-0" in parts else None
        well = all(part.told is not None for part in parts.values())
        return (
            len(parts) == self.partitions + 1 + self.learning
            and well
            and heard is not None
            and bool(heard["connected"])
        )

    def begin_load(self) -> None:
        """Sensors begin to speak; a forecast is waited for."""
        self._loading.start()
        self.wait_forecasts()

    def wait_forecasts(self, many: int = 1) -> None:
        """Wait for so many more."""
        before = self.sink.count
        wait_until(lambda: self.sink.count >= before + many, what=self.log_tail, deadline_s=_DEADLINE_S)

    # -- hurting

    def hurt(self, kind: str, what: Callable[[], object]) -> None:
        """Do it, and wait until the cluster could bear the next."""
        self.wait_whole()
        self.hurts.append((kind, time.time_ns()))
        what()

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
        node = self.ray.add_node(num_cpus=0, object_store_memory=100 << 20)
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
        return fold(self.sink.messages, self.hurts)

    def _distinct(self) -> int:
        return sum(map(len, fold(self.sink.messages).bodies.values()))

    def _missing(self) -> str:
        return f"{self.load.sent} forecasts, got {self._distinct()}; {self.log_tail()}"

    def _wait_still(self) -> None:
        """Until nothing new, be it a copy, has come for three seconds."""
        seen, since = -1, time.monotonic()
        while time.monotonic() - since < 3.0:
            if self.sink.count != seen:
                seen, since = self.sink.count, time.monotonic()
            threading.Event().wait(0.1)


@contextlib.contextmanager
def site(
    directory: Path, *, partitions: int = 4, streams: int = 48, rate: float = 400.0, patience_ms: int = 600,
    workers: int = 2, learning: bool = False, count: int | None = None,
) -> Iterator[Site]:  # fmt: skip
    """All of it, ended on leaving."""
    for place in (directory, *directory.parents):  # PostgreSQL is run by another user where we are root
        mode = place.stat().st_mode
        if os.getuid() == 0 and not mode & stat.S_IXOTH:
            place.chmod(mode | 0o055)
    with ExitStack() as stack:
        yield Site(
            directory, stack, partitions=partitions, streams=streams, rate=rate, patience_ms=patience_ms,
            workers=workers, learning=learning, count=count,
        )  # fmt: skip


def run(directory: Path, hurts: Callable[[Site], None], **settings: Any) -> Findings:
    """A run with its troubles, judged."""
    began = time.monotonic()
    with site(directory, **settings) as one:
        one.begin_load()
        hurts(one)
        heard = one.finish()
        findings = Findings(one.kills, one.load.sent, fenced=one.fenced)
        findings.waves = waves(one.sink.messages, one.hurts, rate=one.rate)
    reference = run_reference(one.plan, one.load.sent, one.beginning, one.model)
    findings = judge(findings, heard, reference)
    findings.seconds = round(time.monotonic() - began, 1)
    return findings
