"""A partition and an ingest as Ray actors: a process each, which ends when its part does."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
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
from gaugecast.errors import Defect, ExitCode, Fenced, GaugecastError
from gaugecast.logs import configure

#: A batch that is not durable after so long is asked for again: it stays in its inbox.
_PATIENCE_S = 5.0
#: An ingest looks again so long after a partition was not there, or at once when it is told of another.
_PAUSE_S = 0.2


def _end(failure: BaseException | None) -> None:
    """A part that has ended takes its process along, at once: nothing of it may be written any more."""
    if failure is not None:
        sys.stderr.flush()
        os._exit(int(failure.exit_code if isinstance(failure, GaugecastError) else ExitCode.DEFECT))


class PartitionActor:
    """One partition; methods are called from several threads."""

    def __init__(self, plan: Plan, number: int) -> None:
        configure("info", "plain")
        self._scratch = Path(tempfile.mkdtemp(prefix=f"gaugecast-p{number}-"))
        self._home = PartitionHome(plan, number, scratch=self._scratch, ended=_end)

    def wait_warm(self, patience_s: float) -> bool:
        """Whether it is as near as it can come without the token."""
        return self._home.warm.wait(patience_s)

    def begin(self, patience_s: float) -> bool:
        """Take the next token; whether it is ready within that time."""
        self._home.begin()
        return self._home.ready.wait(patience_s)

    def deliver(self, batch: Sequence[Any]) -> str:
        """What became of a batch, as `Fate` has it."""
        if not self._home.ready.wait(_PATIENCE_S):
            return Fate.UNKNOWN.value
        try:
            durable = self._home.deliver(Batch(*batch), patience_s=_PATIENCE_S)
        except Fenced:
            return Fate.STALE.value
        return str((Fate.COMMITTED if durable else Fate.UNKNOWN).value)

    def status(self) -> bytes:
        """The newest account, as JSON."""
        return msgspec.json.encode(self._home.status)

    def metrics(self) -> str:
        """As /metrics of a daemon."""
        return self._home.render_metrics().decode()

    def where(self) -> tuple[str, int]:
        """Node and process id."""
        return ray.get_runtime_context().get_node_id(), os.getpid()

    def stop(self) -> None:
        """Drain and close."""
        self._home.stop()
        shutil.rmtree(self._scratch, ignore_errors=True)


class IngestActor:
    """One ingest."""

    def __init__(self, plan: IngestPlan, partitions: Sequence[Any]) -> None:
        configure("info", "plain")
        self._way = RayWay(partitions)
        self._home = IngestHome(plan, len(partitions), way=self._way, ended=_end)

    def retarget(self, partition: int, handle: Any) -> None:
        """From now on this process is that partition."""
        self._way.retarget(partition, handle)

    def status(self) -> bytes:
        """The newest account, as JSON."""
        return msgspec.json.encode(self._home.status)

    def where(self) -> tuple[str, int]:
        """Node and process id."""
        return ray.get_runtime_context().get_node_id(), os.getpid()

    def stop(self) -> None:
        """Take nothing more."""
        self._home.stop()


class _Call(NamedTuple):
    """A batch on its way.

    Attributes:
        failed_at_s: When it failed; 0 = it has not.
    """

    ref: Any
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
        self._calls[partition] = _Call(handle.deliver.remote(tuple(batch)), handle, batch.position)

    def take_answers(self) -> list[Answer]:
        """As `Partitions.take_answers`."""
        if not self._calls:
            return []
        refs = [call.ref for call in self._calls.values()]
        done = set(ray.wait(refs, num_returns=len(refs), timeout=0)[0])
        answers = []
        for partition, call in list(self._calls.items()):
            fate = self._fate_of(partition, call, done=call.ref in done)
            if fate is not None:
                del self._calls[partition]
                answers.append(Answer(partition, call.position, fate))
        return answers

    def _fate_of(self, partition: int, call: _Call, *, done: bool) -> Fate | None:
        """`None` = not known yet."""
        with self._lock:
            moved = self._handles[partition] is not call.handle
        if call.failed_at_s:
            return Fate.UNKNOWN if moved or time.monotonic() - call.failed_at_s > _PAUSE_S else None
        if not done:
            return Fate.UNKNOWN if moved else None
        try:
            return Fate(ray.get(call.ref))
        except RayTaskError as exc:
            raise Defect(f"partition {partition} refuses a batch: {exc.cause}") from exc
        except RayError:  # its process has died, or its node
            self._calls[partition] = call._replace(failed_at_s=time.monotonic())
            return None
