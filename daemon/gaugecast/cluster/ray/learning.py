"""The learner of a fleet as a Ray actor: the only part of a cluster that imports TensorFlow."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import ray
from ray.exceptions import GetTimeoutError, RayError

from gaugecast.cluster.learning import LearnerHome
from gaugecast.cluster.plan import Plan
from gaugecast.cluster.ray.actors import end_process
from gaugecast.cluster.ray.parts import first_line
from gaugecast.cluster.scratch import new_scratch
from gaugecast.logs import configure

_NICE = 10
#: Weights are stored and an event is taken in so long, or the next ones are.
_HAND_S = 30.0


class LearnerActor:
    """One learner; methods are called from several threads."""

    def __init__(self, plan: Plan, number: int, partitions: Sequence[Any]) -> None:
        configure("info", "plain")
        os.nice(_NICE)
        self._scratch = new_scratch("learner")
        self._pupils = RayPupils(partitions)
        self._home = LearnerHome(
            plan, plan.learned[number], scratch=self._scratch, pupils=self._pupils, ended=end_process
        )

    def retarget(self, partition: int, handle: Any) -> None:
        """From now on this process is that partition."""
        self._pupils.retarget(partition, handle)

    def status(self) -> bytes:
        """The newest account, as JSON."""
        return msgspec.json.encode(self._home.status)

    def where(self) -> tuple[str, int]:
        """Node and process id."""
        return ray.get_runtime_context().get_node_id(), os.getpid()

    def stop(self) -> None:
        """Learn nothing more."""
        self._home.stop()
        shutil.rmtree(self._scratch, ignore_errors=True)


class RayPupils:
    """The way to the partitions, as `learning.Pupils`; any thread."""

    def __init__(self, partitions: Sequence[Any]) -> None:
        self._handles = dict(enumerate(partitions))
        self._reports: dict[int, Any] = {}
        self._lock = threading.Lock()

    def retarget(self, partition: int, handle: Any) -> None:
        """From now on this process is that partition."""
        with self._lock:
            self._handles[partition] = handle
            self._reports.pop(partition, None)

    def tell(self, request: Mapping[str, Any]) -> None:
        """As `Pupils.tell`; who has not answered the last yet is spared: each holds a thread there for as long."""
        with self._lock:
            for partition, handle in self._handles.items():
                last = self._reports.get(partition)
                if last is None or ray.wait([last], timeout=0)[0]:
                    self._reports[partition] = handle.ask.remote(dict(request))

    def hand_over(self, fleet: str, files: Mapping[str, bytes], memory: Sequence[bytes]) -> list[str]:
        """As `Pupils.hand_over`."""
        refs = [handle.take_weights.remote(fleet, dict(files), list(memory)) for handle in self._now()]
        return [self._said(ref) for ref in refs]

    @staticmethod
    def _said(ref: Any) -> str:
        try:
            return str(ray.get(ref, timeout=_HAND_S))
        except (RayError, GetTimeoutError) as exc:
            return f"no answer: {first_line(exc)}"

    def _now(self) -> list[Any]:
        with self._lock:
            return list(self._handles.values())
