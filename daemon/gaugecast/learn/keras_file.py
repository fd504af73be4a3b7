"""A model as a `.keras` file: plain Keras layers with the same weights, for whoever wants to go on in Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gaugecast.learn.backend import load_tensorflow
from gaugecast.model import Layer, Manifest, Model


def to_keras(model: Model, *, stateful_rows: int = 0) -> Any:
    """The network as a `keras.Model` over (rows, steps, inputs); a learned initial state has no place in it.

    Args:
        model: Weights.
        stateful_rows: 0 = from zero state at each call; else stateful layers for so many rows, fed one step a call.
    """
    _, keras = load_tensorflow()
    manifest = model.manifest
    shape = (manifest.look_back or None, manifest.input_size)
    net = keras.Sequential(name=_safe(manifest.fleet))
    if stateful_rows:
        net.add(keras.Input(batch_shape=(stateful_rows, 1, manifest.input_size)))
    else:
        net.add(keras.Input(shape))
    collapse = bool(manifest.decoder) or bool(manifest.look_back)
    for i, layer in enumerate(manifest.layers):
        last = i == len(manifest.layers) - 1
        sequences = not (last and collapse)
        net.add(_lstm(keras, layer, f"lstm{i}", sequences=sequences, stateful=bool(stateful_rows)))
        if layer.layer_norm:
            net.add(keras.layers.LayerNormalization(epsilon=1e-3, name=f"norm{i}"))
    if manifest.decoder:
        net.add(keras.layers.RepeatVector(manifest.decode_steps, name="repeat"))
    for i, layer in enumerate(manifest.decoder):
        net.add(_lstm(keras, layer, f"decoder{i}", sequences=True, stateful=False))
    if manifest.head == "dense":
        dense = keras.layers.Dense(manifest.output_size, name="dense")
        net.add(keras.layers.TimeDistributed(dense, name="each_step") if manifest.decoder else dense)
    _fill(net, model)
    return net


def save_keras(model: Model, path: Path) -> Path:
    """Write the `.keras` file."""
    to_keras(model).save(path)
    return path


def _lstm(keras: Any, layer: Layer, name: str, *, sequences: bool, stateful: bool) -> Any:
    return keras.layers.LSTM(
        layer.units,
        activation=layer.activation,
        recurrent_activation=layer.recurrent_activation,
        return_sequences=sequences,
        stateful=stateful,
        name=name,
    )


def _fill(net: Any, model: Model) -> None:
    weights = model.weights
    for layer in net.layers:
        if layer.name.startswith(("lstm", "decoder")):
            layer.set_weights([weights[f"{layer.name}/{part}"] for part in ("kernel", "recurrent", "bias")])
        elif layer.name.startswith("norm"):
            layer.set_weights([weights[f"{layer.name}/{part}"] for part in ("gamma", "beta")])
        elif layer.name in ("dense", "each_step"):
            layer.set_weights([weights["dense/kernel"], weights["dense/bias"]])


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c == "_" else "_" for c in name)


def describe(manifest: Manifest) -> str:
    """The stack in a line: `LSTM 64 → norm → LSTM 32 → Dense 7`."""
    parts = []
    for layer in manifest.layers:
        parts += [f"LSTM {layer.units}"] + (["norm"] if layer.layer_norm else [])
    if manifest.decoder:
        parts += [f"repeat {manifest.decode_steps}"] + [f"LSTM {layer.units}" for layer in manifest.decoder]
    if manifest.head == "dense":
        parts.append(f"Dense {manifest.output_size}")
    return " → ".join(parts)
