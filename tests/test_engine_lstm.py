"""The NumPy engine against a plain float64 transcription of the equations, without any of its tricks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gaugecast.engine import NumpyEngine
from gaugecast.engine.activations import ACTIVATIONS
from gaugecast.model import Model
from gaugecast.model.layers import Activation
from gaugecast.records import Float64
from gaugecast.testing import random_model
from support.engine_probe import draw_rows

ORACLE: dict[str, Callable[[Float64], Float64]] = {
    "tanh": np.tanh,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "hard_sigmoid": lambda z: np.minimum(np.maximum(z + 3, 0), 6) / 6,
    "relu": lambda z: np.maximum(z, 0),
    "linear": lambda z: z,
}


def oracle_step(model: Model, x: Float64, state: Float64) -> tuple[Float64, Float64]:
    """One step, from the equations, in float64."""
    w = {name: array.astype(np.float64) for name, array in model.weights.items()}
    after, start, out = [], 0, x
    for k, layer in enumerate(model.manifest.layers):
        act, gate = ORACLE[layer.activation], ORACLE[layer.recurrent_activation]
        h, c = state[:, start : start + layer.units], state[:, start + layer.units : start + 2 * layer.units]
        z = out @ w[f"lstm{k}/kernel"] + h @ w[f"lstm{k}/recurrent"] + w[f"lstm{k}/bias"]
        i, f, g, o = np.split(z, 4, axis=1)
        c = gate(f) * c + gate(i) * act(g)
        out = h = gate(o) * act(c)
        after += [h, c]
        if layer.layer_norm:
            centred = h - h.mean(axis=1, keepdims=True)
            deviation = np.sqrt(h.var(axis=1, keepdims=True) + 1e-3)
            out = centred / deviation * w[f"norm{k}/gamma"] + w[f"norm{k}/beta"]
        start += 2 * layer.units
    if model.manifest.head == "dense":
        out = out @ w["dense/kernel"] + w["dense/bias"]
    return out, np.concatenate(after, axis=1)


@pytest.mark.parametrize("activation", sorted(ORACLE))
@pytest.mark.parametrize("recurrent_activation", sorted(ORACLE))
def test_every_pair_of_activations_follows_the_equations(
    activation: Activation, recurrent_activation: Activation
) -> None:
    """One step of an odd stack with normalisation and a wide head."""
    model = random_model(
        units=(11, 6),
        activation=activation,
        recurrent_activation=recurrent_activation,
        layer_norm=True,
        input_size=5,
        output_size=3,
    )
    engine = NumpyEngine(model)
    x, state = draw_rows(engine, 13)
    y, after = engine.step(x, state)
    expected_y, expected_after = oracle_step(model, x.astype(np.float64), state.astype(np.float64))
    np.testing.assert_allclose(y, expected_y, atol=2e-5, rtol=2e-5)
    np.testing.assert_allclose(after, expected_after, atol=2e-5, rtol=2e-5)


def test_a_headless_stack_gives_its_last_output() -> None:
    """Without Dense the output is the last layer's h, normalised where the layer says so."""
    model = random_model(units=(4, 6), head="none", input_size=3)
    engine = NumpyEngine(model)
    x, state = draw_rows(engine, 5)
    y, after = engine.step(x, state)
    assert engine.output_size == 6
    assert y.tolist() == after[:, 8:14].tolist()


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_activations_give_an_element_the_same_bits_at_every_position(name: str) -> None:
    """Vector loops have tails; an element must not notice that it stands in one."""
    z = np.linspace(-40, 40, 517, dtype=np.float32)
    whole = z.copy()
    ACTIVATIONS[name](whole)
    for start in range(40):
        for length in (1, 2, 3, 7, 8, 13, 16, 31, 33):
            part = z[start : start + length].copy()
            ACTIVATIONS[name](part)
            assert part.tobytes() == whole[start : start + length].tobytes()


def test_rows_beyond_one_chunk_are_stepped_like_the_first() -> None:
    """700 rows go through in three chunks; all of them arrive."""
    model = random_model(input_size=4, units=(8,))
    engine = NumpyEngine(model)
    x, state = draw_rows(engine, 700)
    y, _ = engine.step(x, state)
    expected, _ = oracle_step(model, x.astype(np.float64), state.astype(np.float64))
    np.testing.assert_allclose(y, expected, atol=2e-5)
