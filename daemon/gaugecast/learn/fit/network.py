"""A model's layers in TensorFlow: the engines' stack, state in and state out, so that it can be trained."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from gaugecast.errors import ModelError
from gaugecast.learn.fit.backend import load_tensorflow
from gaugecast.model import Layer, Manifest, Model
from gaugecast.model.layers import NORM_EPSILON, NUMPY_ACTIVATIONS, STATE_PARTS

#: Longer sequences become a loop in the graph, not a step each: compiling 128 steps takes 2 s already.
MOST_UNROLLED = 128


class TrainableNetwork:
    """Recurrent cells, layer norms, decoder and head of one model, holding its weights as Keras variables.

    T steps, B rows, I inputs, K outputs of all horizons; a state row is packed [h1 c1 h2 c2 …], S floats (a c of LSTM
    layers only).

    Args:
        model: Shapes and first weights.
        dropout, recurrent_dropout: Shares of a layer's inputs and of its state that are dropped where `unroll` is
            given a seed.
        learn_initial: The initial state is among the weights that are trained.

    Raises:
        ModelError: It has layers that are not trained here.
    """

    def __init__(
        self, model: Model, *, dropout: float = 0.0, recurrent_dropout: float = 0.0, learn_initial: bool = False
    ) -> None:
        if not is_trained_here(model.manifest):
            raise ModelError(
                f"model {model.manifest.version}: expected LSTM or GRU layers with activations "
                f"{', '.join(NUMPY_ACTIVATIONS)} to train, found others; it can be served, and scored with learning off"
            )
        self._tf, self._keras = load_tensorflow()
        self.manifest = model.manifest
        self._dropout, self._recurrent_dropout = dropout, recurrent_dropout
        self._cells: list[Any] = []
        self._decoders: list[Any] = []
        self._norms: list[Any] = []
        self._head: Any = None
        self._named: dict[str, Any] = {}
        self._build(model.manifest)
        optional = model.manifest.optional_shapes() if learn_initial else {}
        for name, shape in optional.items():
            self._named[name] = self._keras.Variable(np.zeros(shape, np.float32), name=name.replace("/", "_"))
        self._fixed = {n: w for n, w in model.weights.items() if n not in self._named}
        self.load(model)

    @property
    def variables(self) -> list[Any]:
        """The Keras variables that are trained, in the order of the manifest's shapes."""
        return list(self._named.values())

    @property
    def kernels(self) -> list[Any]:
        """The variables that penalties and decay apply to: kernels, not biases, norms or states."""
        return [v for name, v in self._named.items() if name.endswith(("/kernel", "/recurrent"))]

    @property
    def state_size(self) -> int:
        """S, floats in a row's packed state."""
        return sum(layer.state_size for layer in self.manifest.layers)

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

    def initial_row(self) -> Any:
        """The initial state (1, S) as a tensor: learned, fixed, or zero."""
        shapes = self.manifest.optional_shapes()
        if any(name in self._named for name in shapes):
            return self._tf.concat([self._named[name].value for name in shapes], axis=0)[None]
        parts = [self._fixed.get(name, np.zeros(shape, np.float32)) for name, shape in shapes.items()]
        return self._tf.constant(np.concatenate(parts)[None])

    def unroll(self, x: Any, state: Any, *, seed: Any = None, tail: bool = False) -> tuple[Any, Any]:
        """Inside a `tf.function`: x (T, B, I) with T known, state (B, S) to outputs (T, B, K), state after (B, S).

        Args:
            x: Inputs.
            state: Packed, as the engine's.
            seed: Two integers that the masks of dropout are drawn from; `None` = no dropout.
            tail: Only the last step's output, (1, B, K).
        """
        parts = self._tf.split(state, _widths(self.manifest.layers), axis=1)
        after: list[Any] = []
        for i, (layer, norm) in enumerate(zip(self.manifest.layers, self._norms, strict=True)):
            own, parts = parts[: len(STATE_PARTS[layer.cell])], parts[len(STATE_PARTS[layer.cell]) :]
            x, ended = self._sequence(layer, self._cells[i], x, own, seed=seed, number=2 * i)
            after += ended
            if norm is not None:
                x = norm(x)
        x = x[-1:] if tail else x
        y = self._decode(x, seed) if self._decoders else (x if self._head is None else self._head(x))
        return y, self._tf.concat(after, axis=1)

    def _sequence(
        self, layer: Layer, cell: Any, x: Any, parts: list[Any], *, seed: Any, number: int
    ) -> tuple[Any, list[Any]]:
        """One layer over all steps: what `cell` does a step at a time, its inputs multiplied all at once.

        The small products of single steps and their gradients were half the time of an update. The masks of dropout
        stay the same over the steps, as Keras has them.
        """
        tf = self._tf
        x = self._masked(x, self._dropout, seed, number)
        h_mask = None
        if seed is not None and self._recurrent_dropout:
            h_mask = self._masked(tf.ones_like(parts[0]), self._recurrent_dropout, seed, number + 1)
        bias = cell.bias[0] if layer.cell == "gru" else cell.bias
        entry = tf.tensordot(x, cell.kernel, 1) + bias
        step = _gru_step if layer.cell == "gru" else _lstm_step

        def advance(state: list[Any], entry_t: Any) -> list[Any]:
            h = state[0] if h_mask is None else state[0] * h_mask
            return step(tf, cell, entry_t, h, state)

        if x.shape[0] > MOST_UNROLLED:
            over = tf.scan(advance, entry, initializer=list(parts))
            return over[0], [part[-1] for part in over]
        tops = []
        for t in range(x.shape[0]):
            parts = advance(parts, entry[t])
            tops.append(parts[0])
        return tf.stack(tops), parts

    def _masked(self, x: Any, rate: float, seed: Any, number: int) -> Any:
        """`x` with a share of its last two axes' elements dropped and the rest scaled up; as it is without a seed."""
        if seed is None or rate == 0.0:
            return x
        tf = self._tf
        drawn = tf.random.stateless_uniform(tf.shape(x)[-2:], seed=seed + tf.constant([0, number], tf.int32))
        return x * tf.cast(drawn >= rate, tf.float32) / (1.0 - rate)

    def _decode(self, x: Any, seed: Any) -> Any:
        """(T, B, U) to (T, B, D·O): each vector repeated D times through the decoder's layers and the head."""
        tf, steps = self._tf, self.manifest.decode_steps
        length, rows = x.shape[0], tf.shape(x)[1]
        flat = tf.reshape(x, (-1, x.shape[2]))
        sequence = tf.repeat(flat[None], steps, axis=0)
        for i, (layer, cell) in enumerate(zip(self.manifest.decoder, self._decoders, strict=True)):
            zeros = [tf.zeros((tf.shape(flat)[0], cell.units)) for _ in STATE_PARTS[layer.cell]]
            sequence, _ = self._sequence(layer, cell, sequence, zeros, seed=seed, number=100 + 2 * i)
        y = self._head(sequence)
        return tf.reshape(tf.transpose(y, (1, 0, 2)), (length, rows, steps * self.manifest.output_size))

    def _build(self, manifest: Manifest) -> None:
        layers, width = self._keras.layers, manifest.input_size
        for i, layer in enumerate(manifest.layers):
            self._cells.append(self._cell(layer, width))
            self._named |= _named(self._cells[-1], f"{layer.cell}{i}")
            norm = layers.LayerNormalization(epsilon=NORM_EPSILON) if layer.layer_norm else None
            if norm is not None:
                norm.build((None, layer.units))
                self._named |= {f"norm{i}/gamma": norm.gamma, f"norm{i}/beta": norm.beta}
            self._norms.append(norm)
            width = layer.units
        for layer in manifest.decoder:
            self._decoders.append(self._cell(layer, width))
            width = layer.units
        if manifest.head == "dense":
            self._head = layers.Dense(manifest.output_size)
            self._head.build((None, None, width))
            self._named |= {"dense/kernel": self._head.kernel, "dense/bias": self._head.bias}
        for i, cell in enumerate(self._decoders):
            self._named |= _named(cell, f"decoder{i}")

    def _cell(self, layer: Layer, width: int) -> Any:
        make = self._keras.layers.GRUCell if layer.cell == "gru" else self._keras.layers.LSTMCell
        cell = make(layer.units, activation=layer.activation, recurrent_activation=layer.recurrent_activation)
        cell.build((None, width))
        return cell


def is_trained_here(manifest: Manifest) -> bool:
    """Whether all layers are LSTM or GRU, with activations that training knows."""
    layers = (*manifest.layers, *manifest.decoder)
    return all(
        layer.cell in ("lstm", "gru")
        and layer.reset_after
        and {layer.activation, layer.recurrent_activation} <= set(NUMPY_ACTIVATIONS)
        for layer in layers
    )


def _named(cell: Any, name: str) -> dict[str, Any]:
    return {f"{name}/kernel": cell.kernel, f"{name}/recurrent": cell.recurrent_kernel, f"{name}/bias": cell.bias}


def _widths(layers: tuple[Layer, ...]) -> list[int]:
    return [layer.units for layer in layers for _ in STATE_PARTS[layer.cell]]


def _lstm_step(tf: Any, cell: Any, entry: Any, h: Any, state: list[Any]) -> list[Any]:
    """Gates i, f, c, o of Keras; `h` is the state's, masked where there is dropout."""
    i, f, g, o = tf.split(entry + tf.matmul(h, cell.recurrent_kernel), 4, axis=1)
    c = cell.recurrent_activation(f) * state[1] + cell.recurrent_activation(i) * cell.activation(g)
    return [cell.recurrent_activation(o) * cell.activation(c), c]


def _gru_step(tf: Any, cell: Any, entry: Any, h: Any, state: list[Any]) -> list[Any]:
    """Gates z, r, h of Keras, the reset gate after the product."""
    x_z, x_r, x_h = tf.split(entry, 3, axis=1)
    h_z, h_r, h_h = tf.split(tf.matmul(h, cell.recurrent_kernel) + cell.bias[1], 3, axis=1)
    z = cell.recurrent_activation(x_z + h_z)
    return [z * state[0] + (1.0 - z) * cell.activation(x_h + cell.recurrent_activation(x_r + h_r) * h_h)]
