"""The network that is trained is the engine's: same outputs, same states, same weights there and back."""

from typing import Any

import numpy as np
import pytest

from gaugecast.engine import NumpyEngine
from gaugecast.errors import ModelError
from gaugecast.model import Layer
from gaugecast.testing import random_model

pytestmark = pytest.mark.keras

CASES: dict[str, dict[str, Any]] = {
    "one layer": {"input_size": 16},
    "stack with norm": {"units": (12, 7), "layer_norm": True, "input_size": 9, "output_size": 3},
    "headless hard sigmoid": {"units": (13,), "recurrent_activation": "hard_sigmoid", "head": "none", "input_size": 5},
    "relu": {"units": (8,), "activation": "relu", "input_size": 3},
    "learned start": {"units": (6,), "input_size": 4, "learned_initial": True},
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_unrolled_network_equals_the_engine(case: str) -> None:
    """Outputs and packed states after eleven steps of five rows, from a state that is not zero."""
    from gaugecast.learn.fit.network import TrainableNetwork

    model = random_model(**CASES[case])
    engine, rng = NumpyEngine(model), np.random.default_rng(1)
    x = rng.normal(size=(11, 5, engine.input_size)).astype(np.float32)
    state = (0.3 * rng.normal(size=(5, engine.state_size))).astype(np.float32)
    y, after = TrainableNetwork(model).unroll(x, state)
    expected_y, expected_after = engine.sequence(x, state)
    np.testing.assert_allclose(y, expected_y, atol=1e-5)
    np.testing.assert_allclose(after, expected_after, atol=1e-5)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_weights_come_back_as_they_went_in(case: str) -> None:
    """To the bit, with the learned initial states, and without the version of what they were."""
    from gaugecast.learn.fit.network import TrainableNetwork

    model = random_model(**CASES[case])
    back = TrainableNetwork(model).to_model()
    assert set(back.weights) == set(model.weights)
    for name, weight in model.weights.items():
        np.testing.assert_array_equal(back.weights[name], weight)
    assert (back.manifest.version, back.manifest.sha256) == ("", "")
    assert back.manifest.layers == model.manifest.layers


def test_layers_that_are_not_trained_are_refused_in_words() -> None:
    """A backtest that was to learn with an imported GRU says what to do instead."""
    from gaugecast.learn.fit.network import TrainableNetwork
    from gaugecast.learn.online.trainer import OnlineLearner

    with pytest.raises(ModelError, match=r"expected LSTM layers to go on learning with.*scored with learning off"):
        OnlineLearner(random_model(layers=[Layer(3, cell="gru")], engine="tensorflow"))
    with pytest.raises(ModelError, match=r"expected LSTM or GRU layers .* to train, found others"):
        TrainableNetwork(random_model(layers=[Layer(3, cell="simple_rnn")], engine="tensorflow"))
