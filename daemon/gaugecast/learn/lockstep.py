"""Test-then-train over history, exactly and repeatably: after each step the learner may move the weights."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from gaugecast.config.schema import Loop
from gaugecast.fleet import Fleet
from gaugecast.learn.initial import initial_model, manifest_for
from gaugecast.learn.student import Student
from gaugecast.learn.trainer import OnlineLearner
from gaugecast.model import Model
from gaugecast.pipeline import Pipeline, events
from gaugecast.records import Float64, Input


class Lockstep:
    """One fleet's history through `Pipeline.advance`, one reading at a time.

    Args:
        fleet: Its `horizon` is how far is forecast.
        model: Weights to begin with; `None` = a new model, that knows nothing.
        learning: Learn on the way, or only forecast.
        units: LSTM layers of a new model.
        seed: Of the first weights and of the replay draws.
        always: Forecast with the model from the first step on, rather than with persistence while it warms up.
    """

    def __init__(
        self,
        fleet: Fleet,
        *,
        model: Model | None = None,
        learning: bool = True,
        units: tuple[int, ...] = (64,),
        seed: int = 0,
    ) -> None:
        self.fleet = fleet
        self._model = model or initial_model(manifest_for(fleet, units=units), seed=seed)
        self._models = {self._model.manifest.version: self._model}
        self.pipeline = Pipeline(Loop(), lambda _fleet, version: self._models[version], trace=learning)
        self.learner: OnlineLearner | None = None
        self.student: Student | None = None
        if learning:
            self.learner = OnlineLearner(self._model, seed=seed)
            self.student = Student(fleet, self._model, self.learner)
        self.pipeline.advance([events.configured(fleet, received_at_ns=0)])
        self._install(self._model)

    @property
    def model(self) -> Model:
        """The weights as they stand."""
        return self._model

    def run(self, batches: Iterable[list[Input]]) -> Float64:
        """Forecasts made after each step (T, H, G), in the sensors' units; NaN where a reading made no step."""
        made: list[Float64] = []
        shape = (self.fleet.horizon, -1)
        for batch in batches:
            for one in batch:
                outcome = self.pipeline.advance([one])
                forecast = [np.frombuffer(o.forecast, "<f8").reshape(shape) for o in outcome.outputs]
                made.append(forecast[-1] if forecast else np.full((self.fleet.horizon, made[-1].shape[1]), np.nan))
                self._learn(outcome.traces)
        return np.array(made)

    def _learn(self, traces: list[tuple[str, object]]) -> None:
        if self.student is None or self.learner is None:
            return
        names = self.pipeline.lanes[self.fleet.name].table.names
        for _, trace in traces:
            self.student.take(trace, names)  # type: ignore[arg-type]
        while (learned := self.learner.update()) is not None:
            # A number instead of a digest: nothing is stored here, and sealing costs more than the update.
            version = f"lockstep-{self.learner.updates_total}"
            self._install(Model(replace(learned.manifest, version=version), learned.weights))

    def _install(self, model: Model) -> None:
        self._models = {model.manifest.version: model}
        self._model = model
        event = events.ModelInstalled("in_force", model.manifest.version)
        self.pipeline.advance([events.event_input(event, received_at_ns=0, fleet=self.fleet.name)])
