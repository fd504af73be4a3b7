"""From what the pipeline traces to what the learner is shown: each step with the value that came after it."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from gaugecast.fleet import Fleet
from gaugecast.forecast.expert import Trace, same_shape
from gaugecast.learn.fit.targets import Targets, breaks, row_of
from gaugecast.learn.online.trainer import OnlineLearner
from gaugecast.model import Model
from gaugecast.records import Float64
from gaugecast.streams.table import StreamTable


class TargetFeeder:
    """Learns one fleet from traces of `Pipeline.advance`. Owned by one thread.

    Args:
        fleet: The fleet.
        model: First weights.
        trainer: Does the descent.
        streams: Show only these; `None` = all.
    """

    def __init__(
        self, fleet: Fleet, model: Model, trainer: OnlineLearner, *, streams: Collection[str] | None = None
    ) -> None:
        self.trainer = trainer
        self.streams = streams
        self._targets = Targets(fleet, model.manifest)
        self._model = model
        self._last: dict[str, tuple[Trace, bool]] = {}  # the step whose target comes next; whether it begins a run
        self._losses: list[float] = []

    def fits(self, model: Model) -> bool:
        """Whether other weights have the shape of those that are learned."""
        return same_shape(self._model, model)

    def take_losses(self) -> list[float]:
        """Mean squares, in units of the scale, of the forecasts since the last call, made before their targets came."""
        losses, self._losses = self._losses, []
        return losses

    def take(self, trace: Trace, table: StreamTable) -> None:
        """Show one round of steps.

        Args:
            trace: Of the model in force.
            table: The fleet's, as it is after the round.
        """
        predicted = table["predicted"][trace.slots]
        for row, slot in enumerate(trace.slots.tolist()):
            stream = table.names[slot]
            if stream is None or (self.streams is not None and stream not in self.streams):
                continue
            step, last = row_of(trace, row), self._last.get(stream)
            if last is not None:
                before, fresh = last
                self._note_loss(before, step, predicted[row])
                target = self._targets.after(before, step)
                self.trainer.observe(before.inputs[0], before.state[0], target, stream=stream, fresh=fresh)
            self._last[stream] = step, last is None or breaks(step)

    def lose_place(self) -> None:
        """What comes next does not follow what was shown: each stream begins a new run."""
        self._last.clear()

    def forget(self, stream: str) -> None:
        """Drop what is remembered of a stream."""
        self._last.pop(stream, None)
        self.trainer.forget(stream)

    def _note_loss(self, before: Trace, step: Trace, predicted: Float64) -> None:
        g = self._targets.layout.forecast
        scale, values = before.scale[0, g], step.steps.values[0, g]
        known = (scale > 0) & np.isfinite(predicted) & np.isfinite(values)
        if known.any():
            self._losses.append(float(np.mean(((values - predicted)[known] / scale[known]) ** 2)))
