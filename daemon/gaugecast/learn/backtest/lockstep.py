"""Test-then-train over history, exactly and repeatably: after each step the learner may move the weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from gaugecast.config.schema import Loop
from gaugecast.fleet import Fleet
from gaugecast.learn.backtest.recorder import Recorder
from gaugecast.learn.fit.initial import initial_model, manifest_for
from gaugecast.learn.online.target_feeder import TargetFeeder
from gaugecast.learn.online.trainer import OnlineLearner
from gaugecast.model import Model
from gaugecast.pipeline import Outcome
from gaugecast.pipeline.solo import SoloPipeline
from gaugecast.records import Input


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
        self.fleet = fleet = replace(
            fleet, horizons=(), intervals=(), thresholds=(), anomaly=None
        )  # those are told by `ahead`, on top of this
        self.model = model or initial_model(manifest_for(fleet, units=units), seed=seed)
        self._learn_after = learn_after
        self._rows: Counter[int] = Counter()  # steps by slot
        self._solo = SoloPipeline([(fleet, self.model)], limits or Loop(), trace=True)
        self._table = self._solo.part(fleet.name).table
        self.learner: OnlineLearner | None = None
        self._feeder: TargetFeeder | None = None
        if learning:
            self.learner = OnlineLearner(self.model, seed=seed, compiled=compiled)
            self._feeder = TargetFeeder(fleet, self.model, self.learner)

    def outcomes(self, batches: Iterable[list[Input]]) -> Iterator[Outcome]:
        """What `advance` made of the inputs, with its traces; learning happens between one and the next."""
        for batch in batches:
            for piece in [batch] if self._feeder is None else [[one] for one in batch]:
                outcome = self._solo.advance(piece)
                yield outcome
                self._learn(outcome)

    def record(
        self,
        batches: Iterable[list[Input]],
        *,
        keep_traces: bool = False,
        progress: Callable[[int], None] = lambda _: None,
    ) -> Recorder:
        """All steps and forecasts by stream, and what the model was fed if wanted; `progress` is told inputs taken."""
        recorder = Recorder(self.fleet, keep_traces=keep_traces)
        for outcome in self.outcomes(batches):
            recorder.take(outcome, self._table.names)
            progress(len(outcome.verdicts))
        return recorder

    def _learn(self, outcome: Outcome) -> None:
        if self._feeder is None or self.learner is None:
            return
        for _, trace in outcome.traces:
            self._feeder.take(trace, self._table)
            self._rows.update(trace.slots.tolist())
        if max(self._rows.values(), default=0) < self._learn_after:
            return
        while (learned := self.learner.update()) is not None:
            self.model = learned
            self._solo.use(self.fleet.name, learned)
