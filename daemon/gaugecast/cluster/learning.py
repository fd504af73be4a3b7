"""The learner of one fleet in a cluster: it reads the ledgers of all partitions, and gives each what it has learned."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from gaugecast.cluster.ending import live_and_tell
from gaugecast.cluster.past import FleetPast
from gaugecast.cluster.plan import Plan
from gaugecast.cluster.postgres.models import ModelRows
from gaugecast.cluster.postgres.place import Place
from gaugecast.cluster.postgres.reader import PostgresReader
from gaugecast.config import Settings
from gaugecast.errors import ModelError, Unreachable
from gaugecast.fleet import Fleet
from gaugecast.learn.online.ports import NewPipeline
from gaugecast.learn.online.process import LearnerProcess
from gaugecast.logs import get
from gaugecast.model import Model
from gaugecast.model.weights import MANIFEST_NAME, WEIGHTS_NAME
from gaugecast.pipeline import Pipeline

log = get("gaugecast.learn")


class Pupils(Protocol):
    """The way to the partitions."""

    def tell(self, request: Mapping[str, Any]) -> None:
        """Let all hear it; nobody waits for an answer."""

    def hand_over(self, fleet: str, files: Mapping[str, bytes], memory: Sequence[bytes]) -> list[str]:
        """Give weights to all; of each partition why it did not take them, or an empty text."""


class LearnerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What the learner of a fleet says of itself; totals are of this process.

    Attributes:
        refused: Why partitions did not take the last weights.
    """

    fleet: str
    updates_total: int = 0
    handovers_total: int = 0
    lag_s: float = 0.0
    refused: list[str] = []


class LearnerHome:
    """Its thread owns all of it but the newest status.

    Args:
        plan: Of the cluster.
        fleet: Which one.
        scratch: A directory of this process alone.
        pupils: Where weights go.
        ended: Told how the thread ended; `None` = as asked.
    """

    def __init__(
        self, plan: Plan, fleet: str, *, scratch: Path, pupils: Pupils, ended: Callable[[BaseException | None], None]
    ) -> None:
        self.status = LearnerStatus(fleet=fleet)
        self._plan, self._pupils, self._ended = plan, pupils, ended
        self._fleet: Fleet = next(one for one in plan.fleets if one.name == fleet)
        place = Place.of(plan.settings.storage)
        self._places = [place.part(number) for number in range(plan.partitions)]
        self._store = _Weights(scratch, self._places)
        self._memory: dict[str, list[bytes]] = {}
        self._process: LearnerProcess | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"learner-{fleet}", daemon=True)
        self._thread.start()

    def stop(self, *, patience_s: float = 10.0) -> None:
        """End; lessons since the last hand-over are lost."""
        self._stopping.set()
        if self._process is not None:
            self._process.stopping = True
        self._thread.join(patience_s)

    def _run(self) -> None:
        live_and_tell(self._live, self._ended, log=log, part="learner", fleet=self._fleet.name)

    def _live(self) -> None:
        settings = _settings_of(self._plan, self._fleet.name)
        readers = [PostgresReader(place) for place in self._places]
        past = FleetPast(readers, self._fleet, most=settings.learning.history)

        def restore(new: NewPipeline) -> tuple[Pipeline, int]:
            return new(), 0

        self._process = process = LearnerProcess(
            settings, reader=past, restore=restore, store=self._store, ask=self._ask,
            remember=lambda _fleet, version, chunks: self._memory.update({version: chunks}),
            warm=lambda fleet, _model: process.follower.memory(fleet.name),
        )  # fmt: skip
        process.stopping = self._stopping.is_set()
        process.run()

    def _ask(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the learner says to a daemon's loop."""
        if request["command"] == "hand_over":
            self._hand_over(request["fleet"], request["version"])
            return {}
        self._pupils.tell(request)
        known = {name: request[name] for name in ("updates_total", "handovers_total", "lag_s") if name in request}
        self.status = msgspec.structs.replace(self.status, **known)
        return {}

    def _hand_over(self, fleet: str, version: str) -> None:
        """All partitions get it; one that does not, since it moves just now, gets the next.

        Raises:
            ModelError: None has taken it.
            Unreachable: None was there.
        """
        said = self._pupils.hand_over(fleet, self._store.files(fleet, version), self._memory.pop(version, []))
        why = [one for one in said if one]
        self.status = msgspec.structs.replace(self.status, refused=why)
        for one in why:
            log.warning("weights not taken", fleet=fleet, version=version, why=one)
        if not said:
            raise Unreachable("no partition is there")
        if len(why) == len(said):
            raise ModelError(why[0])


class _Weights:
    """Ours as files, those of others from wherever a partition has them."""

    def __init__(self, scratch: Path, places: Sequence[Place]) -> None:
        self._stores = [ModelRows(scratch, place) for place in places]

    def load(self, fleet: str, version: str) -> Model:
        """As of `ModelStore`; the first partition that has them."""
        for store in self._stores[:-1]:
            try:
                return store.load(fleet, version)
            except ModelError:
                continue
        return self._stores[-1].load(fleet, version)

    def add(self, fleet: str, model: Model) -> str:
        """As files here only: a partition makes rows of them with its own token."""
        return self._stores[0].add_here(fleet, model)

    def files(self, fleet: str, version: str) -> dict[str, bytes]:
        """Both files."""
        place = self._stores[0].place(fleet, version)
        return {name: (place / name).read_bytes() for name in (WEIGHTS_NAME, MANIFEST_NAME)}


def _settings_of(plan: Plan, fleet: str) -> Settings:
    """Those of the learner of one fleet."""
    told = next(one.settings for one in plan.ingests if fleet in one.settings.fleet)
    learning = plan.settings.learning
    return told.model_copy(update={"fleet": {fleet: told.fleet[fleet]}, "learning": learning}).read_from(told.source)
