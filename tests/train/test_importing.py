"""A user's own `.keras` file: what is taken, and what is refused in which words."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gaugecast.engine import engine_for
from gaugecast.errors import ModelError
from gaugecast.forecast.expert import Expert, Steps
from gaugecast.learn.keras_models.importing import import_keras
from gaugecast.model import Model
from gaugecast.records import Float64
from train.series import fleet_of

pytestmark = pytest.mark.keras
FLEET = fleet_of("level", "heat")


def build(path: Path, *layers: Any, shape: Sequence[int | None] = (None, 2)) -> Path:
    """Save a Sequential model of these layers."""
    import keras

    keras.utils.set_random_seed(3)
    net = keras.Sequential([keras.Input(tuple(shape)), *layers])
    net.save(path)
    return path


def forecast_rows(model: Model, rows: Float64) -> Float64:
    """What the daemon's expert forecasts after each row (T, G)."""
    expert = Expert(FLEET, model, 1)
    last, made = np.full((1, 2), np.nan), []
    for t, row in enumerate(rows):
        at = np.array([t * FLEET.period_ns])
        seen = np.full((1, 2), t > 0)
        steps = Steps(
            np.zeros(1, np.int64), row[None], last, seen, at, at - FLEET.period_ns, np.zeros(1, int), np.array([t == 0])
        )
        last, _ = expert.step(steps)
        made.append(expert.columns["next"][0].copy())
    return np.array(made)


def rows_of(count: int) -> Float64:
    """Readings (T, 2) in the sensors' units."""
    return np.random.default_rng(0).normal((20.0, -3.0), (4.0, 0.5), (count, 2))


def test_a_plain_stack_forecasts_what_keras_predicts(tmp_path: Path) -> None:
    """Stacked LSTMs with norm, dropout and a Dense head, over readings in the sensors' own units."""
    from keras import layers, saving

    stack = [layers.LSTM(6, return_sequences=True), layers.LayerNormalization(), layers.Dropout(0.5)]
    path = build(tmp_path / "own.keras", *stack, layers.LSTM(4, return_sequences=True), layers.Dense(2))
    rows = rows_of(200)
    expected = saving.load_model(path)(rows[None].astype(np.float32), training=False).numpy()[0]
    np.testing.assert_allclose(forecast_rows(import_keras(path, FLEET), rows), expected, atol=1e-5)


def taken_stacks() -> dict[str, Callable[[Any], list[Any]]]:
    """Stacks by case, from the module `keras.layers`; NumPy steps those whose case says so, TensorFlow the others."""
    ahead = {"return_sequences": True}
    return {
        "numpy: lstm without bias": lambda k: [k.LSTM(5, use_bias=False, unit_forget_bias=False, **ahead), k.Dense(2)],
        "numpy: cell in an RNN": lambda k: [k.RNN(k.LSTMCell(5), **ahead), k.Dense(2, use_bias=False)],
        "gru": lambda k: [k.GRU(6, dropout=0.3, recurrent_dropout=0.2, **ahead), k.Dropout(0.5), k.Dense(2)],
        "gru, reset before": lambda k: [k.GRU(6, reset_after=False, **ahead), k.TimeDistributed(k.Dense(2))],
        "gru without bias": lambda k: [k.GRU(6, use_bias=False, **ahead), k.Dense(2)],
        "gru, no head": lambda k: [k.GRU(2, activation="linear", **ahead)],
        "simple": lambda k: [k.SimpleRNN(6, activation="softsign", **ahead), k.Dense(2, use_bias=False)],
        "lstm, other activations": lambda k: [
            k.LSTM(5, activation="gelu", recurrent_activation="hard_tanh", **ahead), k.Dense(2, activation="selu"),
        ],
        "mixture": lambda k: [
            k.Dense(4, activation="silu"), k.GRU(5, **ahead), k.LayerNormalization(), k.LSTM(4, **ahead),
            k.SimpleRNN(3, **ahead), k.Dense(7, activation="elu"), k.Dense(2),
        ],
        "batch norm": lambda k: [
            k.BatchNormalization(), k.LSTM(5, **ahead), k.BatchNormalization(center=False), k.Activation("tanh"),
            k.TimeDistributed(k.BatchNormalization(scale=False)), k.ReLU(), k.TimeDistributed(k.Dense(2)),
        ],
        "cells in an RNN": lambda k: [
            k.RNN([k.GRUCell(4), k.LSTMCell(5), k.SimpleRNNCell(3)], **ahead), k.Dense(2),
        ],
    }  # fmt: skip


@pytest.mark.parametrize(
    "case",
    [
        case if number % 2 == 0 else pytest.param(case, marks=pytest.mark.long)
        for number, case in enumerate(sorted(taken_stacks()))
    ],
)
def test_each_causal_recurrent_stack_forecasts_what_keras_predicts(tmp_path: Path, case: str) -> None:
    """Whatever the cells and whatever lies between them; by the NumPy engine wherever that can."""
    from keras import layers, saving

    path = build(tmp_path / "own.keras", *taken_stacks()[case](layers))
    net = saving.load_model(path)
    shake(net)
    net.save(path)
    rows = rows_of(60) / 10
    model = import_keras(path, FLEET)
    assert model.manifest.engine == ("numpy" if case.startswith("numpy") else "tensorflow")
    expected = net(rows[None].astype(np.float32), training=False).numpy()[0]
    assert np.ptp(expected, axis=0).min() > 0.01
    np.testing.assert_allclose(forecast_rows(model, rows), expected, atol=1e-5)


def shake(net: Any) -> None:
    """Biases and moving means that are not 0, as after a training."""
    rng = np.random.default_rng(1)
    for layer in net.layers:
        drawn = [w + 0.1 * np.abs(rng.standard_normal(w.shape)) for w in layer.get_weights()]
        layer.set_weights(drawn)


def test_a_gru_that_looks_back_and_decodes_gives_all_steps_at_once(tmp_path: Path) -> None:
    """Encoder, RepeatVector, GRU and head over ten steps: three horizons, from the newest ten readings."""
    from keras import layers, saving

    stack = [layers.GRU(6), layers.RepeatVector(3), layers.GRU(4, return_sequences=True)]
    path = build(tmp_path / "own.keras", *stack, layers.TimeDistributed(layers.Dense(2)), shape=(10, 2))
    model = import_keras(path, FLEET)
    assert (model.manifest.decode_steps, model.manifest.look_back) == (3, 10)
    window = (rows_of(10) / 10).astype(np.float32)
    engine = engine_for(model)
    y, _ = engine.sequence(window[:, None], engine.initial_state(1))
    np.testing.assert_allclose(y[-1].reshape(3, 2), saving.load_model(path)(window[None]).numpy()[0], atol=1e-5)


def test_a_normalization_layer_becomes_the_scaling(tmp_path: Path) -> None:
    """Such a network takes and gives the sensors' units; the imported one forecasts the same."""
    from keras import layers, saving

    norm = layers.Normalization()
    norm.adapt(rows_of(500))
    path = build(tmp_path / "own.keras", norm, layers.LSTM(5, return_sequences=True), layers.Dense(2))
    model = import_keras(path, FLEET)
    assert model.manifest.recipe.centre == pytest.approx((20.0, -3.0), abs=1.0)
    rows = rows_of(100)
    expected = saving.load_model(path)(rows[None].astype(np.float32), training=False).numpy()[0]
    np.testing.assert_allclose(forecast_rows(model, rows), expected, atol=1e-4)


def test_a_windowed_network_forecasts_from_its_last_steps_only(tmp_path: Path) -> None:
    """Many-to-one over ten steps: served from zero state over the newest ten readings."""
    from keras import layers, saving

    path = build(tmp_path / "own.keras", layers.LSTM(6), layers.Dense(2), shape=(10, 2))
    model = import_keras(path, FLEET)
    rows = rows_of(30)
    got = forecast_rows(model, rows)
    windows = np.stack([rows[t - 9 : t + 1] for t in range(9, 30)]).astype(np.float32)
    np.testing.assert_allclose(got[9:], saving.load_model(path)(windows).numpy(), atol=1e-5)
    assert np.isnan(got[:9]).all()


def test_a_functional_model_and_a_scaling_file_beside_it_are_taken(tmp_path: Path) -> None:
    """`NAME.scaling.json` says what the network's numbers mean."""
    import keras

    entry = keras.Input((None, 2))
    top = keras.layers.Dense(2)(keras.layers.LSTM(4, return_sequences=True)(entry))
    keras.Model(entry, top).save(tmp_path / "own.keras")
    (tmp_path / "own.scaling.json").write_text(json.dumps({"centre": [20, -3], "spread": [4, 0.5]}))
    assert import_keras(tmp_path / "own.keras", FLEET).manifest.recipe.spread == (4.0, 0.5)


def refused_layers() -> dict[str, tuple[Callable[[Any], list[Any]], str]]:
    """Layers by case, and the words of the refusal."""
    return {
        "bidirectional": (
            lambda k: [k.Bidirectional(k.LSTM(3, return_sequences=True)), k.Dense(2)],
            r"Bidirectional.*needs the future",
        ),
        "wrong outputs": (
            lambda k: [k.LSTM(3, return_sequences=True), k.Dense(5)],
            r"expected 2 inputs and 2 outputs, for the features level, heat of fleet 'plant'.*found 2 inputs and 5",
        ),
        "two steps at once": (lambda k: [k.Conv1D(3, 2), k.GRU(2, return_sequences=True)], r"Conv1D.*several steps"),
        "masked": (lambda k: [k.Masking(), k.GRU(2, return_sequences=True)], r"Masking.*`bridge`; leave it out"),
        "backwards": (
            lambda k: [k.LSTM(3, return_sequences=True, go_backwards=True), k.Dense(2)],
            r"go_backwards.*needs the future",
        ),
        "activation": (
            lambda k: [k.LSTM(3, return_sequences=True, activation="softmax"), k.Dense(2)],
            r"expected activation to be one of tanh.*found 'softmax'",
        ),
        "open window": (lambda k: [k.LSTM(3), k.Dense(2)], r"the steps of a window are open"),
        "no memory": (lambda k: [k.Dense(2)], r"expected at least one recurrent layer \(LSTM, GRU, SimpleRNN\)"),
        "curved head of a decoder": (
            lambda k: [k.GRU(3), k.RepeatVector(2), k.GRU(3, return_sequences=True), k.Dense(2, activation="relu")],
            r"expected a linear Dense or TimeDistributed\(Dense\) after the decoder",
        ),
        "cell that goes backwards": (
            lambda k: [k.RNN([k.GRUCell(2)], return_sequences=True, go_backwards=True)],
            r"go_backwards.*needs the future",
        ),
    }


@pytest.mark.parametrize("case", sorted(refused_layers()))
def test_what_cannot_be_stepped_is_refused_with_the_reason(tmp_path: Path, case: str) -> None:
    """Each refusal says what was expected and what was found."""
    from keras import layers

    make, words = refused_layers()[case]
    path = build(tmp_path / "own.keras", *make(layers))
    with pytest.raises(ModelError, match=words):
        import_keras(path, FLEET)


def test_a_refused_recurrent_layer_is_not_said_to_be_missing_as_well(tmp_path: Path) -> None:
    """The layer itself is the one reason, in the encoder and in the decoder; nothing that follows from it."""
    from keras import layers

    both = layers.Bidirectional(layers.LSTM(3)), layers.Bidirectional(layers.LSTM(3, return_sequences=True))
    path = build(tmp_path / "own.keras", both[0], layers.RepeatVector(2), both[1], layers.Dense(2))
    with pytest.raises(ModelError) as caught:
        import_keras(path, FLEET)
    complaints = str(caught.value).split("\n  - ")[1:]
    assert len(complaints) == 2
    assert all("Bidirectional): it reads the series backwards" in one for one in complaints)


def test_all_complaints_come_at_once(tmp_path: Path) -> None:
    """A list, so that nobody mends one fault a try."""
    from keras import layers

    path = build(tmp_path / "own.keras", layers.Conv1D(3, 2), layers.LSTM(4, activation="softmax"))
    with pytest.raises(ModelError) as caught:
        import_keras(path, FLEET)
    assert str(caught.value).count("\n  - ") == 4


def test_a_file_with_code_is_refused_before_keras_sees_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Lambda layer's code never runs: the file is refused from its JSON."""
    from keras import layers

    import gaugecast.learn.keras_models.importing as importing

    path = build(tmp_path / "own.keras", layers.Lambda(lambda x: x), layers.LSTM(3, return_sequences=True))
    monkeypatch.setattr(importing, "_load", lambda _: pytest.fail("the file was loaded"))
    with pytest.raises(ModelError, match=r"unsafe: '(Lambda|__lambda__)' carries code"):
        import_keras(path, FLEET)


def test_without_tensorflow_the_import_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slim install serves models; to read a `.keras` file takes Keras."""
    from keras import layers

    import gaugecast.learn.keras_models.importing as importing

    def fail() -> None:
        raise ImportError("No module named 'tensorflow'")

    path = build(tmp_path / "own.keras", layers.GRU(3, return_sequences=True), layers.Dense(2))
    monkeypatch.setattr(importing, "load_tensorflow", fail)
    with pytest.raises(
        ModelError, match=r"cannot be served:.*\n.*No module named 'tensorflow'.*pip install tensorflow"
    ):
        import_keras(path, FLEET)


def test_a_class_of_another_module_is_refused(tmp_path: Path) -> None:
    """Whatever a file names outside of Keras is not imported."""
    from keras import layers

    path = build(tmp_path / "own.keras", layers.LSTM(3, return_sequences=True), layers.Dense(2))
    forged = forge(path, lambda layer: layer | {"module": "subprocess", "class_name": "Popen"})
    with pytest.raises(ModelError, match="unsafe: class 'Popen' of module 'subprocess'"):
        import_keras(forged, FLEET)


@pytest.mark.parametrize(
    "change",
    [
        {"units": "many"}, {"units": None}, {"activation": {"class_name": "relu"}}, {"activation": ["tanh"]},
        {"recurrent_activation": 7},
    ],
    ids=str,
)  # fmt: skip
def test_settings_that_keras_does_not_write_are_refused_in_words(tmp_path: Path, change: dict[str, Any]) -> None:
    """The file is anybody's: its JSON may have any shape."""
    from keras import layers

    path = build(tmp_path / "own.keras", layers.GRU(3, return_sequences=True), layers.Dense(2))
    forged = forge(path, lambda layer: layer | {"config": layer["config"] | change})
    with pytest.raises(ModelError, match=r"cannot be served:\n  - "):
        import_keras(forged, FLEET)


def test_cells_that_keras_does_not_write_are_refused_in_words(tmp_path: Path) -> None:
    """An RNN around something without a configuration."""
    from keras import layers

    path = build(tmp_path / "own.keras", layers.GRU(3, return_sequences=True), layers.Dense(2))
    cell = {"cell": {"class_name": "StackedRNNCells", "config": {}}}
    forged = forge(path, lambda layer: layer | {"class_name": "RNN", "config": {"name": "own"} | cell})
    with pytest.raises(ModelError, match="expected layers as Keras writes them"):
        import_keras(forged, FLEET)


def forge(path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Path:
    """A copy of the file in which the first layer after the input is another."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    config["config"]["layers"][1] = change(config["config"]["layers"][1])
    parts["config.json"] = json.dumps(config).encode()
    forged = path.with_name("forged.keras")
    with zipfile.ZipFile(forged, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return forged


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip", b"\x80\x04pickle"])
def test_what_is_no_keras_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """Damaged or other files end in a message, not in a traceback."""
    path = tmp_path / "own.keras"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"expected a \.keras file"):
        import_keras(path, FLEET)
