"""A ledger, a store and the loop's pipeline without a daemon: what the tests of the learner stand on."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gaugecast import events
from gaugecast.config.schema import Learning, Loop, Settings, Storage
from gaugecast.learn.online.follower import Follower
from gaugecast.learn.online.process import LearnerProcess
from gaugecast.ledger.reader import LedgerReader
from gaugecast.ledger.store import Ledger
from gaugecast.model import Model
from gaugecast.pipeline import Pipeline
from gaugecast.records import Commit, Input
from gaugecast.storage.models import ModelStore
from learning.worlds import event, reading


class Site:
    """A ledger, a store, and the loop's pipeline beside it; checkpoints are copies of the loop's inputs so far."""

    def __init__(self, directory: Path, **learning: Any) -> None:
        self.store = ModelStore(directory)
        self.ledger = Ledger.open(directory, Storage(directory=directory), segment_rows=10)
        self.reader = LedgerReader(directory)
        self.loop = Pipeline(Loop(), self.store.load)
        table = {"subscribe": ["plant/{tank}"], "period": "1s", "features": {"pressure": {}, "temperature": {}}}
        self.settings = Settings(
            learning=Learning(**{"units": [4], "shadow_after": 3, "every_s": 1.0, **learning}),
            fleet={"tanks": table},  # type: ignore[dict-item]
        )
        self.inputs: list[Input] = []
        self.checkpoint = 0
        self.asked: list[Mapping[str, Any]] = []
        self.remembered: list[tuple[str, list[bytes]]] = []
        self.refusal: Exception | None = None
        self.now_s = 0.0
        self._random = np.random.default_rng(0)
        self._tick = 0

    def commit(self, *inputs: Input) -> None:
        verdicts = self.loop.advance(inputs).verdicts
        self.ledger.commit(Commit(inputs, verdicts, []))
        self.inputs += inputs

    def run(self, ticks: int, streams: str = "a", fleet: str = "tanks") -> None:
        """Readings of some streams, a commit a tick."""
        for _ in range(ticks):
            values = {s: self._random.standard_normal(2) for s in streams}
            self.commit(*(reading(self._tick, values[s].tolist(), stream=s, fleet=fleet) for s in streams))
            self._tick += 1

    def install(self, model: Model, role: str = "in_force", reason: str = "learned") -> None:
        self.store.add("tanks", model)
        self.commit(event(events.ModelInstalled(role, model.manifest.version, reason=reason)))  # type: ignore[arg-type]

    def bring_back(self, directory: Path) -> None:
        """Put another state directory's ledger in the place of ours, as who restores a backup does; a new loop."""
        self.ledger.close()
        for path in self.ledger.path.parent.glob("ledger.sqlite*"):
            path.unlink()
        shutil.copyfile(directory / self.ledger.path.name, self.ledger.path)
        self.ledger = Ledger.open(self.ledger.path.parent, Storage(directory=directory), segment_rows=10)
        self.loop, self.inputs, self.checkpoint = Pipeline(Loop(), self.store.load), [], 0
        for batch in self.ledger.replay(0):
            self.loop.advance(batch.inputs)
            self.inputs += batch.inputs

    def restore(self, new: Any) -> tuple[Pipeline, int]:
        pipeline = new()
        pipeline.advance(self.inputs[: self.checkpoint])
        return pipeline, self.checkpoint or self.ledger.first_seq - 1

    def ask(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.refusal is not None:
            raise self.refusal
        self.asked.append(request)
        return {}

    @property
    def handed(self) -> list[tuple[str, str]]:
        return [(one["role"], one["version"]) for one in self.asked if one["command"] == "hand_over"]

    def follower(self) -> Follower:
        found = Follower(self.settings, reader=self.reader, restore=self.restore, store=self.store)
        found.begin()
        return found

    def learner(self) -> LearnerProcess:
        made = LearnerProcess(
            self.settings,
            reader=self.reader,
            restore=self.restore,
            store=self.store,
            ask=self.ask,
            seconds=lambda: self.now_s,
            cpu_s=lambda: 0.0,
            remember=lambda fleet, version, chunks: self.remembered.append((version, chunks)),
            warm=lambda fleet, model: [b"all streams"],
        )
        made.follower.begin()
        return made
