"""Processes that wait, warm, on each node: who takes the place of a lost part need not begin from nothing.

To start a process and to import what a part needs takes seconds, most of all on a machine that others have just fled
to; what is left after a loss is to take the token and to replay what came since the checkpoint.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import count
from typing import Any

import ray
from ray.exceptions import RayError

from gaugecast.cluster.ray.parts import READY_S, SILENT_S

_ASK_EVERY_S = 1.0


@dataclass(eq=False)
class Spare:
    """One of them.

    Attributes:
        ping: A question that was asked, at `asked_s`; answered first when the process is warm.
        pid: 0 = it is not warm yet.
    """

    name: str
    node: str
    handle: Any
    ping: Any
    pid: int = 0
    asked_s: float = 0.0


def spares_wanted(*, partitions: int, ingests: int, nodes: int) -> int:
    """How many each node needs, so that all parts of the fullest one find a place on the others at once."""
    if nodes < 2:
        return 1
    lost = -(-partitions // nodes) + -(-ingests // nodes)
    return -(-lost // (nodes - 1))


class Spares:
    """Any thread.

    Args:
        make: A process on a node.
    """

    def __init__(self, make: Callable[[str], Any]) -> None:
        self._make, self._numbers = make, count(1)
        self._lock = threading.Lock()
        self._all: list[Spare] = []

    def all(self) -> list[Spare]:
        """Those that there are."""
        with self._lock:
            return list(self._all)

    def there(self, node: str) -> int:
        """How many are warm on a node."""
        return sum(one.node == node and one.pid > 0 for one in self.all())

    def take(self, node: str) -> Any | None:
        """One on that node, a warm one rather than one that begins; `None` = there is none."""
        with self._lock:
            here = sorted((one for one in self._all if one.node == node), key=lambda one: one.pid == 0)
            if not here:
                return None
            self._all.remove(here[0])
            return here[0].handle

    def look(self, nodes: Collection[str], each: int) -> None:
        """Let go of those that died or hang, or whose node is gone, and begin what is missing, one a node at a time."""
        for one in self.all():
            if one.node not in nodes or not self._lives(one):
                self._drop(one)
        for node in nodes:
            here = [one for one in self.all() if one.node == node]
            if len(here) < each and all(one.pid for one in here):
                self._begin(node)

    def close(self) -> None:
        """End all of them."""
        for one in self.all():
            self._drop(one)

    def _begin(self, node: str) -> None:
        handle = self._make(node)
        one = Spare(f"spare-{next(self._numbers)}", node, handle, handle.where.remote(), asked_s=time.monotonic())
        with self._lock:
            self._all.append(one)

    def _drop(self, one: Spare) -> None:
        with self._lock:
            if one not in self._all:
                return
            self._all.remove(one)
        with contextlib.suppress(RayError):
            ray.kill(one.handle)

    def _lives(self, one: Spare) -> bool:
        since_s = time.monotonic() - one.asked_s
        if not ray.wait([one.ping], timeout=0)[0]:
            return since_s <= (SILENT_S if one.pid else READY_S)
        try:
            one.pid = ray.get(one.ping)[1]
        except RayError:
            return False
        if since_s >= _ASK_EVERY_S:
            one.ping, one.asked_s = one.handle.where.remote(), time.monotonic()
        return True
