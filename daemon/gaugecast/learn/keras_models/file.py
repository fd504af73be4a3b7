"""A model as a `.keras` file: plain Keras layers with the same weights, for whoever wants to go on in Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gaugecast.learn.fit.backend import load_tensorflow
from gaugecast.model import Layer, Model
from gaugecast.model.layers import NORM_EPSILON, STATE_PARTS


def to_keras(model: Model) -> Any:
    """The network as a `keras.Model` over (rows, steps, inputs).

    A learned initial state is a Dense layer over the inputs' mean for each of its parts, whose kernel is zero and
    whose bias is the state: nothing but Keras' own layers, and one input.
    """
    _, keras = load_tensorflow()
    manifest = model.manifest
    entry = keras.Input((manifest.look_back or None, manifest.input_size))
    top, begin = entry, _initial_states(keras, model, entry)
    collapse = bool(manifest.decoder) or bool(manifest.look_back)
    for i, layer in enumerate(manifest.layers):
        sequences = not collapse or i < len(manifest.layers) - 1
        cell = _recurrent(keras, layer, f"{layer.cell}{i}", sequences=sequences)
        top = cell(top, initial_state=begin[i]) if i in begin else cell(top)
        if layer.layer_norm:
            top = keras.layers.LayerNormalization(epsilon=NORM_EPSILON, name=f"norm{i}")(top)
    if manifest.decoder:
        top = keras.layers.RepeatVector(manifest.decode_steps, name="repeat")(top)
    for i, layer in enumerate(manifest.decoder):
        top = _recurrent(keras, layer, f"decoder{i}", sequences=True)(top)
    if manifest.head == "dense":
        dense = keras.layers.Dense(manifest.output_size, name="dense")
        top = (keras.layers.TimeDistributed(dense, name="each_step") if manifest.decoder else dense)(top)
    net = keras.Model(entry, top, name=_safe(manifest.fleet))
    _fill(net, model)
    return net


def _initial_states(keras: Any, model: Model, entry: Any) -> dict[int, list[Any]]:
    """Tensors h and c that each layer begins with, where they are learned; they hang on the inputs in form only."""
    layers = [i for i in range(len(model.manifest.layers)) if f"initial{i}/h" in model.weights]
    if not layers:
        return {}
    mean = keras.layers.GlobalAveragePooling1D(name="begin")(entry)
    return {
        i: [
            keras.layers.Dense(model.manifest.layers[i].units, trainable=False, name=f"initial{i}_{part}")(mean)
            for part in STATE_PARTS[model.manifest.layers[i].cell]
        ]
        for i in layers
    }


def save_keras(model: Model, path: Path) -> Path:
    """Write the `.keras` file."""
    to_keras(model).save(path)
    return path


def _recurrent(keras: Any, layer: Layer, name: str, *, sequences: bool) -> Any:
    make = keras.layers.GRU if layer.cell == "gru" else keras.layers.LSTM
    return make(
        layer.units,
        activation=layer.activation,
        recurrent_activation=layer.recurrent_activation,
        return_sequences=sequences,
        name=name,
    )


def _fill(net: Any, model: Model) -> None:
    weights = model.weights
    for layer in net.layers:
        if layer.name.startswith(("lstm", "gru", "decoder")):
            layer.set_weights([weights[f"{layer.name}/{part}"] for part in ("kernel", "recurrent", "bias")])
        elif layer.name.startswith("norm"):
            layer.set_weights([weights[f"{layer.name}/{part}"] for part in ("gamma", "beta")])
        elif layer.name in ("dense", "each_step"):
            layer.set_weights([weights["dense/kernel"], weights["dense/bias"]])
        elif layer.name.startswith("initial"):
            layer.set_weights([np.zeros_like(layer.kernel), weights[layer.name.replace("_", "/")]])


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c == "_" else "_" for c in name)
