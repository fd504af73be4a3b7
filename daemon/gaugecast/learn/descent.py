"""One step of gradient descent on a network: truncated BPTT over a window, Adam, gradients clipped."""

from __future__ import annotations

from typing import Any

import numpy as np

from gaugecast.learn.backend import load_tensorflow
from gaugecast.learn.network import Network
from gaugecast.records import Float32

#: Largest norm of the whole gradient.
CLIP_NORM = 1.0


class Descent:
    """Adam on one network's weights; its moments live as long as it does.

    Each shape of window compiles once (3–6 s with XLA), so callers pad to fixed shapes and give what they padded
    no weight. One thread's at a time.
    """

    def __init__(
        self, network: Network, *, learning_rate: float, weight_decay: float | None = None, compiled: bool = True
    ) -> None:
        """Begin with empty moments.

        Args:
            network: What learns.
            learning_rate: Adam's.
            weight_decay: Share of each weight, times the rate, lost a step (AdamW; not of biases and norms).
            compiled: Use XLA.
        """
        tf, keras = load_tensorflow()
        self.network = network
        self._tf = tf
        self._adam = keras.optimizers.Adam(learning_rate, weight_decay=weight_decay)
        self._adam.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
        self._adam.build(network.variables)
        self._step = tf.function(self._descend, jit_compile=compiled)
        self._measure = tf.function(self._loss, jit_compile=compiled)

    @property
    def learning_rate(self) -> float:
        """Adam's rate for the steps to come."""
        return float(self._adam.learning_rate.numpy())

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        self._adam.learning_rate.assign(rate)

    def step(self, x: Float32, state: Float32, target: Float32, weight: Float32) -> tuple[Float32, Float32]:
        """Learn from a window.

        A gradient that is not finite moves nothing: weights never become so by learning.

        Args:
            x: Inputs (T, B, I).
            state: State before the window (B, S).
            target: (T, B, O), finite.
            weight: Weight of each error (T, B, O); 0 where there is no target.

        Returns:
            Mean square error of each row (B,), 0 where it had no weight, and the state after the window (B, S).
        """
        error, after = self._step(x, state, target, weight)
        return np.asarray(error), np.asarray(after)

    def measure(self, x: Float32, state: Float32, target: Float32, weight: Float32) -> tuple[Float32, Float32]:
        """As `step`, but nothing is learned."""
        _, error, after = self._measure(x, state, target, weight)
        return np.asarray(error), np.asarray(after)

    def _loss(self, x: Any, state: Any, target: Any, weight: Any) -> tuple[Any, Any, Any]:
        tf = self._tf
        y, after = self.network.unroll(x, state)
        square = weight * tf.square(y - target)
        loss = tf.reduce_sum(square) / tf.maximum(tf.reduce_sum(weight), 1.0)
        rows = tf.math.divide_no_nan(tf.reduce_sum(square, [0, 2]), tf.reduce_sum(weight, [0, 2]))
        return loss, rows, after

    def _descend(self, x: Any, state: Any, target: Any, weight: Any) -> tuple[Any, Any]:
        tf = self._tf
        # Keras wraps its variables; the tape sees them either way, the gradient wants the wrapped ones.
        variables = [variable.value for variable in self.network.variables]
        with tf.GradientTape() as tape:
            loss, rows, after = self._loss(x, state, target, weight)
        gradients = tape.gradient(loss, variables)
        norm = tf.linalg.global_norm(gradients)
        sound = tf.math.is_finite(norm)
        share = CLIP_NORM / tf.maximum(norm, CLIP_NORM)
        gradients = [tf.where(sound, share * gradient, 0.0) for gradient in gradients]
        self._adam.apply(gradients, self.network.variables)
        return rows, after
