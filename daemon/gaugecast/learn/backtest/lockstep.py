"""Test-then-train over history, exactly and repeatably: after each step the learner may move the weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from gaugecast import events
from gaugecast.config.schema import Loop
from gaugecast.fleet import Fleet
from gaugecast.learn.initial import initial_model, manifest_for
from gaugecast.learn.online.student import Student
from gaugecast.learn.online.trainer import OnlineLearner
from gaugecast.model import Model
from gaugecast.pipeline import Outcome, Pipeline
from gaugecast.records import Float64, Input, Order


class Lockstep:
    """One fleet's history through `Pipeline.advance`; where it learns, one reading at a time.

    Args:
        fleet: Its `horizon` is how far is forecast.
        model: Weights to begin with; `None` = a new model, that knows nothing.
        learning: Learn on the way, or only forecast.
        learn_after: So many rows of a stream are forecast and remembered before the first update: those that
            `model` has been trained on already.
        units: LSTM layers of a new model.
        seed: Of the first weights and of the replay draws.
        limits: Bounds of the pipeline, as the daemon has them.
        compiled: Learn with XLA; without it a short run is over sooner.
    """

    def __init__(
        self,
        fleet: Fleet,
        *,
        model: Model | None = None,
        learning: bool = True,
        learn_after: int = 0,
        units: tuple[int, ...] = (64,),
        seed: int = 0,
        limits: Loop | None = None,
        compiled: bool = True,
    ) -> None:
        self.fleet = fleet = replace(fleet, horizons=(), intervals=())  # those are told by `ahead`, on top of this
        self._model = model or initial_model(manifest_for(fleet, units=units), seed=seed)
        self._models = {self._model.manifest.version: self._model}
        self._learn_after = learn_after
        self._rows: Counter[int] = Counter()  # steps by slot
        self._longest = 0
        self.pipeline = Pipeline(limits or Loop(), lambda _fleet, version: self._models[version], trace=True)
        self.learner: OnlineLearner | None = None
        self.student: Student | None = None
        if learning:
            self.learner = OnlineLearner(self._model, seed=seed, compiled=compiled)
            self.student = Student(fleet, self._model, self.learner)
        self.pipeline.advance([Order.configuring(fleet).stamped(0)])
        self._install(self._model)

    @property
    def model(self) -> Model:
        """The weights as they stand."""
        return self._model

    def outcomes(self, batches: Iterable[list[Input]]) -> Iterator[Outcome]:
        """What `advance` made of the inputs, with its traces; learning happens between one and the next."""
        for batch in batches:
            for piece in [batch] if self.student is None else [[one] for one in batch]:
                outcome = self.pipeline.advance(piece)
                yield outcome
                self._learn(outcome)

    def run(self, batches: Iterable[list[Input]]) -> Float64:
        """Forecasts made of each step (T, H, G), in the sensors' units, in the order of the steps."""
        outputs = [o.forecast for outcome in self.outcomes(batches) for o in outcome.outputs]
        return np.frombuffer(b"".join(outputs), "<f8").reshape(len(outputs), self.fleet.horizon, -1)

    def _learn(self, outcome: Outcome) -> None:
        if self.student is None or self.learner is None:
            return
        table = self.pipeline.parts[self.fleet.name].table
        for _, trace in outcome.traces:
            self.student.take(trace, table)
            slots = trace.slots.tolist()
            self._rows.update(slots)
            self._longest = max(self._longest, *(self._rows[slot] for slot in slots))
        if self._longest < self._learn_after:
            return
        while (learned := self.learner.update()) is not None:
            # A number instead of a digest: nothing is stored here, and sealing costs more than the update.
            version = f"{self.learner.updates_total:x}"
            self._install(Model(replace(learned.manifest, version=version), learned.weights))

    def _install(self, model: Model) -> None:
        self._models = {model.manifest.version: model}
        self._model = model
        event = events.ModelInstalled("in_force", model.manifest.version)
        self.pipeline.advance([Order(event, self.fleet.name).stamped(0)])
