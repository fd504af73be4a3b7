"""Parity with a literal Keras `LSTM(stateful=True)`, batch size 1, stepped one reading at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gaugecast.engine import NumpyEngine
from gaugecast.model import Model
from gaugecast.records import Float32
from support.models import random_model

pytestmark = [pytest.mark.keras, pytest.mark.slow]
STEPS = 10_000
TOLERANCE = 1e-5

CASES: dict[str, dict[str, Any]] = {
    "64 units": {"input_size": 16},
    "stack with norm": {"units": (32, 17), "layer_norm": True, "input_size": 9, "output_size": 3},
    "headless hard sigmoid": {"units": (13,), "recurrent_activation": "hard_sigmoid", "head": "none", "input_size": 5},
    "relu": {"units": (8,), "activation": "relu", "input_size": 3},
    "sigmoid, learned start": {"units": (16,), "activation": "sigmoid", "input_size": 4, "learned_initial": True},
}


def build_keras(model: Model) -> Any:
    """The manifest's network, written down in Keras with the model's weights."""
    import keras

    manifest, weights = model.manifest, model.weights
    net = keras.Sequential([keras.Input(batch_shape=(1, 1, manifest.input_size))])
    for i, layer in enumerate(manifest.layers):
        cell = keras.layers.LSTM(
            layer.units,
            activation=layer.activation,
            recurrent_activation=layer.recurrent_activation,
            stateful=True,
            return_sequences=True,
        )
        net.add(cell)
        cell.set_weights([weights[f"lstm{i}/{part}"] for part in ("kernel", "recurrent", "bias")])
        for part, variable in zip(("h", "c"), cell.states, strict=True):
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


def run_keras(model: Model, x: Float32) -> Float32:
    """One reading (I,) after the other through the stateful network; outputs (T, O)."""
    tf = pytest.importorskip("tensorflow")
    net = build_keras(model)
    signature = [tf.TensorSpec((1, 1, model.manifest.input_size), tf.float32)]
    call = tf.function(lambda row: net(row, training=False), input_signature=signature)
    rows = [tf.constant(row[np.newaxis, np.newaxis]) for row in x]
    return np.stack([call(row).numpy()[0, 0] for row in rows])


@pytest.mark.parametrize("case", sorted(CASES))
def test_ten_thousand_steps_equal_a_stateful_keras_lstm(case: str) -> None:
    """Every one of 10,000 outputs, state carried all the way, lies within 1e-5 of Keras."""
    model = random_model(**CASES[case], seed=3)
    x = np.random.default_rng(5).standard_normal((STEPS, model.manifest.input_size)).astype(np.float32)
    expected = run_keras(model, x)
    engine = NumpyEngine(model)
    state = engine.initial_state(1)
    outputs = []
    for row in x:
        y, state = engine.step(row[np.newaxis], state)
        outputs.append(y[0])
    np.testing.assert_allclose(np.stack(outputs), expected, atol=TOLERANCE, rtol=0)
    assert np.ptp(expected, axis=0).max() > 0.1  # it moved, so that parity means something
