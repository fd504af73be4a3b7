"""Bring your own: a user's trained `.keras` file as a model that the daemon's engine steps.

Offline only, and in two gates: `keras_config` refuses from the JSON alone whatever could run code or cannot be
stepped; then Keras loads the rest in its safe mode, and only numbers are taken from it.

The file's inputs and outputs are in the sensors' units, or in the units of its first `Normalization` layer, which
becomes the recipe's scaling, or in those of a file beside it, `NAME.scaling.json`:
`{"centre": [20.0, 3.1], "spread": [5.0, 0.4]}`, a number a feature.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gaugecast.errors import ModelError
from gaugecast.fleet import Fleet, Rows
from gaugecast.forecast.scaling import InputLayout, default_recipe
from gaugecast.learn.backend import load_tensorflow
from gaugecast.learn.keras_config import IDLE, SERVED, WHY, KerasLayer, check_lstm, read_layers, refusal
from gaugecast.model import Layer, Manifest, Model, Recipe, seal_model
from gaugecast.records import Float32, Float64

NORM_EPSILON = 1e-3
STATEFUL_WARMUP = 8


@dataclass(slots=True)
class _Plan:
    """The chain, sorted into the manifest's places."""

    layers: list[tuple[KerasLayer, KerasLayer | None]] = field(default_factory=list)  # LSTM, its norm
    decoder: list[KerasLayer] = field(default_factory=list)
    normalization: KerasLayer | None = None
    head: KerasLayer | None = None
    repeat: int = 0
    shape: tuple[int | None, ...] = ()
    complaints: list[str] = field(default_factory=list)


def import_keras(path: Path, fleet: Fleet) -> Model:
    """A model for `fleet` from a `.keras` file.

    Raises:
        ModelError: A list of everything that stands against it, each with what was expected and what was found.
    """
    plan = _sort(read_layers(path))
    look_back = _look_back(plan)
    rows, size = _fit_fleet(plan, fleet)
    if plan.complaints:
        raise refusal(path, plan.complaints)
    net = _load(path)
    centre, spread = _scaling(path, fleet, plan, net)
    manifest = Manifest(
        fleet=fleet.name,
        features=tuple((feature.name, feature.role) for feature in fleet.features),
        period_s=fleet.period_ns / 1e9,
        rows=rows,
        recipe=_recipe(fleet, centre, spread),
        layers=tuple(_layer(lstm, norm is not None) for lstm, norm in plan.layers),
        input_size=size[0],
        output_size=size[1],
        head="none" if plan.head is None else "dense",
        warmup_steps=look_back or STATEFUL_WARMUP,
        look_back=look_back,
        decoder=tuple(_layer(lstm, False) for lstm in plan.decoder),
        decode_steps=plan.repeat or 1,
        provenance={
            "made_by": "gaugecast models import",
            "source": path.name,
            "source_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        },
    )
    return seal_model(manifest, _weights(path, plan, net, fleet, (centre, spread)))


def _sort(layers: list[KerasLayer]) -> _Plan:
    """Put each layer in its place, and note what cannot be served."""
    plan = _Plan()
    for layer in layers:
        complaint = _place(plan, layer)
        if complaint is not None:
            plan.complaints.append(complaint)
    if not plan.layers:
        plan.complaints.append("expected at least one LSTM layer, found none")
    if plan.decoder and plan.head is None:
        plan.complaints.append("expected TimeDistributed(Dense) after the decoder, found nothing")
    if plan.repeat and not plan.decoder:
        plan.complaints.append("expected an LSTM after RepeatVector, found none")
    return plan


def _place(plan: _Plan, layer: KerasLayer) -> str | None:
    kind = layer.kind
    if kind not in SERVED:
        return f"{layer.name} ({kind}): {WHY.get(kind, 'not a layer that the engine steps; known are ' + _known())}"
    if kind == "InputLayer":
        plan.shape = tuple(layer.config.get("batch_shape") or layer.config.get("batch_input_shape") or ())
        return (
            None
            if len(plan.shape) == 3
            else f"{layer.name}: expected shape (batch, steps, features), found {plan.shape}"
        )
    if kind in IDLE:
        return None
    if plan.head is not None:
        return f"{layer.name} ({kind}): expected nothing after the Dense head"
    if kind == "Normalization":
        if plan.layers or plan.normalization is not None or layer.config.get("invert"):
            return f"{layer.name}: expected Normalization once, as the first layer"
        plan.normalization = layer
        return None
    if kind == "LSTM":
        plan.complaints += check_lstm(layer)
        (plan.decoder.append(layer) if plan.repeat else plan.layers.append((layer, None)))
        return None
    if kind == "LayerNormalization":
        return _place_norm(plan, layer)
    if kind == "RepeatVector":
        if not plan.layers or plan.repeat:
            return f"{layer.name}: expected RepeatVector once, after the encoder's LSTM layers"
        plan.repeat = int(layer.config["n"])
        return None
    return _place_head(plan, layer)


def _place_norm(plan: _Plan, layer: KerasLayer) -> str | None:
    if plan.repeat or not plan.layers or plan.layers[-1][1] is not None:
        return f"{layer.name}: expected LayerNormalization right after an LSTM of the encoder"
    config = layer.config
    if not math.isclose(float(config.get("epsilon", NORM_EPSILON)), NORM_EPSILON):
        return f"{layer.name}: expected epsilon {NORM_EPSILON}, found {config.get('epsilon')}"
    if config.get("rms_scaling") or config.get("axis") not in ([-1], -1, [2], 2):
        return f"{layer.name}: expected plain normalisation over the units"
    plan.layers[-1] = (plan.layers[-1][0], layer)
    return None


def _place_head(plan: _Plan, layer: KerasLayer) -> str | None:
    config = layer.config
    if layer.kind == "TimeDistributed":
        inner = config.get("layer", {})
        if inner.get("class_name") != "Dense":
            return f"{layer.name}: expected TimeDistributed(Dense), found {inner.get('class_name')}"
        config = inner["config"]
    if config.get("activation") not in (None, "linear"):
        return f"{layer.name}: expected a linear Dense layer, found activation {config.get('activation')!r}"
    plan.head = KerasLayer("Dense", layer.name, config)
    return None


def _known() -> str:
    return "LSTM, LayerNormalization, RepeatVector, Dense, TimeDistributed(Dense), Normalization, Dropout"


def _look_back(plan: _Plan) -> int:
    """0 where the file's network carries its state, or gives an output at each step of a series of any length."""
    if not plan.layers:
        return 0
    encoders = [lstm for lstm, _ in plan.layers]
    stateful = [bool(lstm.config.get("stateful")) for lstm in encoders]
    if any(stateful) and not all(stateful):
        plan.complaints.append("expected all LSTM layers stateful, or none; found both")
    inner = [lstm.name for lstm in encoders[:-1] if not lstm.config.get("return_sequences")]
    if inner:
        plan.complaints.append(f"{inner[0]}: expected return_sequences True before another LSTM")
    steps = plan.shape[1] if len(plan.shape) == 3 else None
    if all(stateful):
        return 0
    if steps is None and encoders[-1].config.get("return_sequences"):
        return 0
    if steps is None:
        plan.complaints.append(
            "the steps of a window are open (None): a many-to-one network is served with the look-back that it was "
            "trained with; build it with Input((steps, features)), or make its LSTM layers stateful"
        )
        return 0
    return int(steps)


def _fit_fleet(plan: _Plan, fleet: Fleet) -> tuple[Rows, tuple[int, int]]:
    """The rows of the fleet, and inputs and outputs a row; a complaint where the file has others."""
    inputs = plan.shape[2] if len(plan.shape) == 3 else None
    last = plan.decoder[-1] if plan.decoder else plan.layers[-1][0] if plan.layers else None
    outputs = plan.head.config["units"] if plan.head else last.config.get("units") if last else None
    names = [feature.name for feature in fleet.features]
    found: dict[Rows, tuple[int, int]] = {}
    for rows in ("per_feature", "joint"):
        layout = InputLayout.of(fleet.features, rows, _recipe(fleet, np.zeros(len(names)), np.ones(len(names))))
        found[rows] = (layout.input_size, layout.output_size)
    expected = found[fleet.rows]
    if (inputs, outputs) != expected and plan.layers:
        other = next((rows for rows, size in found.items() if size == (inputs, outputs)), None)
        hint = f"; it would fit with rows = {other!r} in [fleet.{fleet.name}]" if other else ""
        plan.complaints.append(
            f"expected {expected[0]} inputs and {expected[1]} outputs, for the features {', '.join(names)} of fleet "
            f"{fleet.name!r} with {fleet.rows} rows, found {inputs} inputs and {outputs} outputs{hint}"
        )
    return fleet.rows, expected


def _recipe(fleet: Fleet, centre: Float64, spread: Float64) -> Recipe:
    half_life = default_recipe(fleet.period_ns).half_life_steps
    return Recipe(
        half_life_steps=half_life, kind="standard", clock=False, identity=False, squash=False,
        centre=tuple(centre.tolist()), spread=tuple(spread.tolist()),
    )  # fmt: skip


def _layer(lstm: KerasLayer, norm: bool) -> Layer:
    config = lstm.config
    return Layer(config["units"], config["activation"], config["recurrent_activation"], norm)


def _load(path: Path) -> Any:
    _, keras = load_tensorflow()
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as exc:  # whatever Keras and h5py may raise on a damaged file
        raise refusal(path, [f"Keras cannot load it in safe mode: {exc}"]) from exc


def _scaling(path: Path, fleet: Fleet, plan: _Plan, net: Any) -> tuple[Float64, Float64]:
    """Centre and spread of each feature (F,), from the Normalization layer or the file beside; else 0 and 1."""
    features = len(fleet.features)
    beside = path.with_suffix(".scaling.json")
    if plan.normalization is not None:
        layer = net.get_layer(plan.normalization.name)
        mean, variance = (np.asarray(v, np.float64).reshape(-1) for v in (layer.mean, layer.variance))
        if len(mean) == 1:
            mean, variance = np.repeat(mean, features), np.repeat(variance, features)
        return mean, np.maximum(np.sqrt(variance), 1e-7)  # as Keras keeps the divisor away from 0
    if not beside.exists():
        return np.zeros(features), np.ones(features)
    try:
        told = json.loads(beside.read_text())
        centre, spread = (np.array(told[key], np.float64) for key in ("centre", "spread"))
    except (ValueError, KeyError, TypeError, OSError) as exc:
        raise ModelError(f'{beside}: expected {{"centre": […], "spread": […]}}: {exc!r}') from exc
    if centre.shape != (features,) or spread.shape != (features,) or not (spread > 0).all():
        raise ModelError(f"{beside}: expected {features} numbers each, spread above 0, got {told}")
    return centre, spread


def _weights(path: Path, plan: _Plan, net: Any, fleet: Fleet, scaling: tuple[Float64, Float64]) -> dict[str, Float32]:
    weights: dict[str, Float32] = {}
    for i, (lstm, norm) in enumerate(plan.layers):
        weights |= _lstm_weights(net, lstm, f"lstm{i}")
        if norm is not None:
            weights |= _norm_weights(net, norm, f"norm{i}", lstm.config["units"])
    for i, lstm in enumerate(plan.decoder):
        weights |= _lstm_weights(net, lstm, f"decoder{i}")
    if plan.head is not None:
        kernel, *bias = net.get_layer(plan.head.name).get_weights()
        weights["dense/kernel"] = kernel
        weights["dense/bias"] = bias[0] if bias else np.zeros(kernel.shape[1], np.float32)
    if plan.normalization is not None:
        _to_scaled_outputs(path, weights, fleet, scaling)
    return weights


def _to_scaled_outputs(path: Path, weights: dict[str, Float32], fleet: Fleet, scaling: tuple[Float64, Float64]) -> None:
    """A net that normalises its inputs itself gives outputs in the sensors' units: have its head give scaled ones."""
    outputs = [i for i, feature in enumerate(fleet.features) if feature.role == "forecast"]
    width = len(weights.get("dense/bias", ()))
    centre, spread = (np.asarray(part[outputs], np.float64) for part in scaling)
    if "dense/kernel" not in weights:
        raise refusal(path, ["expected a Dense head beside a Normalization layer, to give the sensors' units"])
    if width != len(outputs):
        if np.ptp(centre) or np.ptp(spread):
            raise refusal(path, ["expected one Normalization for all features where each has a row of its own"])
        centre, spread = centre[:1], spread[:1]
    weights["dense/kernel"] = (weights["dense/kernel"] / spread).astype(np.float32)
    weights["dense/bias"] = ((weights["dense/bias"] - centre) / spread).astype(np.float32)


def _lstm_weights(net: Any, layer: KerasLayer, name: str) -> dict[str, Float32]:
    kernel, recurrent, *bias = net.get_layer(layer.name).get_weights()
    zero = np.zeros(kernel.shape[1], np.float32)
    return {f"{name}/kernel": kernel, f"{name}/recurrent": recurrent, f"{name}/bias": bias[0] if bias else zero}


def _norm_weights(net: Any, layer: KerasLayer, name: str, units: int) -> dict[str, Float32]:
    found = list(net.get_layer(layer.name).get_weights())
    gamma = found.pop(0) if layer.config.get("scale", True) else np.ones(units, np.float32)
    beta = found.pop(0) if layer.config.get("center", True) else np.zeros(units, np.float32)
    return {f"{name}/gamma": gamma, f"{name}/beta": beta}
