"""One fleet in the learner process: which streams it samples, what it has learned, what it has handed over."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import numpy as np

from gaugecast.config.schema import Learning
from gaugecast.fleet import Fleet
from gaugecast.learn.fit.initial import initial_model, manifest_for
from gaugecast.learn.online.drift import RateControl
from gaugecast.learn.online.target_feeder import TargetFeeder
from gaugecast.learn.online.trainer import LEARNING_RATE, OnlineLearner
from gaugecast.model import Manifest, Model, seal_model
from gaugecast.pipeline.fleet_pipeline import FleetPipeline

#: With more streams than that, batches are larger: windows in one update, and how many of them are new.
_FEW_STREAMS = 4
_SEGMENTS_MANY, _NEWEST_MANY = 8, 4
#: Versions of ours that are recognised when the loop names them.
_REMEMBERED = 1000
_LEAST_WEIGHT = 1e-6


class FleetLearner:
    """Owned by the learner's one thread.

    Attributes:
        forced: The loop has a model in force for this fleet; hand-overs go to it, else into shadow.
        crowded: There are more streams than are sampled.
        streams: The sample.
        versions: Those that we handed over.
        rate: Control of the learning rate.
        updates_total, failures_total, handovers_total: Of this process.
    """

    def __init__(
        self, fleet: Fleet, model: Model | None, settings: Learning, *, forced: bool, compiled: bool = True
    ) -> None:
        self.fleet, self.forced = fleet, forced
        self.model = model or initial_model(manifest_for(fleet, units=tuple(settings.units)), seed=settings.seed)
        self.rate = RateControl(LEARNING_RATE)
        self.updates_total = self.failures_total = self.handovers_total = 0
        self.crowded = False
        self.streams: set[str] = set()
        self.versions: deque[str] = deque([self.model.manifest.version], maxlen=_REMEMBERED)
        self._next_at_s = float("-inf")
        self._rate = LEARNING_RATE
        self._settings = settings
        self._random = np.random.default_rng(settings.seed)
        self._learned = False  # since the last hand-over
        self._many = False
        trainer = OnlineLearner(self.model, seed=settings.seed, compiled=compiled)
        self.feeder = TargetFeeder(fleet, self.model, trainer, streams=self.streams)

    def wants(self, stream: str) -> bool:
        """Whether this stream is in the sample; new ones join while there is room."""
        if stream in self.streams:
            return True
        if len(self.streams) < self._settings.streams:
            self.streams.add(stream)
            return True
        self.crowded = True
        return False

    def resample(self, candidates: list[str], error: np.ndarray) -> frozenset[str]:
        """Choose the sample anew among `candidates`, half of it by recent `error` (n,) ≥ 0; the newcomers.

        The other half stays, so that what is remembered of it goes on; of streams that are gone none stays.
        """
        most = self._settings.streams
        weight = dict(zip(candidates, (np.nan_to_num(error) + _LEAST_WEIGHT).tolist(), strict=True))
        kept = sorted(self.streams & weight.keys())
        self._random.shuffle(kept)
        kept = kept[: most - most // 2]
        others = [stream for stream in candidates if stream not in kept]
        share = np.array([weight[stream] for stream in others])
        count = min(most - len(kept), len(others))
        drawn = self._random.choice(len(others), count, replace=False, p=share / share.sum()) if count else ()
        chosen = {*kept, *(others[i] for i in drawn)}
        for stream in self.streams - chosen:
            self.feeder.forget(stream)
        newcomers = frozenset(chosen - self.streams)
        self.streams.clear()
        self.streams.update(chosen)
        return newcomers

    def learn(self) -> bool:
        """One update; False where there is nothing new to learn from."""
        for loss in self.feeder.take_losses():
            self.rate.add(loss)
        if len(self.streams) > _FEW_STREAMS and not self._many:
            self._many = True
            self.feeder.trainer.resize(segments=_SEGMENTS_MANY, newest=_NEWEST_MANY)
        if self.rate.rate != self._rate:
            self._rate = self.feeder.trainer.learning_rate = self.rate.rate
        if not self.feeder.trainer.step():
            return False
        self._learned = True
        self.updates_total += 1
        return True

    def take_back(self, model: Model) -> None:
        """The loop has rolled back: go on from there, more carefully."""
        self.take_over(model)
        self.rate.slow_down()

    def take_over(self, model: Model) -> None:
        """Other weights, of the same shape, are in force: go on from them."""
        self._learned = False
        self.model = model
        self.feeder.trainer.load(model)

    def ready(self, now_s: float) -> bool:
        """Whether weights are due to be handed over."""
        if not self._learned or now_s < self._next_at_s:
            return False
        return self.forced or self.handovers_total > 0 or self.updates_total >= self._settings.shadow_after

    def seal(self) -> Model:
        """The newest weights, with a version and with where they come from.

        Raises:
            ModelError: They are not finite.
        """
        learned = self.feeder.trainer.model()
        provenance: dict[str, str | int | float] = {
            "made_by": "gaugecast learn",
            "updates": self.updates_total,
            "streams": len(self.streams),
            "learning_rate": self.rate.rate,
            "seed": self._settings.seed,
        }
        return seal_model(replace(learned.manifest, provenance=provenance), dict(learned.weights))

    def note_handed(self, model: Model, now_s: float) -> None:
        """The loop has taken these weights."""
        self.model, self._learned, self._next_at_s = model, False, now_s + self._settings.every_s
        self.versions.append(model.manifest.version)
        self.handovers_total += 1

    def note_failure(self, now_s: float) -> None:
        """They could not be stored, or the loop did not take them: later ones will be offered."""
        self.failures_total += 1
        self._next_at_s = now_s + self._settings.every_s


def why_spared(manifest: Manifest) -> str:
    """What keeps such weights from learning beside the loop; empty for LSTM stacks, state carried, one step ahead."""
    if manifest.engine != "numpy":
        return f"layers of the {manifest.engine} engine"
    if manifest.look_back:
        return f"a look-back of {manifest.look_back} steps"
    return f"a repeat decoder of {manifest.decode_steps} steps" if manifest.decode_steps > 1 else ""


def errors_by_stream(part: FleetPipeline) -> tuple[list[str], np.ndarray]:
    """Streams, and each one's squared error as a share of persistence's, mean over the features; 0 = unknown."""
    table = part.table
    slots = table.live_slots()
    error, last = table["square_error"][slots], table["square_last"][slots]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.nan_to_num(error / last, posinf=0.0)
    return [table.names[s] or "" for s in slots.tolist()], share.mean(axis=1)
