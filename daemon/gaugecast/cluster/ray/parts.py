"""A part of a cluster as its controller knows it, and how its process is asked and ended."""

from __future__ import annotations

import contextlib
import enum
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

#: A part that has not answered for so long is replaced; one whose process or node died at once.
SILENT_S = 4.0
#: A process has begun and is ready within that time, on a machine that others have just fled to, too.
READY_S = 60.0
_ANSWER_S = 3.0


class Kind(enum.Enum):
    """What a part is."""

    PARTITION = "partition"
    INGEST = "ingest"
    LEARNER = "learner"


class PartStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Of one part, or of a process that waits to become one.

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
class Part:
    """A partition, an ingest or a learner; `handle` is its process now.

    Attributes:
        become: Makes a process that part; its node and process id. Raises `RayError` or `TimeoutError`.
        number: Among those of its kind.
        ping: A question that was asked and not answered yet, and when.
    """

    name: str
    kind: Kind
    number: int
    become: Callable[[Any], tuple[str, int]]
    handle: Any = None
    node: str = ""
    pid: int = 0
    replaced: int = -1
    ping: tuple[Any, float] | None = None
    busy: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ask(self, method: str) -> Any:
        """A question on its way; `None` where there is nobody."""
        return None if self.handle is None else getattr(self.handle, method).remote()

    def told(self, said: bytes | None) -> PartStatus:
        """Its status, from what it answered to `status`."""
        told = None if said is None else msgspec.json.decode(said)
        return PartStatus(name=self.name, node=self.node, pid=self.pid, replaced=self.replaced, told=told)


def actor(kind: type, node: str, threads: int) -> Any:
    """A process of our own on a node: never restarted by Ray, no call ever repeated by it."""
    return ray.remote(kind).options(
        num_cpus=0, max_restarts=0, max_task_retries=0, max_concurrency=threads,
        scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
    )  # fmt: skip


def kill(handle: Any) -> None:
    """End a process at once."""
    with contextlib.suppress(RayError):
        ray.kill(handle)


def answers(refs: Sequence[Any], *, patience_s: float = _ANSWER_S) -> list[Any]:
    """What was answered within that time, by question; `None` = nothing, or nobody was asked."""
    asked = [ref for ref in refs if ref is not None]
    if asked:
        ray.wait(asked, num_returns=len(asked), timeout=patience_s)
    return [_now(ref) for ref in refs]


def _now(ref: Any) -> Any:
    try:
        return None if ref is None else ray.get(ref, timeout=0)
    except RayError:  # of a question that is not answered yet, too
        return None


def first_line(exc: BaseException) -> str:
    """Of what it says: Ray adds whole logs."""
    return next(iter(str(exc).splitlines()), type(exc).__name__)


def expect(done: bool, what: str) -> None:
    """Raises `TimeoutError` where it is not done."""
    if not done:
        raise TimeoutError(f"expected the successor to be {what} by now")
