"""One step of a model's layers in TensorFlow's operations, written out: state in, state out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gaugecast.model import Layer, Model
from gaugecast.model.layers import NORM_EPSILON, STATE_PARTS

#: A layer's step: (x (B, I), its state's parts (B, U) each) to (output (B, U), the parts after it).
_Step = Callable[[Any, Sequence[Any]], tuple[Any, Sequence[Any]]]


class Network:
    """The layers of a model in TensorFlow's operations, for use inside a `tf.function`.

    With layer norms all of it is float64 between the float32 that comes and the float32 that goes: where units hardly
    differ, a norm makes the roundings before it thirty times larger.
    """

    def __init__(self, tf: Any, model: Model) -> None:
        manifest = model.manifest
        self._tf = tf
        self._dtype = tf.float64 if any(layer.layer_norm for layer in manifest.layers) else tf.float32
        self._weights = {name: tf.constant(array, self._dtype) for name, array in model.weights.items()}
        self._layers, self._decoder = manifest.layers, manifest.decoder
        self._decode_steps = manifest.decode_steps
        self._steps = [self._layer(layer, f"{layer.cell}{i}", f"norm{i}") for i, layer in enumerate(manifest.layers)]
        self._decoder_steps = [self._layer(layer, f"decoder{i}", "") for i, layer in enumerate(manifest.decoder)]
        self._head = self._dense("dense") if manifest.head == "dense" else _same

    def step(self, x: Any, state: Any) -> tuple[Any, Any]:
        """x (B, I), state (B, S) to (y (B, O), state' (B, S))."""
        tf = self._tf
        widths = [layer.units for layer in self._layers for _ in STATE_PARTS[layer.cell]]
        x, state = tf.cast(x, self._dtype), tf.cast(state, self._dtype)
        top, after = _run(self._steps, self._layers, x, tf.split(state, widths, axis=1))
        outputs = self._decode(top) if self._decoder else self._head(top)
        return tf.cast(outputs, tf.float32), tf.cast(tf.concat(after, axis=1), tf.float32)

    def _decode(self, top: Any) -> Any:
        """What the decoder makes of one vector, fed to it at each step from zero state: (B, D·O)."""
        tf = self._tf
        widths = [layer.units for layer in self._decoder for _ in STATE_PARTS[layer.cell]]
        parts: Sequence[Any] = [tf.zeros((top.shape[0], width), self._dtype) for width in widths]
        outputs = []
        for _ in range(self._decode_steps):
            output, parts = _run(self._decoder_steps, self._decoder, top, parts)
            outputs.append(self._head(output))
        return tf.concat(outputs, axis=1)

    def _layer(self, layer: Layer, name: str, norm: str) -> _Step:
        make = {
            "lstm": self._lstm, "gru": self._gru, "simple_rnn": self._simple_rnn,
            "dense": self._stateless, "affine": self._stateless,
        }[layer.cell]  # fmt: skip
        step: _Step = make(layer, name)
        return self._normed(step, norm) if layer.layer_norm else step

    def _lstm(self, layer: Layer, name: str) -> _Step:
        tf, gate, act = self._tf, self._activation(layer.recurrent_activation), self._activation(layer.activation)
        kernel, recurrent, bias = self._parts(name)

        def step(x: Any, state: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
            h, c = state
            i, f, g, o = tf.split(tf.matmul(x, kernel) + tf.matmul(h, recurrent) + bias, 4, axis=1)
            c = gate(f) * c + gate(i) * act(g)
            h = gate(o) * act(c)
            return h, (h, c)

        return step

    def _gru(self, layer: Layer, name: str) -> _Step:
        """Cho et al. 2014; with `reset_after` as cuDNN has it."""
        tf, gate, act = self._tf, self._activation(layer.recurrent_activation), self._activation(layer.activation)
        kernel, recurrent, bias = self._parts(name)
        gates, candidate = recurrent[:, : 2 * layer.units], recurrent[:, 2 * layer.units :]

        def step_reset_after(x: Any, state: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
            (h,) = state
            x_z, x_r, x_h = tf.split(tf.matmul(x, kernel) + bias[0], 3, axis=1)
            h_z, h_r, h_h = tf.split(tf.matmul(h, recurrent) + bias[1], 3, axis=1)
            z = gate(x_z + h_z)
            h = z * h + (1 - z) * act(x_h + gate(x_r + h_r) * h_h)
            return h, (h,)

        def step_reset_before(x: Any, state: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
            (h,) = state
            x_z, x_r, x_h = tf.split(tf.matmul(x, kernel) + bias, 3, axis=1)
            h_z, h_r = tf.split(tf.matmul(h, gates), 2, axis=1)
            z = gate(x_z + h_z)
            h = z * h + (1 - z) * act(x_h + tf.matmul(gate(x_r + h_r) * h, candidate))
            return h, (h,)

        return step_reset_after if layer.reset_after else step_reset_before

    def _simple_rnn(self, layer: Layer, name: str) -> _Step:
        """Elman 1990."""
        tf, act = self._tf, self._activation(layer.activation)
        kernel, recurrent, bias = self._parts(name)

        def step(x: Any, state: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
            h = act(tf.matmul(x, kernel) + bias + tf.matmul(state[0], recurrent))
            return h, (h,)

        return step

    def _stateless(self, layer: Layer, name: str) -> _Step:
        apply = self._dense(name) if layer.cell == "dense" else self._affine(name)
        act = self._activation(layer.activation)
        return lambda x, _: (act(apply(x)), ())

    def _dense(self, name: str) -> Callable[[Any], Any]:
        kernel, bias = self._weights[f"{name}/kernel"], self._weights[f"{name}/bias"]
        return lambda x: self._tf.matmul(x, kernel) + bias

    def _affine(self, name: str) -> Callable[[Any], Any]:
        scale, shift = self._weights[f"{name}/scale"], self._weights[f"{name}/shift"]
        return lambda x: x * scale + shift

    def _normed(self, inner: _Step, name: str) -> _Step:
        """Layer normalisation of what a layer gives (Ba et al. 2016); its state stays as it is."""
        tf = self._tf
        gamma, beta = self._weights[f"{name}/gamma"], self._weights[f"{name}/beta"]

        def step(x: Any, state: Sequence[Any]) -> tuple[Any, Sequence[Any]]:
            h, after = inner(x, state)
            centred = h - tf.reduce_mean(h, axis=1, keepdims=True)
            variance = tf.reduce_mean(tf.square(centred), axis=1, keepdims=True)
            return centred / tf.sqrt(variance + NORM_EPSILON) * gamma + beta, after

        return step

    def _parts(self, name: str) -> tuple[Any, Any, Any]:
        return self._weights[f"{name}/kernel"], self._weights[f"{name}/recurrent"], self._weights[f"{name}/bias"]

    def _activation(self, name: str) -> Callable[[Any], Any]:
        if name == "linear":
            return _same
        found: Callable[[Any], Any] = self._tf.keras.activations.get(name)
        return found


def _same(x: Any) -> Any:
    return x


def _run(steps: Sequence[_Step], layers: Sequence[Layer], x: Any, state: Sequence[Any]) -> tuple[Any, list[Any]]:
    """One step through all layers; the state's parts of all of them, in order, before and after."""
    after: list[Any] = []
    start = 0
    for step, layer in zip(steps, layers, strict=True):
        end = start + len(STATE_PARTS[layer.cell])
        x, mine = step(x, state[start:end])
        after += mine
        start = end
    return x, after
