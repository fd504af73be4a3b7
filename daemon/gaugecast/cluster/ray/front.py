"""The control socket of a cluster, in the process of `gaugecast cluster run`: asks partitions through Ray."""

from __future__ import annotations

import select
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import msgspec
import ray
from ray.exceptions import RayError

from gaugecast.cluster.account import joined
from gaugecast.cluster.gateway import Gateway, act_on
from gaugecast.cluster.ingesting import IngestStatus
from gaugecast.cluster.plan import Plan
from gaugecast.cluster.ray.parts import PartStatus, first_line
from gaugecast.config import Settings
from gaugecast.control import SOCKET_NAME, Command, Control
from gaugecast.errors import CommandRefused, ConfigError, StorageError, Unreachable
from gaugecast.files import make_private
from gaugecast.ledger.schema import FILE_NAME as LEDGER_NAME
from gaugecast.logs import get
from gaugecast.status import Status
from gaugecast.storage import whereabouts
from gaugecast.storage.lock import StateLock
from gaugecast.storage.whereabouts import Elsewhere

_ANSWER_S, _LOOK_S = 15.0, 0.2

log = get("gaugecast.cluster")


class Front:
    """Answers in a thread of its own, from `__init__` to `close`.

    Args:
        plan: Of the cluster.
        handles: The partitions' processes, by number.
        parts: What each part says of itself.
        metrics_url: Where those of all partitions are.

    Raises:
        GaugecastError: Another daemon or cluster has the state directory.
    """

    def __init__(
        self, plan: Plan, *, handles: Callable[[], list[Any]], parts: Callable[[], list[PartStatus]], metrics_url: str
    ) -> None:
        directory = plan.settings.storage.directory
        self._lock, self._control = _occupy(plan.settings)
        self._plan, self._handles, self._parts, self._metrics_url = plan, handles, parts, metrics_url
        self._gateway = Gateway(plan.partitions, directory, ask=self._ask, give=self._give, status=self.status)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Answer nobody any more."""
        self._stopping.set()
        self._thread.join(_ANSWER_S)
        self._control.close()
        self._lock.release()

    def status(self) -> Status:
        """Of all, as one daemon would say it."""
        told = {part.name: part.told for part in self._parts()}
        partitions = [_as(told.get(f"partition-{number}"), Status) for number in range(self._plan.partitions)]
        ingests = [_as(told.get(ingest.name), IngestStatus) for ingest in self._plan.ingests]
        mqtt = self._plan.settings.mqtt
        return joined(partitions, ingests, address=f"{mqtt.host}:{mqtt.port}", metrics_url=self._metrics_url)

    def _run(self) -> None:
        while not self._stopping.is_set():
            select.select([self._control.fileno()], [], [], _LOOK_S)
            for command in self._control.poll():
                self._answer(command)

    def _answer(self, command: Command) -> None:
        try:
            said = act_on(self._gateway, command.request)
            if isinstance(said, str):
                command.refuse(f"{command.name}: {said}")
            else:
                command.answer(said)
        except Exception as exc:  # a defect: whoever asks next is answered all the same
            log.exception("command failed", command=command.name)
            command.refuse(f"{command.name}: a defect of the cluster: {type(exc).__name__}: {exc}")

    def _ask(self, number: int, request: msgspec.Struct) -> dict[str, Any]:
        answer: dict[str, Any] = self._call(number, "ask", msgspec.to_builtins(request))
        if "refused" in answer:
            raise CommandRefused(str(answer["refused"]))
        return answer

    def _give(self, number: int, fleet: str, files: Mapping[str, bytes], role: str, reason: str) -> None:
        why = self._call(number, "take_weights", fleet, dict(files), [], role, reason)
        if why:
            raise CommandRefused(str(why))

    def _call(self, number: int, method: str, *words: Any) -> Any:
        handle = self._handles()[number]
        if handle is None:
            raise Unreachable(f"partition {number} is not there yet")
        try:
            return ray.get(getattr(handle, method).remote(*words), timeout=_ANSWER_S)
        except (RayError, TimeoutError) as exc:
            raise Unreachable(f"partition {number} does not answer: {first_line(exc)}") from exc


def _occupy(settings: Settings) -> tuple[StateLock, Control]:
    """Take the state directory for us alone, be found there, and note where the ledgers are."""
    storage = settings.storage
    directory, key = storage.directory, f"{settings.source}: [storage] directory"
    if (directory / LEDGER_NAME).exists():
        raise ConfigError(f"{key}: {directory} has the ledger of a single daemon; name another, or move that away")
    with ExitStack() as held:
        try:
            make_private(directory)
            lock = StateLock(directory)
            held.callback(lock.release)
            control = Control(directory / SOCKET_NAME)
            held.callback(control.close)
            whereabouts.note(directory, Elsewhere(storage.postgres, storage.postgres_schema))
        except OSError as exc:
            raise StorageError(f"{key}: expected one that we may make and write, {directory} says: {exc}") from exc
        held.pop_all()
    return lock, control


def _as(told: dict[str, Any] | None, kind: type[Any]) -> Any:
    return None if told is None else msgspec.convert(told, kind)
