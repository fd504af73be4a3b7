"""Who creates the parts of a cluster, replaces those that die, and moves partitions from node to node."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import msgspec
import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from gaugecast.cluster.exposition import join
from gaugecast.cluster.plan import Plan
from gaugecast.cluster.ray.actors import IngestActor, PartitionActor
from gaugecast.logs import configure, get

NAME, NAMESPACE = "controller", "gaugecast"
#: A part that has not answered for so long is replaced; one whose process or node died at once.
_SILENT_S = 4.0
_LOOK_S, _WARM_S, _READY_S, _ANSWER_S = 0.1, 60.0, 60.0, 3.0

log = get("gaugecast.controller")


class PartStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Of one part.

    Attributes:
        replaced: How often a process took its place.
        told: What it says of itself; `None` = it does not answer.
    """

    name: str
    node: str = ""
    pid: int = 0
    replaced: int = 0
    told: dict[str, Any] | None = None


@dataclass(eq=False)
class _Part:
    """A partition or an ingest; `handle` is its process now.

    Attributes:
        make: A process on a node.
        ping: A question that was asked and not answered yet, and when.
    """

    name: str
    make: Callable[[str], Any]
    partition: int | None = None
    handle: Any = None
    node: str = ""
    pid: int = 0
    replaced: int = -1
    ping: tuple[Any, float] | None = None
    busy: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


class Controller:
    """A named actor on the head. What it knows it knows from its plan: another one would begin as this one did."""

    def __init__(self, plan: Plan) -> None:
        configure("info", "plain")
        self._plan = plan
        self._draining: set[str] = set()
        self._placing = threading.Lock()
        self._stopping, self._asked = threading.Event(), threading.Event()
        self._partitions = [_Part(f"partition-{n}", self._partition_maker(n), n) for n in range(plan.partitions)]
        self._ingests = [_Part(one.name, self._ingest_maker(number)) for number, one in enumerate(plan.ingests)]
        self._pool = ThreadPoolExecutor(max_workers=len(self._parts) + 1)
        self._watch = threading.Thread(target=self._run, name="watch", daemon=True)

    @property
    def _parts(self) -> list[_Part]:
        return [*self._partitions, *self._ingests]

    def start(self) -> None:
        """Create all of them: partitions first, for ingests are told where they are."""
        list(self._pool.map(self._replace, self._partitions))
        list(self._pool.map(self._replace, self._ingests))
        self._watch.start()

    # -- what is asked

    def status(self) -> bytes:
        """A `PartStatus` of each part, JSON."""
        asked = [(part, self._ask(part, "status")) for part in self._parts]
        return msgspec.json.encode([self._told(part, ref) for part, ref in asked])

    def _told(self, part: _Part, ref: Any) -> PartStatus:
        said: bytes | None = _answer(ref)
        told = None if said is None else msgspec.json.decode(said)
        return PartStatus(name=part.name, node=part.node, pid=part.pid, replaced=part.replaced, told=told)

    def metrics(self) -> str:
        """Of all partitions."""
        asked = {str(part.partition): self._ask(part, "metrics") for part in self._partitions}
        return join({number: text for number, ref in asked.items() if (text := _answer(ref)) is not None})

    def drain(self, node: str) -> list[str]:
        """Move all parts off a node, and let none come to it; the names of those that were moved."""
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
        """End: ingests first, then partitions, each with a last checkpoint."""
        self._stopping.set()
        for parts in (self._ingests, self._partitions):
            asked = [self._ask(part, "stop") for part in parts]
            for ref in asked:
                _answer(ref, patience_s=40.0)

    # -- watching

    def _run(self) -> None:
        while not self._stopping.wait(_LOOK_S):
            for part in self._parts:
                if not part.busy and self._is_gone(part):
                    part.busy = True
                    self._pool.submit(self._replace, part)
            self._rebalance()

    def _is_gone(self, part: _Part) -> bool:
        """Whether its process or node died, or it does not answer."""
        if part.ping is None:
            part.ping = (part.handle.where.remote(), time.monotonic())
            return False
        ref, asked_s = part.ping
        if not ray.wait([ref], timeout=0)[0]:
            return time.monotonic() - asked_s > _SILENT_S
        part.ping = None
        try:
            ray.get(ref)
        except RayError as exc:
            log.warning("part died", part=part.name, why=str(exc).splitlines()[0])
            return True
        return False

    def _rebalance(self) -> None:
        """One partition at a time, where a node has two more than another."""
        if any(part.busy for part in self._parts):
            return
        load = Counter(dict.fromkeys(self._nodes(), 0))
        load.update(part.node for part in self._partitions if part.node in load)
        if load and max(load.values()) - min(load.values()) > 1:
            crowded = load.most_common(1)[0][0]
            part = next(part for part in self._partitions if part.node == crowded)
            part.busy = True
            self._pool.submit(self._replace, part)

    # -- replacing

    def _replace(self, part: _Part) -> None:
        """A successor, warm first, then with the next token; the one before is told nothing, it is fenced."""
        with part.lock:
            part.busy = True
            while not self._stopping.is_set():
                try:
                    self._put_in_place(part)
                    break
                except (RayError, TimeoutError) as exc:
                    log.warning("successor failed", part=part.name, why=str(exc).splitlines()[0])
                    self._stopping.wait(0.2)
            part.ping, part.busy = None, False

    def _put_in_place(self, part: _Part) -> None:
        with self._placing:
            part.node = self._node_for(part)
        made = part.make(part.node)
        try:
            where = self._make_ready(part, made)
        except (RayError, TimeoutError):
            _kill(made)
            raise
        before, part.handle = part.handle, made
        part.node, part.pid = where
        part.replaced += 1
        log.info("part placed", part=part.name, node=part.node, pid=part.pid)
        self._tell_of(part)
        if before is not None:
            _kill(before)

    def _tell_of(self, placed: _Part) -> None:
        """Each ingest of a new partition, and a new ingest of all: none misses who was placed meanwhile."""
        new = placed.partition is None
        for ingest in [placed] if new else self._ingests:
            for partition in self._partitions if new else [placed]:
                if ingest.handle is not None and partition.handle is not None:
                    ingest.handle.retarget.remote(partition.partition, partition.handle)

    def _make_ready(self, part: _Part, made: Any) -> tuple[str, int]:
        """Warm, then with the next token; its node and process id."""
        if part.partition is not None:
            _expect(ray.get(made.wait_warm.remote(_WARM_S), timeout=_WARM_S), "warm")
            _expect(ray.get(made.begin.remote(_READY_S), timeout=_READY_S), "ready")
        node, pid = ray.get(made.where.remote(), timeout=_READY_S)
        return node, pid

    def _partition_maker(self, number: int) -> Callable[[str], Any]:
        threads = len(self._plan.ingests) + 8
        return lambda node: _actor(PartitionActor, node, threads).remote(self._plan, number)

    def _ingest_maker(self, number: int) -> Callable[[str], Any]:
        def make(node: str) -> Any:
            handles = [part.handle for part in self._partitions]
            return _actor(IngestActor, node, 4).remote(self._plan.ingests[number], handles)

        return make

    def _node_for(self, part: _Part) -> str:
        """The node with the fewest parts of its kind; of equals the first by id."""
        kind = self._ingests if part.partition is None else self._partitions
        load = Counter(one.node for one in kind if one is not part)
        nodes = list(self._nodes())
        if not nodes:
            raise TimeoutError("no node is there")
        return min(nodes, key=lambda node: (load[node], node))

    def _nodes(self) -> Iterator[str]:
        yield from (node["NodeID"] for node in ray.nodes() if node["Alive"] and node["NodeID"] not in self._draining)

    def _ask(self, part: _Part, method: str) -> Any:
        return None if part.handle is None else getattr(part.handle, method).remote()


def _actor(kind: type, node: str, threads: int) -> Any:
    """A process of our own on a node: never restarted by Ray, no call ever repeated by it."""
    return ray.remote(kind).options(
        num_cpus=0, max_restarts=0, max_task_retries=0, max_concurrency=threads,
        scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
    )  # fmt: skip


def _kill(handle: Any) -> None:
    with contextlib.suppress(RayError):
        ray.kill(handle)


def _answer(ref: Any, *, patience_s: float = _ANSWER_S) -> Any:
    """What was answered; `None` = nothing."""
    try:
        return None if ref is None else ray.get(ref, timeout=patience_s)
    except (RayError, GetTimeoutError):
        return None


def _expect(done: bool, what: str) -> None:
    if not done:
        raise TimeoutError(f"expected the successor to be {what} by now")
