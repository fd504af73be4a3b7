"""Who creates the parts of a cluster, replaces those that die, and moves partitions from node to node."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import ray
from ray.exceptions import RayError

from gaugecast.cluster.exposition import join
from gaugecast.cluster.plan import Plan
from gaugecast.cluster.ray.actors import PartActor
from gaugecast.cluster.ray.learning import LearnerActor
from gaugecast.cluster.ray.parts import (
    READY_S,
    SILENT_S,
    Kind,
    Part,
    PartStatus,
    actor,
    answers,
    expect,
    first_line,
    kill,
)
from gaugecast.cluster.ray.spares import Spares, spares_wanted
from gaugecast.errors import CommandRefused
from gaugecast.logs import configure, get

NAME, NAMESPACE = "controller", "gaugecast"
_LOOK_S, _WARM_S = 0.1, 60.0

log = get("gaugecast.controller")


class Controller:
    """A named actor on the head. What it knows it knows from its plan: another one would begin as this one did."""

    def __init__(self, plan: Plan) -> None:
        configure("info", "plain")
        self._plan = plan
        self._draining: set[str] = set()
        self._placing = threading.Lock()
        self._stopping, self._asked = threading.Event(), threading.Event()
        self._spares = Spares(self._process)
        self._partitions = [self._partition(number) for number in range(plan.partitions)]
        self._ingests = [self._ingest(number) for number in range(len(plan.ingests))]
        self._learners = [self._learner(number) for number in range(len(plan.learned))]
        self._pool = ThreadPoolExecutor(max_workers=len(self._parts) + 1)
        self._watch = threading.Thread(target=self._run, name="watch", daemon=True)

    @property
    def _parts(self) -> list[Part]:
        return [*self._partitions, *self._ingests, *self._learners]

    def start(self) -> None:
        """Create all of them: partitions first, for the others are told where they are."""
        list(self._pool.map(self._replace, self._partitions))
        list(self._pool.map(self._replace, self._ingests))
        for part in self._learners:
            self._begin_replacing(part)
        self._watch.start()

    # -- what is asked

    def status(self) -> bytes:
        """A `PartStatus` of each part and of each process that waits to be one, JSON."""
        parts = self._parts
        said = answers([part.ask("status") for part in parts])
        told = [part.told(one) for part, one in zip(parts, said, strict=True)]
        waiting = [PartStatus(name=one.name, node=one.node, pid=one.pid, told={}) for one in self._spares.all()]
        return msgspec.json.encode([*told, *waiting])

    def is_whole(self) -> bool:
        """Whether all parts are in place, and as many processes wait as there should be: a loss is made good soon."""
        if any(part.busy or part.handle is None for part in self._parts):
            return False
        nodes = list(self._nodes())
        return all(self._spares.there(node) >= self._spares_wanted(nodes) for node in nodes)

    def partitions(self) -> list[Any]:
        """Their processes, by number."""
        return [part.handle for part in self._partitions]

    def metrics(self) -> str:
        """Of all partitions."""
        told = answers([part.ask("metrics") for part in self._partitions])
        return join({str(number): text for number, text in enumerate(told) if text is not None})

    def drain(self, node: str) -> list[str]:
        """Move all parts off a node, and let none come to it; the names of those that were moved.

        Raises:
            CommandRefused: They would have nowhere to go.
        """
        with self._placing:
            if not set(self._nodes()) - {node}:
                raise CommandRefused("cluster: another node expected that is not drained: its parts have nowhere to go")
            self._draining.add(node)
        there = [part for part in self._parts if part.node == node]
        list(self._pool.map(self._replace, there))
        return [part.name for part in there]

    def ask_stop(self) -> None:
        """Let whoever began us end us."""
        self._asked.set()

    def asked_to_stop(self) -> bool:
        """Whether somebody asked for it."""
        return self._asked.is_set()

    def stop(self) -> None:
        """End: ingests and learners first, then partitions, each with a last checkpoint."""
        self._stopping.set()
        self._spares.close()
        for parts in ([*self._ingests, *self._learners], self._partitions):
            answers([part.ask("stop") for part in parts], patience_s=40.0)

    # -- watching

    def _run(self) -> None:
        while not self._stopping.wait(_LOOK_S):
            try:
                self._look()
            except RayError as exc:  # the head is busy, or away: it is asked again
                log.warning("cannot look", why=first_line(exc))

    def _look(self) -> None:
        for part in self._parts:
            if not part.busy and self._is_gone(part):
                self._begin_replacing(part)
        if not any(part.busy for part in self._parts):  # what is in need comes first
            nodes = list(self._nodes())
            self._rebalance(nodes)
            self._spares.look(nodes, self._spares_wanted(nodes))

    def _spares_wanted(self, nodes: list[str]) -> int:
        return spares_wanted(partitions=len(self._partitions), ingests=len(self._ingests), nodes=len(nodes))

    def _is_gone(self, part: Part) -> bool:
        """Whether its process or node died, or it does not answer."""
        if part.ping is None:
            part.ping = (part.handle.where.remote(), time.monotonic())
            return False
        ref, asked_s = part.ping
        if not ray.wait([ref], timeout=0)[0]:
            return time.monotonic() - asked_s > (SILENT_S if part.kind is not Kind.LEARNER else READY_S)
        part.ping = None
        try:
            ray.get(ref)
        except RayError as exc:
            log.warning("part died", part=part.name, why=first_line(exc))
            return True
        return False

    def _rebalance(self, nodes: list[str]) -> None:
        """One partition at a time, where a node has two more than another."""
        load = Counter(dict.fromkeys(nodes, 0))
        load.update(part.node for part in self._partitions if part.node in load)
        if load and max(load.values()) - min(load.values()) > 1:
            crowded = load.most_common(1)[0][0]
            self._begin_replacing(next(part for part in self._partitions if part.node == crowded))

    # -- replacing

    def _begin_replacing(self, part: Part) -> None:
        part.busy = True
        self._pool.submit(self._replace, part)

    def _replace(self, part: Part) -> None:
        """A successor, warm first, then with the next token; the one before is told nothing, it is fenced."""
        with part.lock:
            part.busy = True
            while not self._stopping.is_set():
                try:
                    self._put_in_place(part)
                    break
                except (RayError, TimeoutError) as exc:
                    log.warning("successor failed", part=part.name, why=first_line(exc))
                    self._stopping.wait(0.2)
            part.ping, part.busy = None, False

    def _put_in_place(self, part: Part) -> None:
        with self._placing:
            part.node = self._node_for(part)
            made = self._process_for(part)
        try:
            where = part.become(made)
        except (RayError, TimeoutError):
            kill(made)
            raise
        before, part.handle = part.handle, made
        part.node, part.pid = where
        part.replaced += 1
        log.info("part placed", part=part.name, node=part.node, pid=part.pid)
        self._tell_of(part)
        if before is not None:
            kill(before)

    def _tell_of(self, placed: Part) -> None:
        """All that send of a new partition, and a new one that sends of all: none misses who was placed meanwhile."""
        new = placed.kind is not Kind.PARTITION
        for one in [placed] if new else [*self._ingests, *self._learners]:
            for partition in self._partitions if new else [placed]:
                if one.handle is not None and partition.handle is not None:
                    one.handle.retarget.remote(partition.number, partition.handle)

    # -- processes

    def _process_for(self, part: Part) -> Any:
        if part.kind is Kind.LEARNER:
            return actor(LearnerActor, part.node, 4).remote(self._plan, part.number, self.partitions())
        return self._spares.take(part.node) or self._process(part.node)

    def _process(self, node: str) -> Any:
        return actor(PartActor, node, len(self._plan.ingests) + len(self._plan.learned) + 8).remote()

    def _partition(self, number: int) -> Part:
        def become(made: Any) -> tuple[str, int]:
            expect(ray.get(made.be_partition.remote(self._plan, number, _WARM_S), timeout=2 * _WARM_S), "warm")
            expect(ray.get(made.begin.remote(READY_S), timeout=READY_S + SILENT_S), "ready")
            return _where(made)

        return Part(f"partition-{number}", Kind.PARTITION, number, become)

    def _ingest(self, number: int) -> Part:
        plan = self._plan.ingests[number]

        def become(made: Any) -> tuple[str, int]:
            ray.get(made.be_ingest.remote(plan, self.partitions()), timeout=_WARM_S)
            return _where(made)

        return Part(plan.name, Kind.INGEST, number, become)

    def _learner(self, number: int) -> Part:
        return Part(f"learner-{self._plan.learned[number]}", Kind.LEARNER, number, _where)

    def _node_for(self, part: Part) -> str:
        """The node with the fewest parts of its kind; of equals one where a process waits, then the first by id."""
        load = Counter(one.node for one in self._parts if one is not part and one.kind is part.kind)
        nodes = list(self._nodes())
        if not nodes:
            raise TimeoutError("no node is there")
        return min(nodes, key=lambda node: (load[node], not self._spares.there(node), node))

    def _nodes(self) -> Iterator[str]:
        yield from (node["NodeID"] for node in ray.nodes() if node["Alive"] and node["NodeID"] not in self._draining)


def _where(made: Any) -> tuple[str, int]:
    node, pid = ray.get(made.where.remote(), timeout=READY_S)
    return node, pid
