"""One step of gradient descent on a network: truncated BPTT over a batch of windows, Adam, gradients clipped."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gaugecast.config.training import Train
from gaugecast.learn.fit.backend import load_tensorflow
from gaugecast.learn.fit.network import TrainableNetwork
from gaugecast.records import Float32

Array = npt.NDArray[Any]  # one of the optimiser's variables


class TrainingBatch(NamedTuple):
    """T steps of B rows; what is padding has no weight."""

    x: Float32  # (T, B, I)
    target: Float32  # (T, B, K), finite
    weight: Float32  # of each error, 0 where there is no target (T, B, K)
    begins: Float32 | None = None  # (B, 1), 1 where the state is the initial one; None = nowhere


class Descended(NamedTuple):
    """What came of a batch: its loss without penalties, each row's mean (B,), the state after it (B, S)."""

    loss: float
    rows: Float32
    state: Float32


class Descent:
    """One network, one optimiser, one loss; the optimiser's moments live as long as it does.

    Each shape of batch compiles once (3–6 s with XLA), so callers pad to fixed shapes and give what they padded
    no weight. One thread's at a time.
    """

    def __init__(
        self, network: TrainableNetwork, settings: Train, *, compiled: bool = True, tail: bool = False
    ) -> None:
        """Begin with empty moments.

        Args:
            network: What learns.
            settings: Loss, optimiser, clips, penalties, and the seed of dropout.
            compiled: Use XLA.
            tail: Only the last step of each batch counts (windows, many-to-one).
        """
        tf, keras = load_tensorflow()
        self.network = network
        self._tf, self._settings, self._tail = tf, settings, tail
        self._optimizer = _optimizer(keras, settings, network)
        self._step = tf.function(self._descend, jit_compile=compiled)
        self._measure = tf.function(self._judge, jit_compile=compiled)
        self._count = 0

    @property
    def learning_rate(self) -> float:
        """The optimiser's rate for the steps to come."""
        return float(self._optimizer.learning_rate.numpy())

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        self._optimizer.learning_rate.assign(rate)

    @property
    def moments(self) -> list[Array]:
        """All that the optimiser remembers."""
        return [np.array(variable.numpy()) for variable in self._optimizer.variables]

    @moments.setter
    def moments(self, kept: list[Array]) -> None:
        for variable, value in zip(self._optimizer.variables, kept, strict=True):
            variable.assign(value)

    def step(self, batch: TrainingBatch, state: Float32) -> Descended:
        """Learn from a batch, from the state before it (B, S).

        A gradient that is not finite moves nothing: weights never become so by learning.
        """
        self._count += 1
        seed = np.array([self._settings.seed, 1000 * self._count], np.int32)
        return _descended(self._step(*batch, state, seed))

    def measure(self, batch: TrainingBatch, state: Float32) -> Descended:
        """As `step`, but nothing is learned, and nothing dropped."""
        return _descended(self._measure(*batch, state))

    def _judge(self, x: Any, target: Any, weight: Any, begins: Any, state: Any) -> tuple[Any, Any, Any]:
        return self._loss(x, target, weight, begins, state, None)

    def _loss(self, x: Any, target: Any, weight: Any, begins: Any, state: Any, seed: Any) -> tuple[Any, Any, Any]:
        tf = self._tf
        if begins is not None:
            state = tf.where(begins > 0.0, self.network.initial_row(), state)
        y, after = self.network.unroll(x, state, seed=seed, tail=self._tail)
        if self._tail:
            target, weight = target[-1:], weight[-1:]
        each = weight * self._each(y - target)
        loss = tf.reduce_sum(each) / tf.maximum(tf.reduce_sum(weight), 1.0)
        rows = tf.math.divide_no_nan(tf.reduce_sum(each, [0, 2]), tf.reduce_sum(weight, [0, 2]))
        return loss, rows, tf.stop_gradient(after)

    def _each(self, error: Any) -> Any:
        """The loss of each error (forecast minus target)."""
        tf, settings = self._tf, self._settings
        if settings.loss == "mse":
            return tf.square(error)
        size = tf.abs(error)
        if settings.loss == "mae":
            return size
        if settings.loss == "huber":
            delta = settings.huber_delta
            return tf.where(size <= delta, 0.5 * tf.square(error), delta * (size - 0.5 * delta))
        return tf.maximum(settings.quantile * -error, (1.0 - settings.quantile) * error)

    def _descend(self, x: Any, target: Any, weight: Any, begins: Any, state: Any, seed: Any) -> tuple[Any, Any, Any]:
        tf, settings = self._tf, self._settings
        # Keras wraps its variables; the tape sees them either way, the gradient wants the wrapped ones.
        variables = [variable.value for variable in self.network.variables]
        with tf.GradientTape() as tape:
            loss, rows, after = self._loss(x, target, weight, begins, state, seed)
            total = loss
            if settings.l2:
                total += settings.l2 * tf.add_n([tf.reduce_sum(tf.square(k.value)) for k in self.network.kernels])
        gradients = tape.gradient(total, variables)
        gradients = [tf.zeros_like(v) if g is None else g for g, v in zip(gradients, variables, strict=True)]
        norm = tf.linalg.global_norm(gradients)
        sound = tf.math.is_finite(norm)
        share = settings.clip_norm / tf.maximum(norm, settings.clip_norm) if settings.clip_norm else 1.0
        gradients = [tf.where(sound, share * g, 0.0) for g in gradients]
        if settings.clip_value:
            gradients = [tf.clip_by_value(g, -settings.clip_value, settings.clip_value) for g in gradients]
        self._optimizer.apply(gradients, self.network.variables)
        return loss, rows, after


def _descended(found: tuple[Any, Any, Any]) -> Descended:
    loss, rows, after = found
    return Descended(float(loss), np.asarray(rows), np.asarray(after))


def _optimizer(keras: Any, settings: Train, network: TrainableNetwork) -> Any:
    if settings.optimizer == "rmsprop":
        optimizer = keras.optimizers.RMSprop(settings.learning_rate)
    elif settings.weight_decay:
        optimizer = keras.optimizers.AdamW(settings.learning_rate, weight_decay=settings.weight_decay)
        kept = {id(v) for v in network.kernels}
        optimizer.exclude_from_weight_decay(var_list=[v for v in network.variables if id(v) not in kept])
    else:
        optimizer = keras.optimizers.Adam(settings.learning_rate)
    optimizer.build(network.variables)
    return optimizer
