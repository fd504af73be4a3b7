"""Parity with literal Keras layers, `stateful=True`, batch size 1, stepped one reading at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gaugecast.engine import engine_for
from gaugecast.model import Layer, Model
from gaugecast.model.layers import STATE_PARTS
from gaugecast.records import Float32
from gaugecast.testing import random_model

pytestmark = pytest.mark.keras
STEPS = 10_000
EVERY_DAY = 2000
TOLERANCE = 1e-5

CASES: dict[str, dict[str, Any]] = {
    "64 units": {"input_size": 16},
    "stack with norm": {"units": (32, 17), "layer_norm": True, "input_size": 9, "output_size": 3},
    "headless hard sigmoid": {"units": (13,), "recurrent_activation": "hard_sigmoid", "head": "none", "input_size": 5},
    "relu": {"units": (8,), "activation": "relu", "input_size": 3},
    "sigmoid, learned start": {"units": (16,), "activation": "sigmoid", "input_size": 4, "learned_initial": True},
    "gru": {"layers": [Layer(32, cell="gru"), Layer(7, cell="simple_rnn")], "input_size": 9, "engine": "tensorflow"},
    "gru, reset before": {
        "layers": [Layer(17, cell="gru", reset_after=False)], "input_size": 4, "learned_initial": True,
        "engine": "tensorflow",
    },
    "mixture": {
        "layers": [
            Layer(6, "gelu", cell="dense"), Layer(13, cell="gru", layer_norm=True), Layer(9, "softsign", "hard_tanh"),
            Layer(5, cell="simple_rnn"), Layer(5, "elu", cell="dense"),
        ],
        "input_size": 3, "head": "none", "engine": "tensorflow",
    },
}  # fmt: skip


def precision_of(model: Model) -> str:
    """What Keras computes in: a layer norm multiplies float32's roundings thirty times, and then Keras is the inexact
    side, by more on one processor than on another; there it is asked for its own exact answer.
    """
    return "float64" if any(layer.layer_norm for layer in model.manifest.layers) else "float32"


def build_keras(model: Model) -> Any:
    """The manifest's network, written down in Keras with the model's weights."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision_of(model))
    try:
        return build_network(keras, model)
    finally:
        keras.config.set_dtype_policy(before)


def build_network(keras: Any, model: Model) -> Any:
    """In the precision that is set."""

    manifest, weights = model.manifest, model.weights
    net = keras.Sequential([keras.Input(dtype=precision_of(model), batch_shape=(1, 1, manifest.input_size))])
    for i, layer in enumerate(manifest.layers):
        cell = build_layer(keras.layers, layer)
        net.add(cell)
        cell.set_weights([weights[f"{layer.cell}{i}/{part}"] for part in layer.weight_shapes(1)])
        for part, variable in zip(STATE_PARTS[layer.cell], getattr(cell, "states", None) or (), strict=True):
            variable.assign(weights.get(f"initial{i}/{part}", np.zeros(layer.units, np.float32))[np.newaxis])
        if layer.layer_norm:
            norm = keras.layers.LayerNormalization(epsilon=1e-3)
            net.add(norm)
            norm.set_weights([weights[f"norm{i}/gamma"], weights[f"norm{i}/beta"]])
    if manifest.head == "dense":
        dense = keras.layers.Dense(manifest.output_size)
        net.add(dense)
        dense.set_weights([weights["dense/kernel"], weights["dense/bias"]])
    return net


def build_layer(layers: Any, layer: Layer) -> Any:
    """One layer as Keras has it."""
    if layer.cell == "dense":
        return layers.Dense(layer.units, activation=layer.activation)
    settings: dict[str, Any] = {"activation": layer.activation, "stateful": True, "return_sequences": True}
    if layer.cell == "simple_rnn":
        return layers.SimpleRNN(layer.units, **settings)
    settings["recurrent_activation"] = layer.recurrent_activation
    if layer.cell == "gru":
        return layers.GRU(layer.units, reset_after=layer.reset_after, **settings)
    return layers.LSTM(layer.units, **settings)


def run_keras(model: Model, x: Float32) -> Float32:
    """One reading (I,) after the other through the stateful network; outputs (T, O)."""
    tf = pytest.importorskip("tensorflow")
    net = build_keras(model)
    dtype = tf.as_dtype(precision_of(model))
    signature = [tf.TensorSpec((1, 1, model.manifest.input_size), dtype)]
    call = tf.function(lambda row: net(row, training=False), input_signature=signature)
    rows = [tf.constant(row[np.newaxis, np.newaxis], dtype) for row in x]
    return np.stack([call(row).numpy()[0, 0] for row in rows])


@pytest.mark.parametrize(
    ("case", "steps"),
    [("64 units", EVERY_DAY), *(pytest.param(case, STEPS, marks=pytest.mark.long) for case in sorted(CASES))],
)
def test_every_step_equals_that_of_stateful_keras_layers(case: str, steps: int) -> None:
    """Every one of thousands of outputs, state carried all the way, lies within 1e-5 of Keras."""
    model = random_model(**CASES[case], seed=3)
    x = np.random.default_rng(5).standard_normal((steps, model.manifest.input_size)).astype(np.float32)
    expected = run_keras(model, x)
    engine = engine_for(model)
    state = engine.initial_state(1)
    outputs = []
    for row in x:
        y, state = engine.step(row[np.newaxis], state)
        outputs.append(y[0])
    np.testing.assert_allclose(np.stack(outputs), expected, atol=TOLERANCE, rtol=0)
    assert np.ptp(expected, axis=0).max() > 0.1  # it moved, so that parity means something
