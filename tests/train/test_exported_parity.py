"""What is exported is what Keras computes: the daemon's engine, step by step, against the `.keras` file."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gaugecast.engine import NumpyEngine
from gaugecast.errors import ModelError
from gaugecast.fleet import Role
from gaugecast.learn.keras_models.file import save_keras, to_keras
from gaugecast.learn.keras_models.importing import import_keras
from gaugecast.model import Layer, Manifest, Model, Recipe
from gaugecast.records import Float32, Float64
from gaugecast.testing.models import draw_weights
from train.series import fleet_of

pytestmark = pytest.mark.keras
STEPS = 10_000
TOLERANCE = 1e-5

STACKS = ((7,), (6, 4))
ACTIVATIONS = ("tanh", "relu", "sigmoid", "hard_sigmoid")
#: Every combination; every eleventh is enough for every day.
COMBINATIONS = [
    pytest.param(*combination, marks=[] if number % 11 == 0 else [pytest.mark.long])
    for number, combination in enumerate(itertools.product(STACKS, ACTIVATIONS, ("dense", "none"), (False, True)))
]


def make_model(
    units: tuple[int, ...], activation: Any, head: Any, norm: bool, *, learned_initial: bool = False, **more: Any
) -> Model:
    """A joint model of `units[-1]` features, so that both heads fit; recurrences that neither die nor blow up."""
    features: tuple[tuple[str, Role], ...] = tuple((f"f{i}", "forecast") for i in range(units[-1]))
    recipe = Recipe(100.0, kind="running", clock=False, squash=False)
    manifest = Manifest(
        fleet="plant", features=features, period_s=60.0, rows="joint", recipe=recipe,
        layers=tuple(Layer(u, activation, "sigmoid", norm) for u in units),
        input_size=units[-1], output_size=units[-1], head=head, **more,
    )  # fmt: skip
    weights = draw_weights(manifest, seed=5, gain=1.0, learned_initial=learned_initial)
    if activation != "tanh":
        weights = {name: 0.5 * w if name.endswith("recurrent") else w for name, w in weights.items()}
    return Model(manifest, {name: w.astype(np.float32) for name, w in weights.items()})


def reload(model: Model, directory: Path) -> Any:
    """The network as somebody else would load it."""
    import keras

    return keras.saving.load_model(save_keras(model, directory / "model.keras"), safe_mode=True)


def run_keras(net: Any, x: Float32) -> Float32:
    """Outputs of the loaded network over one series (T, I), as a graph: 10,000 eager steps take minutes."""
    import tensorflow as tf

    call = tf.function(lambda series: net(series, training=False))
    made: Float32 = np.asarray(call(tf.constant(x[None])))[0]
    return made


def draw_inputs(model: Model, steps: int) -> Float32:
    """A series of noise (T, I)."""
    return np.random.default_rng(1).standard_normal((steps, model.manifest.input_size)).astype(np.float32)


def step_engine(model: Model, x: Float32) -> Float32:
    """Outputs (T, O) of the daemon's engine, one reading at a time."""
    engine = NumpyEngine(model)
    state, outputs = engine.initial_state(1), []
    for row in x:
        y, state = engine.step(row[None], state)
        outputs.append(y[0])
    return np.stack(outputs)


EXACT: dict[str, Callable[[Float64], Float64]] = {
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0.0),
    "sigmoid": lambda z: 1.0 / (1.0 + np.exp(-z)),
    "hard_sigmoid": lambda z: np.clip(z / 6.0 + 0.5, 0.0, 1.0),
}


def step_exactly(model: Model, x: Float32) -> Float64:
    """Outputs (T, O) of the same equations in float64, written down as the books have them."""
    weights = {name: w.astype(np.float64) for name, w in model.weights.items()}
    layers = model.manifest.layers
    h, c = ([np.zeros(layer.units) for layer in layers] for _ in range(2))
    outputs = []
    for row in x.astype(np.float64):
        top = row
        for i, layer in enumerate(layers):
            gate, act = EXACT[layer.recurrent_activation], EXACT[layer.activation]
            z = top @ weights[f"lstm{i}/kernel"] + h[i] @ weights[f"lstm{i}/recurrent"] + weights[f"lstm{i}/bias"]
            entry, forget, cell, out = np.split(z, 4)
            c[i] = gate(forget) * c[i] + gate(entry) * act(cell)
            top = h[i] = gate(out) * act(c[i])
            if layer.layer_norm:
                centred = top - top.mean()
                normed = centred / np.sqrt(np.square(centred).mean() + 1e-3)
                top = normed * weights[f"norm{i}/gamma"] + weights[f"norm{i}/beta"]
        outputs.append(top @ weights["dense/kernel"] + weights["dense/bias"] if "dense/kernel" in weights else top)
    return np.stack(outputs)


@pytest.mark.parametrize(("units", "activation", "head", "norm"), COMBINATIONS)
def test_ten_thousand_steps_equal_the_exported_keras_model(
    tmp_path: Path, units: tuple[int, ...], activation: str, head: str, norm: bool
) -> None:
    """Each output of the engine, stepped through 10,000 readings, lies within 1e-5 of what the network is in float64.

    And of what the `.keras` file gives. A layer norm multiplies roundings by thirty, and float32 Keras is then the
    less exact of the two, by more on one processor than on another: two norms after each other leave the engine
    5.4e-6 off at most and Keras 7.7e-6 on one, so there each is held against the exact network alone. Without norms
    all are within 3e-7.
    """
    model = make_model(units, activation, head, norm)
    x = draw_inputs(model, STEPS)
    expected, got = run_keras(reload(model, tmp_path), x), step_engine(model, x)
    exact = step_exactly(model, x)
    np.testing.assert_allclose(got, exact, atol=TOLERANCE, rtol=0)
    np.testing.assert_allclose(expected, exact, atol=2 * TOLERANCE if norm else TOLERANCE, rtol=0)
    if not norm:
        np.testing.assert_allclose(got, expected, atol=TOLERANCE, rtol=0)
    assert np.ptp(expected, axis=0).max() > 1000 * TOLERANCE


def test_one_wrong_gate_is_seen(tmp_path: Path) -> None:
    """Mutant: forget and cell gate exchanged."""
    model = make_model((7,), "tanh", "dense", False)
    wrong = {n: w.copy() for n, w in model.weights.items()}
    wrong["lstm0/kernel"][:, 7:14], wrong["lstm0/kernel"][:, 14:21] = (
        model.weights["lstm0/kernel"][:, 14:21],
        model.weights["lstm0/kernel"][:, 7:14],
    )
    x = draw_inputs(model, 50)
    expected = run_keras(reload(model, tmp_path), x)
    assert np.abs(step_engine(replace(model, weights=wrong), x) - expected).max() > 100 * TOLERANCE


def test_a_repeat_decoder_gives_all_horizons_as_keras_does(tmp_path: Path) -> None:
    """Encoder, RepeatVector, LSTM decoder and TimeDistributed(Dense), from the state after a whole series."""
    more: dict[str, Any] = {"decoder": (Layer(5), Layer(3)), "decode_steps": 4}
    model = make_model((6, 4), "tanh", "dense", True, **more)
    x = draw_inputs(model, 300)
    expected = run_keras(reload(model, tmp_path), x)
    got = step_engine(model, x)[-1].reshape(4, 4)
    np.testing.assert_allclose(got, expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("look_back", [0, 6])
def test_a_learned_initial_state_goes_with_the_file(tmp_path: Path, look_back: int) -> None:
    """The `.keras` file forecasts from it as the engine does, and an import gives it back, number for number."""
    model = make_model((6, 4), "tanh", "dense", False, learned_initial=True, look_back=look_back)
    model = Model(model.manifest, {n: 5 * w if n.startswith("initial") else w for n, w in model.weights.items()})
    x = draw_inputs(model, look_back or 30)
    net = reload(model, tmp_path)
    expected = net(x[None], training=False).numpy()[0]
    got = step_engine(model, x)
    np.testing.assert_allclose(got[-1] if look_back else got, expected, atol=TOLERANCE, rtol=0)
    forgotten = {n: w for n, w in model.weights.items() if not n.startswith("initial")}
    zero = step_engine(Model(model.manifest, forgotten), x)
    assert np.abs(got[:6] - zero[:6]).max() > 100 * TOLERANCE
    names = [name for name, _ in model.manifest.features]
    again = import_keras(tmp_path / "model.keras", fleet_of(*names))
    assert again.weights.keys() == model.weights.keys()
    for name, weight in model.weights.items():
        np.testing.assert_array_equal(again.weights[name], weight)


def test_an_initial_state_that_hangs_on_the_inputs_is_refused(tmp_path: Path) -> None:
    """Somebody has trained the export on, initial states included: the daemon has no window to take the mean of."""
    model = make_model((4,), "tanh", "dense", False, learned_initial=True)
    net = to_keras(model)
    kernel, bias = net.get_layer("initial0_h").get_weights()
    net.get_layer("initial0_h").set_weights([kernel + 0.1, bias])
    net.save(tmp_path / "own.keras")
    with pytest.raises(ModelError, match="lstm0: expected an initial state that is a constant"):
        import_keras(tmp_path / "own.keras", fleet_of("f0", "f1", "f2", "f3"))
