"""Partitions and ingests as Ray actors: a process each, which ends when its part does."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import ray
from ray.exceptions import RayError, RayTaskError

from gaugecast.cluster.batches import Batch
from gaugecast.cluster.ingesting import IngestHome
from gaugecast.cluster.partition import PartitionHome
from gaugecast.cluster.plan import IngestPlan, Plan
from gaugecast.cluster.ports import Answer, Fate
from gaugecast.cluster.scratch import new_scratch
from gaugecast.engine.selftest import check_batch_independence, fingerprint
from gaugecast.errors import Defect, ExitCode, Fenced, GaugecastError
from gaugecast.events import LEARNED, Role
from gaugecast.logs import configure

#: A batch that is not durable after so long is asked for again: it stays in its inbox.
_PATIENCE_S = 5.0
#: An ingest looks again so long after a partition was not there, or at once when it is told of another.
_PAUSE_S = 0.2


def end_process(failure: BaseException | None) -> None:
    """A part that has ended takes its process along, at once: nothing of it may be written any more."""
    if failure is not None:
        sys.stderr.flush()
        os._exit(int(failure.exit_code if isinstance(failure, GaugecastError) else ExitCode.DEFECT))


class PartActor:
    """A process that has all it needs in memory, until it is told which part of the cluster it is.

    Methods are called from several threads.
    """

    def __init__(self) -> None:
        configure("info", "plain")
        check_batch_independence()
        fingerprint()
        self._scratch: Path | None = None
        self._way: RayWay | None = None
        self._home: PartitionHome | IngestHome | None = None

    def where(self) -> tuple[str, int]:
        """Node and process id."""
        return ray.get_runtime_context().get_node_id(), os.getpid()

    # -- what it becomes, once

    def be_partition(self, plan: Plan, number: int, patience_s: float) -> bool:
        """Be a partition; whether it is as near as it can come without the token within that time."""
        self._scratch = new_scratch(f"p{number}")
        self._home = home = PartitionHome(plan, number, scratch=self._scratch, ended=end_process)
        return home.warm.wait(patience_s)

    def be_ingest(self, plan: IngestPlan, partitions: Sequence[Any]) -> None:
        """Be an ingest."""
        self._way = RayWay(partitions)
        self._home = IngestHome(plan, len(partitions), way=self._way, ended=end_process)

    # -- a partition

    def begin(self, patience_s: float) -> bool:
        """Take the next token; whether it is ready within that time."""
        home = self._partition
        home.begin()
        return home.ready.wait(patience_s)

    def deliver(self, batch: Sequence[Any]) -> str:
        """What became of a batch, as `Fate` has it."""
        home = self._partition
        if not home.ready.wait(_PATIENCE_S):
            return Fate.UNKNOWN.value
        try:
            durable = home.deliver(Batch(*batch), patience_s=_PATIENCE_S)
        except Fenced:
            return Fate.STALE.value
        return str((Fate.COMMITTED if durable else Fate.UNKNOWN).value)

    def metrics(self) -> str:
        """As /metrics of a daemon."""
        return self._partition.render_metrics().decode()

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """As the control socket of a daemon is asked; with `refused`, why it would not."""
        try:
            return self._partition.ask(request)
        except GaugecastError as exc:
            return {"refused": str(exc)}

    def take_weights(
        self, fleet: str, files: Mapping[str, bytes], memory: Sequence[bytes], role: Role = "shadow",
        reason: str = LEARNED,
    ) -> str:  # fmt: skip
        """Give weights a role; why not, or nothing."""
        try:
            self._partition.take_weights(fleet, files, memory, role=role, reason=reason)
        except (GaugecastError, OSError) as exc:
            return str(exc)
        return ""

    @property
    def _partition(self) -> PartitionHome:
        if not isinstance(self._home, PartitionHome):
            raise Defect("expected a partition, got another part")
        return self._home

    # -- an ingest

    def retarget(self, partition: int, handle: Any) -> None:
        """From now on this process is that partition."""
        if self._way is not None:
            self._way.retarget(partition, handle)

    # -- both

    def status(self) -> bytes:
        """The newest account, as JSON."""
        return msgspec.json.encode(None if self._home is None else self._home.status)

    def stop(self) -> None:
        """A partition drains and closes; an ingest takes nothing more."""
        if self._home is not None:
            self._home.stop()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)


class _Call(NamedTuple):
    """A batch on its way.

    Attributes:
        failed_at_s: When it failed; 0 = it has not.
    """

    answer: Future[str]
    handle: Any
    position: int
    failed_at_s: float = 0.0


class RayWay:
    """The way to the partitions, as `ports.Partitions`; `retarget` may be called by any thread."""

    def __init__(self, handles: Sequence[Any]) -> None:
        self._handles = dict(enumerate(handles))
        self._calls: dict[int, _Call] = {}
        self._lock = threading.Lock()

    def retarget(self, partition: int, handle: Any) -> None:
        """Send to this process; what is on its way to the one before is sent again."""
        with self._lock:
            self._handles[partition] = handle

    def send(self, partition: int, batch: Batch) -> None:
        """As `Partitions.send`."""
        with self._lock:
            handle = self._handles[partition]
        self._calls[partition] = _Call(handle.deliver.remote(tuple(batch)).future(), handle, batch.position)

    def take_answers(self) -> list[Answer]:
        """As `Partitions.take_answers`."""
        answers = []
        for partition, call in list(self._calls.items()):
            fate = self._fate_of(partition, call)
            if fate is not None:
                del self._calls[partition]
                answers.append(Answer(partition, call.position, fate))
        return answers

    def _fate_of(self, partition: int, call: _Call) -> Fate | None:
        """`None` = not known yet."""
        with self._lock:
            moved = self._handles[partition] is not call.handle
        if call.failed_at_s:
            return Fate.UNKNOWN if moved or time.monotonic() - call.failed_at_s > _PAUSE_S else None
        if not call.answer.done():
            return Fate.UNKNOWN if moved else None
        try:
            return Fate(call.answer.result())
        except RayTaskError as exc:
            raise Defect(f"partition {partition} refuses a batch: {exc.cause}") from exc
        except RayError:  # its process has died, or its node
            self._calls[partition] = call._replace(failed_at_s=time.monotonic())
            return None
