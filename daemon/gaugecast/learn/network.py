"""A model as Keras layers: the same stack as the engine's, with its state in and out, so that it can be trained."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from gaugecast.errors import ModelError
from gaugecast.learn.backend import load_tensorflow
from gaugecast.model import Manifest, Model
from gaugecast.model.layers import NORM_EPSILON


class Network:
    """LSTM cells, layer norms and head of one model, holding its weights as Keras variables.

    T steps, B rows, I inputs, O outputs; a state row is packed [h1 c1 h2 c2 …], S floats.

    Raises:
        ModelError: It has layers that are not trained here.
    """

    def __init__(self, model: Model) -> None:
        if model.manifest.engine != "numpy":
            raise ModelError(
                f"model {model.manifest.version}: expected LSTM layers to go on learning with, found layers that only "
                "the TensorFlow engine steps; it can be served, and scored with learning off"
            )
        tf, keras = load_tensorflow()
        self._tf = tf
        self.manifest = model.manifest
        self._fixed = {n: w for n, w in model.weights.items() if n in model.manifest.optional_shapes()}
        self._cells: list[Any] = []
        self._norms: list[Any] = []
        self._head: Any = None
        self._build(keras, model.manifest)
        self._named = self._name_variables()
        self.load(model)

    @property
    def variables(self) -> list[Any]:
        """The Keras variables that are trained, in the order of the manifest's shapes."""
        return list(self._named.values())

    @property
    def state_size(self) -> int:
        """S, floats in a row's packed state."""
        return sum(2 * layer.units for layer in self.manifest.layers)

    def load(self, model: Model) -> None:
        """Take the weights of `model`, which has the same shapes."""
        for name, variable in self._named.items():
            variable.assign(model.weights[name])

    def to_model(self) -> Model:
        """The weights as they stand, under the manifest without digest and version: `seal_model` gives it those.

        Raises:
            ModelError: A weight is not finite.
        """
        trained = {name: np.asarray(variable.numpy(), np.float32) for name, variable in self._named.items()}
        return Model(replace(self.manifest, sha256="", version=""), self._fixed | trained)

    def unroll(self, x: Any, state: Any) -> tuple[Any, Any]:
        """Inside a `tf.function`: x (T, B, I) with T known, state (B, S) to outputs (T, B, O), state after (B, S)."""
        widths = [layer.units for layer in self.manifest.layers for _ in range(2)]
        parts = self._tf.split(state, widths, axis=1)
        after = []
        for cell, norm, h, c in zip(self._cells, self._norms, parts[::2], parts[1::2], strict=True):
            x, h, c = self._unroll_cell(cell, x, h, c)
            after += [h, c]
            if norm is not None:
                x = norm(x)
        return (x if self._head is None else self._head(x)), self._tf.concat(after, axis=1)

    def _unroll_cell(self, cell: Any, x: Any, h: Any, c: Any) -> tuple[Any, Any, Any]:
        """One layer over all steps: what `cell` does a step at a time, its inputs multiplied all at once.

        The twelve small products and their gradients were half the time of an update.
        """
        tf = self._tf
        entry = tf.tensordot(x, cell.kernel, 1) + cell.bias
        tops = []
        for t in range(x.shape[0]):
            i, f, g, o = tf.split(entry[t] + tf.matmul(h, cell.recurrent_kernel), 4, axis=1)
            c = cell.recurrent_activation(f) * c + cell.recurrent_activation(i) * cell.activation(g)
            h = cell.recurrent_activation(o) * cell.activation(c)
            tops.append(h)
        return tf.stack(tops), h, c

    def _build(self, keras: Any, manifest: Manifest) -> None:
        width = manifest.input_size
        for layer in manifest.layers:
            cell = keras.layers.LSTMCell(
                layer.units, activation=layer.activation, recurrent_activation=layer.recurrent_activation
            )
            cell.build((None, width))
            norm = keras.layers.LayerNormalization(epsilon=NORM_EPSILON) if layer.layer_norm else None
            if norm is not None:
                norm.build((None, layer.units))
            self._cells.append(cell)
            self._norms.append(norm)
            width = layer.units
        if manifest.head == "dense":
            self._head = keras.layers.Dense(manifest.output_size)
            self._head.build((None, None, width))

    def _name_variables(self) -> dict[str, Any]:
        named: dict[str, Any] = {}
        for i, (cell, norm) in enumerate(zip(self._cells, self._norms, strict=True)):
            named[f"lstm{i}/kernel"] = cell.kernel
            named[f"lstm{i}/recurrent"] = cell.recurrent_kernel
            named[f"lstm{i}/bias"] = cell.bias
            if norm is not None:
                named[f"norm{i}/gamma"], named[f"norm{i}/beta"] = norm.gamma, norm.beta
        if self._head is not None:
            named["dense/kernel"], named["dense/bias"] = self._head.kernel, self._head.bias
        return named
