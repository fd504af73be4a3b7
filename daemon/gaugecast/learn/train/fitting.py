"""Epochs of descent: losses, schedules, early stopping with the best weights kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from gaugecast.config.training import Train
from gaugecast.learn.backend import load_tensorflow
from gaugecast.learn.train.batches import Batch
from gaugecast.learn.train.network import TrainingNetwork
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

    def batches(self, rng: np.random.Generator | None = None) -> Iterator[Batch]:
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


class Descender:
    """One network, one optimizer, one loss. Batches have one shape; one thread's."""

    def __init__(self, network: TrainingNetwork, train: Train, *, compiled: bool, tail: bool) -> None:
        tf, keras = load_tensorflow()
        self.network, self._train, self._tf, self._tail = network, train, tf, tail
        self._optimizer = _optimizer(keras, train, network)
        self._step = tf.function(self._descend, jit_compile=compiled)
        self._measure = tf.function(self._judge, jit_compile=compiled)
        self._count = 0

    def set_rate(self, rate: float) -> None:
        """The learning rate from here on."""
        self._optimizer.learning_rate.assign(rate)

    def step(self, batch: Batch, state: Float32) -> tuple[float, Float32]:
        """Learn from one batch: its loss (without penalties), and the state after it (B, S)."""
        self._count += 1
        seed = np.array([self._train.seed, 1000 * self._count], np.int32)
        loss, after = self._step(*batch, state, seed)
        return float(loss), after

    def measure(self, batch: Batch, state: Float32) -> tuple[float, Float32]:
        """The loss of one batch and the state after it; nothing is learned, nothing dropped."""
        loss, after = self._measure(*batch, state)
        return float(loss), after

    def _descend(self, x: Any, target: Any, weight: Any, begins: Any, state: Any, seed: Any) -> tuple[Any, Any]:
        tf, train = self._tf, self._train
        variables = [variable.value for variable in self.network.variables]
        with tf.GradientTape() as tape:
            loss, after = self._loss(x, target, weight, begins, state, seed)
            total = loss
            if train.l2:
                total += train.l2 * tf.add_n([tf.reduce_sum(tf.square(k.value)) for k in self.network.kernels()])
        gradients = tape.gradient(total, variables)
        gradients = [tf.zeros_like(v) if g is None else g for g, v in zip(gradients, variables, strict=True)]
        norm = tf.linalg.global_norm(gradients)
        sound = tf.math.is_finite(norm)
        share = train.clip_norm / tf.maximum(norm, train.clip_norm) if train.clip_norm else 1.0
        gradients = [tf.where(sound, share * g, 0.0) for g in gradients]
        if train.clip_value:
            gradients = [tf.clip_by_value(g, -train.clip_value, train.clip_value) for g in gradients]
        self._optimizer.apply(gradients, self.network.variables)
        return loss, after

    def _judge(self, x: Any, target: Any, weight: Any, begins: Any, state: Any) -> tuple[Any, Any]:
        return self._loss(x, target, weight, begins, state, None)

    def _loss(self, x: Any, target: Any, weight: Any, begins: Any, state: Any, seed: Any) -> tuple[Any, Any]:
        tf = self._tf
        state = tf.where(begins > 0.0, self.network.initial_row(), state)
        y, after = self.network.run(x, state, seed=seed, tail=self._tail)
        if self._tail:
            target, weight = target[-1:], weight[-1:]
        each = weight * self._each(y - target)
        return tf.math.divide_no_nan(tf.reduce_sum(each), tf.reduce_sum(weight)), tf.stop_gradient(after)

    def _each(self, error: Any) -> Any:
        """The loss of each error (forecast minus target)."""
        tf, train = self._tf, self._train
        if train.loss == "mse":
            return tf.square(error)
        size = tf.abs(error)
        if train.loss == "mae":
            return size
        if train.loss == "huber":
            delta = train.huber_delta
            return tf.where(size <= delta, 0.5 * tf.square(error), delta * (size - 0.5 * delta))
        return tf.maximum(train.quantile * -error, (1.0 - train.quantile) * error)


def fit(
    network: TrainingNetwork,
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
    descender = Descender(network, train, compiled=compiled, tail=tail)
    pace = Pace(train, len(learned))
    rng = np.random.default_rng(train.seed)
    result = Fit(network.to_model())
    best = math.inf
    for number in range(1, train.epochs + 1):
        loss = _learn_pass(descender, learned, pace, rng, on_batch)
        validation = None if held_out is None else measure_pass(descender, held_out)
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


def measure_pass(descender: Descender, source: Source) -> float:
    """Mean loss over one part."""
    state, total, weight = None, 0.0, 0.0
    for batch in source.batches():
        state = _state(descender, batch) if state is None else state
        counted = float(batch.weight.sum())
        loss, state = descender.measure(batch, state)
        total, weight = total + loss * counted, weight + counted
    return total / weight if weight else math.nan


def _learn_pass(
    descender: Descender,
    source: Source,
    pace: Pace,
    rng: np.random.Generator,
    on_batch: Callable[[int], None] | None,
) -> float:
    state, total, weight = None, 0.0, 0.0
    for batch in source.batches(rng):
        state = _state(descender, batch) if state is None else state
        descender.set_rate(pace.next())
        counted = float(batch.weight.sum())
        loss, state = descender.step(batch, state)
        total, weight = total + loss * counted, weight + counted
        if on_batch is not None:
            on_batch(1)
    return total / weight if weight else math.nan


def _state(descender: Descender, batch: Batch) -> Float32:
    return np.zeros((batch.x.shape[1], descender.network.state_size), np.float32)


def _optimizer(keras: Any, train: Train, network: TrainingNetwork) -> Any:
    if train.optimizer == "rmsprop":
        optimizer = keras.optimizers.RMSprop(train.learning_rate)
    elif train.weight_decay:
        optimizer = keras.optimizers.AdamW(train.learning_rate, weight_decay=train.weight_decay)
        kept = {id(v) for v in network.kernels()}
        optimizer.exclude_from_weight_decay(var_list=[v for v in network.variables if id(v) not in kept])
    else:
        optimizer = keras.optimizers.Adam(train.learning_rate)
    optimizer.build(network.variables)
    return optimizer
