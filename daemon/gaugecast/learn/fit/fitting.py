"""Epochs of descent: losses, schedules, early stopping with the best weights kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from gaugecast.config.training import Train
from gaugecast.learn.fit.descent import Descent, Taken, TrainingBatch
from gaugecast.learn.fit.network import TrainableNetwork
from gaugecast.model import Model
from gaugecast.records import Float32

#: Updates above which XLA pays for its compilation.
COMPILE_ABOVE = 4000
#: Share by which an error must fall to count as better.
LEAST_GAIN = 1e-4


class Source(Protocol):
    """Segments or windows: passes over one part of the rows."""

    targets: int

    def __len__(self) -> int: ...

    def batches(self, rng: np.random.Generator | None = None) -> Iterator[TrainingBatch]:
        """One pass, in random order where `rng` is given and order does not matter."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One line of the loss curves; `validation` is `None` where nothing is held out."""

    number: int
    train: float
    validation: float | None
    rate: float

    @property
    def judged(self) -> float:
        """The error that decides which weights are best."""
        return self.train if self.validation is None else self.validation


@dataclass(slots=True)
class Fit:
    """What came of it: the best weights, and the curve on the way there."""

    model: Model
    epochs: list[Epoch] = field(default_factory=list)
    best: int = 0
    stopped_early: bool = False


def fit(
    network: TrainableNetwork,
    train: Train,
    learned: Source,
    held_out: Source | None,
    *,
    tail: bool = False,
    on_batch: Callable[[int], None] | None = None,
    on_epoch: Callable[[Epoch], bool | None] | None = None,
) -> Fit:
    """Train until the epochs are over or nothing improves; the best weights are those of the model given back.

    Args:
        network: Holds the first weights, and is left with the last ones.
        train: How.
        learned, held_out: The parts; where nothing is held out, the training loss decides.
        tail: Only the last step of each batch counts (windows, many-to-one).
        on_batch: Called after each update with 1.
        on_epoch: Called after each epoch; a true answer ends training.
    """
    compiled = len(learned) * train.epochs > COMPILE_ABOVE
    descent = Descent(network, train, compiled=compiled, tail=tail)
    pace = Pace(train, len(learned))
    rng = np.random.default_rng(train.seed)
    result = Fit(network.to_model())
    best = math.inf

    def learn(batch: TrainingBatch, state: Float32) -> Taken:
        descent.learning_rate = pace.next()
        found = descent.step(batch, state)
        if on_batch is not None:
            on_batch(1)
        return found

    for number in range(1, train.epochs + 1):
        loss = _pass(descent, learned.batches(rng), learn)
        validation = None if held_out is None else _pass(descent, held_out.batches(), descent.measure)
        epoch = Epoch(number, loss, validation, pace.rate)
        result.epochs.append(epoch)
        if epoch.judged < best * (1.0 - LEAST_GAIN) or result.best == 0:
            best, result.best, result.model = epoch.judged, number, network.to_model()
        pace.note(epoch.judged)
        if on_epoch is not None and on_epoch(epoch):
            break
        if train.early_stop and number - result.best >= train.early_stop:
            result.stopped_early = True
            break
    return result


class Pace:
    """The learning rate over the updates of a training."""

    def __init__(self, train: Train, updates_per_epoch: int) -> None:
        self._train = train
        self._updates = max(updates_per_epoch * train.epochs, 1)
        self._done = 0
        self._best = math.inf
        self._waited = 0
        self.rate = train.learning_rate

    def next(self) -> float:
        """The rate of the coming update."""
        if self._train.schedule == "cosine":
            share = 0.5 * (1.0 + math.cos(math.pi * self._done / self._updates))
            self.rate = self._train.rate_floor + (self._train.learning_rate - self._train.rate_floor) * share
        self._done += 1
        return self.rate

    def note(self, error: float) -> None:
        """After an epoch: on a plateau the rate falls, by its factor and not below its floor."""
        if error < self._best * (1.0 - LEAST_GAIN):
            self._best, self._waited = error, 0
            return
        self._waited += 1
        if self._train.schedule == "plateau" and self._waited >= self._train.rate_patience:
            self.rate = max(self.rate * self._train.rate_factor, self._train.rate_floor)
            self._waited = 0


def _pass(descent: Descent, batches: Iterator[TrainingBatch], take: Callable[[TrainingBatch, Float32], Taken]) -> float:
    """Mean loss over one part, the state carried from batch to batch."""
    state: Float32 | None = None
    total, weight = 0.0, 0.0
    for batch in batches:
        state = np.zeros((batch.x.shape[1], descent.network.state_size), np.float32) if state is None else state
        counted = float(batch.weight.sum())
        loss, _, state = take(batch, state)
        total, weight = total + loss * counted, weight + counted
    return total / weight if weight else math.nan
