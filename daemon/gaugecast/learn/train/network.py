"""The network in training: what `learn.network` unrolls, with dropout, a decoder and a learned initial state."""

from __future__ import annotations

from typing import Any

import numpy as np

from gaugecast.learn.backend import load_tensorflow
from gaugecast.learn.network import Network
from gaugecast.model import Manifest, Model

#: Longer sequences become a loop in the graph, not a step each: compiling 128 steps takes 2 s already.
MOST_UNROLLED = 128


class TrainingNetwork(Network):
    """A `Network` whose masks come in as arguments. With rate 0 and no decoder it computes what `Network` does."""

    def __init__(
        self, model: Model, *, dropout: float = 0.0, recurrent_dropout: float = 0.0, learn_initial: bool = False
    ) -> None:
        self.dropout, self.recurrent_dropout = dropout, recurrent_dropout
        self._learn_initial = learn_initial
        self._decoders: list[Any] = []
        self._initial: list[Any] = []
        super().__init__(model)

    def initial_row(self) -> Any:
        """The initial state (1, S) as a tensor: learned, fixed, or zero."""
        tf = self._tf
        if self._initial:
            return tf.concat([variable.value for variable in self._initial], axis=0)[None]
        parts = [
            self._fixed.get(f"initial{i}/{part}", np.zeros(layer.units, np.float32))
            for i, layer in enumerate(self.manifest.layers)
            for part in ("h", "c")
        ]
        return tf.constant(np.concatenate(parts)[None])

    def kernels(self) -> list[Any]:
        """The variables that penalties and decay apply to: kernels, not biases, norms or states."""
        return [v for name, v in self._named.items() if name.endswith(("/kernel", "/recurrent"))]

    def run(self, x: Any, state: Any, *, seed: Any = None, tail: bool = False) -> tuple[Any, Any]:
        """Inside a `tf.function`: x (T, B, I), state (B, S) to outputs (T, B, K), state after (B, S).

        Args:
            x: Inputs; T known.
            state: Packed, as the engine's.
            seed: Two integers that the masks of dropout are drawn from; `None` = no dropout.
            tail: Only the last step's output, (1, B, K).
        """
        tf = self._tf
        widths = [layer.units for layer in self.manifest.layers for _ in range(2)]
        parts = tf.split(state, widths, axis=1)
        after = []
        for i, (cell, norm) in enumerate(zip(self._cells, self._norms, strict=True)):
            x, h, c = self._sequence(cell, x, parts[2 * i], parts[2 * i + 1], seed, 2 * i)
            after += [h, c]
            if norm is not None:
                x = norm(x)
        x = x[-1:] if tail else x
        y = self._decode(x, seed) if self._decoders else (x if self._head is None else self._head(x))
        return y, tf.concat(after, axis=1)

    def _sequence(self, cell: Any, x: Any, h: Any, c: Any, seed: Any, layer: int) -> tuple[Any, Any, Any]:
        """One layer over all steps; the masks stay the same over the steps, as Keras has them."""
        tf = self._tf
        x = self._masked(x, self.dropout, seed, layer, steps=True)
        mask = self._masked(tf.ones_like(h), self.recurrent_dropout, seed, layer + 1, steps=False)
        entry = tf.tensordot(x, cell.kernel, 1) + cell.bias

        def step(entry_t: Any, h: Any, c: Any) -> tuple[Any, Any]:
            z = entry_t + tf.matmul(h if mask is None else h * mask, cell.recurrent_kernel)
            i, f, g, o = tf.split(z, 4, axis=1)
            c = cell.recurrent_activation(f) * c + cell.recurrent_activation(i) * cell.activation(g)
            return cell.recurrent_activation(o) * cell.activation(c), c

        if x.shape[0] > MOST_UNROLLED:
            hs, cs = tf.scan(lambda state, entry_t: step(entry_t, *state), entry, initializer=(h, c))
            return hs, hs[-1], cs[-1]
        tops = []
        for t in range(x.shape[0]):
            h, c = step(entry[t], h, c)
            tops.append(h)
        return tf.stack(tops), h, c

    def _masked(self, x: Any, rate: float, seed: Any, layer: int, *, steps: bool) -> Any:
        """`x` with a share of its last axis' elements dropped and the rest scaled up; as it is without a seed."""
        if seed is None or rate == 0.0:
            return x if steps else None
        tf = self._tf
        shape = tf.shape(x)[-2:]
        drawn = tf.random.stateless_uniform(shape, seed=seed + tf.constant([0, layer], tf.int32))
        return x * tf.cast(drawn >= rate, tf.float32) / (1.0 - rate)

    def _decode(self, x: Any, seed: Any) -> Any:
        """(T, B, U) to (T, B, D·O): each vector repeated D times through the decoder's layers and the head."""
        tf, steps = self._tf, self.manifest.decode_steps
        length, rows = x.shape[0], tf.shape(x)[1]
        flat = tf.reshape(x, (-1, x.shape[2]))
        sequence = tf.repeat(flat[None], steps, axis=0)
        for i, cell in enumerate(self._decoders):
            zeros = tf.zeros((tf.shape(flat)[0], cell.units))
            sequence, _, _ = self._sequence(cell, sequence, zeros, zeros, seed, 100 + 2 * i)
        y = self._head(sequence)
        return tf.reshape(tf.transpose(y, (1, 0, 2)), (length, rows, steps * self.manifest.output_size))

    def _build(self, keras: Any, manifest: Manifest) -> None:
        super()._build(keras, manifest)
        if not manifest.decoder:
            return
        width = manifest.layers[-1].units
        for layer in manifest.decoder:
            cell = keras.layers.LSTMCell(
                layer.units, activation=layer.activation, recurrent_activation=layer.recurrent_activation
            )
            cell.build((None, width))
            self._decoders.append(cell)
            width = layer.units
        self._head = keras.layers.Dense(manifest.output_size)
        self._head.build((None, None, width))

    def _name_variables(self) -> dict[str, Any]:
        named = super()._name_variables()
        for i, cell in enumerate(self._decoders):
            named[f"decoder{i}/kernel"] = cell.kernel
            named[f"decoder{i}/recurrent"] = cell.recurrent_kernel
            named[f"decoder{i}/bias"] = cell.bias
        if self._learn_initial:
            _, keras = load_tensorflow()
            for name, shape in self.manifest.optional_shapes().items():
                named[name] = keras.Variable(np.zeros(shape, np.float32), name=name.replace("/", "_"))
            self._initial = [named[name] for name in self.manifest.optional_shapes()]
        return named
