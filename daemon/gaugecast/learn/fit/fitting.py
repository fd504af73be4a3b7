"""Epochs of descent: losses, schedules, early stopping with the best weights kept."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from gaugecast.config.training import Train
from gaugecast.learn.fit.descent import Array, Descended, Descent, TrainingBatch
from gaugecast.learn.fit.network import TrainableNetwork
from gaugecast.model import Model
from gaugecast.records import Float32

#: Updates above which XLA pays for its compilation.
COMPILE_ABOVE = 4000
#: Epochs from which on it is worth a few more to see whether they would still gain.
PROBED_FROM = 5
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
    """What came of it: the best weights, and the curve on the way there.

    Attributes:
        best: The epoch whose weights are kept.
        stopped_early: Nothing had become better for as long as the settings wait.
        interrupted: Somebody ended it by hand.
        gained: Share by which some more epochs at a constant rate lowered the best error; `None` = not tried.
        moments: The optimiser's state at the best epoch, to go on from.
    """

    model: Model
    epochs: list[Epoch] = field(default_factory=list)
    best: int = 0
    stopped_early: bool = False
    interrupted: bool = False
    gained: float | None = None
    moments: list[Array] = field(default_factory=list)


def fit(
    network: TrainableNetwork,
    train: Train,
    learned: Source,
    held_out: Source | None,
    *,
    tail: bool = False,
    moments: Sequence[Array] = (),
    on_batch: Callable[[int], None] | None = None,
    on_epoch: Callable[[Epoch], bool | None] | None = None,
    on_best: Callable[[Fit], None] = lambda _: None,
) -> Fit:
    """Train until the epochs are over or nothing improves; the best weights are those of the model given back.

    A KeyboardInterrupt ends it too, once there is an epoch whose weights can be kept. Where the rate falls as epochs
    go by, the error settles whether or not all is learned: so a few more are made at a constant one, only to see.

    Args:
        network: Holds the first weights, and is left with the last ones.
        train: How.
        learned, held_out: The parts; where nothing is held out, the training loss decides.
        tail: Only the last step of each batch counts (windows, many-to-one).
        moments: The optimiser's state to begin with, as of `Fit`.
        on_batch: Called after each update with 1.
        on_epoch: Called after each epoch; a true answer ends training.
        on_best: Called with what there is so far, whenever an epoch was the best.
    """
    compiled = len(learned) * train.epochs > COMPILE_ABOVE
    descent = Descent(network, train, compiled=compiled, tail=tail)
    if moments:
        descent.moments = list(moments)
    pace = Pace(train, len(learned))
    rng = np.random.default_rng(train.seed)
    result = Fit(network.to_model())
    best = math.inf

    def learn(batch: TrainingBatch, state: Float32) -> Descended:
        descent.learning_rate = pace.next()
        found = descent.step(batch, state)
        if on_batch is not None:
            on_batch(1)
        return found

    def run_epoch(number: int) -> Epoch:
        loss = run_pass(descent, learned.batches(rng), learn)
        validation = None if held_out is None else run_pass(descent, held_out.batches(), descent.measure)
        return Epoch(number, loss, validation, pace.rate)

    try:
        for number in range(1, train.epochs + 1):
            epoch = run_epoch(number)
            result.epochs.append(epoch)
            if epoch.judged < best * (1.0 - LEAST_GAIN) or result.best == 0:
                result.model, result.moments = network.to_model(), descent.moments
                best, result.best = epoch.judged, number
                on_best(result)
            pace.note(epoch.judged)
            if on_epoch is not None and on_epoch(epoch):
                return result
            if train.early_stop and number - result.best >= train.early_stop:
                result.stopped_early = True
                return result
    except KeyboardInterrupt:
        if not result.best:
            raise
        result.interrupted = True
        return result
    if train.schedule != "constant" and train.epochs >= PROBED_FROM and held_out is not None:
        pace.hold()
        with contextlib.suppress(KeyboardInterrupt):
            probed = [run_epoch(0).judged for _ in range(probe_epochs(train))]
            result.gained = 1.0 - min(probed) / best if best > 0.0 else 0.0
    return result


def probe_epochs(train: Train) -> int:
    """How many more epochs are made at a constant rate, to see whether they would still gain."""
    return max(1, train.epochs // PROBED_FROM // 2)


class Pace:
    """The learning rate over the updates of a training."""

    def __init__(self, train: Train, updates_per_epoch: int) -> None:
        self._train = train
        self._updates = max(updates_per_epoch * train.epochs, 1)
        self._done = 0
        self._best = math.inf
        self._waited = 0
        self._held = False
        self.rate = train.learning_rate

    def hold(self) -> None:
        """From here on the rate is constant: half of the first."""
        self._held, self.rate = True, 0.5 * self._train.learning_rate

    def next(self) -> float:
        """The rate of the coming update."""
        if self._train.schedule == "cosine" and not self._held:
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


def run_pass(
    descent: Descent, batches: Iterator[TrainingBatch], take: Callable[[TrainingBatch, Float32], Descended]
) -> float:
    """Mean loss over one part, the state carried from batch to batch."""
    state: Float32 | None = None
    total, weight = 0.0, 0.0
    for batch in batches:
        state = np.zeros((batch.x.shape[1], descent.network.state_size), np.float32) if state is None else state
        counted = float(batch.weight.sum())
        loss, _, state = take(batch, state)
        total, weight = total + loss * counted, weight + counted
    return total / weight if weight else math.nan
