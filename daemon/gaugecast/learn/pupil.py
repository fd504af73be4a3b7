"""One fleet in the learner process: which streams it samples, what it has learned, what it has handed over."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gaugecast.config.schema import Learning
from gaugecast.fleet import Fleet
from gaugecast.learn.drift import RateControl
from gaugecast.learn.initial import initial_model, manifest_for
from gaugecast.learn.student import Student
from gaugecast.learn.trainer import LEARNING_RATE, OnlineLearner
from gaugecast.model import Model, seal_model

#: Windows in one update where there are many streams, and how many of them are new.
_SEGMENTS, _NEWEST = 8, 4


class Pupil:
    """Owned by the learner's one thread.

    Attributes:
        forced: The loop has a model in force for this fleet; hand-overs go to it, else into shadow.
        rate: Control of the learning rate.
        updates_total, failures_total, handovers_total: Of this process.
    """

    def __init__(self, fleet: Fleet, model: Model | None, settings: Learning, *, forced: bool) -> None:
        self.fleet, self.forced = fleet, forced
        self.model = model or initial_model(manifest_for(fleet, units=tuple(settings.units)), seed=settings.seed)
        self.rate = RateControl(LEARNING_RATE)
        self.updates_total = self.failures_total = self.handovers_total = 0
        self.handed_at_s = 0.0
        self.streams: set[str] = set()
        self._settings = settings
        self._random = np.random.default_rng(settings.seed)
        self._learned: Model | None = None
        many = settings.streams > _NEWEST
        learner = OnlineLearner(
            self.model,
            seed=settings.seed,
            segments=_SEGMENTS if many else 4,
            newest=_NEWEST if many else 1,
        )
        self.student = Student(fleet, self.model, learner, streams=self.streams)

    def wants(self, stream: str) -> bool:
        """Whether this stream is in the sample; new ones join while there is room."""
        if stream in self.streams:
            return True
        if len(self.streams) < self._settings.streams:
            self.streams.add(stream)
            return True
        return False

    def resample(self, candidates: list[str], error: np.ndarray) -> None:
        """Choose the sample anew among `candidates`, weighted by recent `error` (n,) ≥ 0; half of it stays."""
        most = self._settings.streams
        if len(candidates) <= most:
            return
        weight = np.nan_to_num(error) + 1e-6
        drawn = self._random.choice(len(candidates), most // 2, replace=False, p=weight / weight.sum())
        kept = sorted(self.streams)
        self._random.shuffle(kept)
        chosen = set(kept[: most - most // 2]) | {candidates[i] for i in drawn}
        for stream in self.streams - chosen:
            self.student.forget(stream)
        self.streams.clear()
        self.streams.update(chosen)

    def learn(self) -> bool:
        """One update; False where there is nothing new to learn from."""
        for loss in self.student.take_losses():
            self.rate.add(loss)
        self.student.learner.learning_rate = self.rate.rate
        learned = self.student.learner.update()
        if learned is None:
            return False
        self._learned = learned
        self.updates_total += 1
        return True

    def take_back(self, model: Model) -> None:
        """The loop has rolled back: go on from there, more carefully."""
        self._learned = None
        self.student.learner.load(model)
        self.rate.slow_down()

    def ready(self, now_s: float) -> bool:
        """Whether weights are due to be handed over."""
        if self._learned is None or now_s - self.handed_at_s < self._settings.every_s:
            return False
        return self.forced or self.handovers_total > 0 or self.updates_total >= self._settings.shadow_after

    def take_learned(self, now_s: float) -> Model:
        """The newest weights, sealed, with where they come from."""
        assert self._learned is not None
        provenance: dict[str, str | int | float] = {
            "made_by": "gaugecast learn",
            "updates": self.updates_total,
            "streams": len(self.streams),
            "learning_rate": self.rate.rate,
            "seed": self._settings.seed,
        }
        manifest = replace(self._learned.manifest, provenance=provenance)
        model = seal_model(manifest, dict(self._learned.weights))
        self.model, self._learned, self.handed_at_s = model, None, now_s
        return model
