"""From what the pipeline traces to what the learner is shown: each step with the value that came after it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from gaugecast.fleet import Fleet
from gaugecast.forecast.expert import Trace, same_shape
from gaugecast.learn.fit.targets import Targets
from gaugecast.learn.online.trainer import OnlineLearner
from gaugecast.model import Model
from gaugecast.records import Float32, Float64
from gaugecast.streams.table import StreamTable


@dataclass(slots=True)
class _Step:
    """A stream's last step, waiting for the next value to become its target."""

    inputs: Float32  # (R, I)
    state: Float32  # before the step, (R, S)
    x: Float64  # (F,)
    scale: Float64  # (F,)
    fresh: bool


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
        self._last: dict[str, _Step] = {}
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
        steps, names = trace.steps, table.names
        predicted = table["predicted"][trace.slots]
        for row, slot in enumerate(trace.slots.tolist()):
            stream = names[slot]
            if stream is None or (self.streams is not None and stream not in self.streams):
                continue
            follows = not steps.fresh[row] and steps.gap[row] == 0
            before = self._last.get(stream)
            if before is not None:
                target = self._target(before, steps.values[row]) if follows else None
                self._note_loss(before, steps.values[row], predicted[row])
                self.trainer.observe(before.inputs, before.state, target, stream=stream, fresh=before.fresh)
            self._last[stream] = _Step(
                trace.inputs[row], trace.state[row], trace.x[row], trace.scale[row], before is None or not follows
            )

    def lose_place(self) -> None:
        """What comes next does not follow what was shown: each stream begins a new run."""
        self._last.clear()

    def forget(self, stream: str) -> None:
        """Drop what is remembered of a stream."""
        self._last.pop(stream, None)
        self.trainer.forget(stream)

    def _note_loss(self, before: _Step, values: Float64, predicted: Float64) -> None:
        g = self._targets.layout.forecast
        scale = before.scale[g]
        known = (scale > 0) & np.isfinite(predicted) & np.isfinite(values[g])
        if known.any():
            self._losses.append(float(np.mean(((values[g] - predicted)[known] / scale[known]) ** 2)))

    def _target(self, before: _Step, values: Float64) -> Float32:
        """(R, O), NaN where a feature was not measured."""
        return self._targets.of(values[None], before.x[None], before.scale[None])[0]
