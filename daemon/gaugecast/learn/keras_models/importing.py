"""Bring your own: a user's trained `.keras` file as a model that one of the daemon's engines steps.

Offline only, and in two gates: `keras_config` refuses from the JSON alone whatever could run code or cannot be
stepped; then Keras loads the rest in its safe mode, and only numbers are taken from it.

The file's inputs and outputs are in the sensors' units, or in the units of its first `Normalization` layer, which
becomes the recipe's scaling, or in those of a file beside it, `NAME.scaling.json`:
`{"centre": [20.0, 3.1], "spread": [5.0, 0.4]}`, a number a feature.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gaugecast.engine.runtime import say_missing
from gaugecast.errors import ModelError
from gaugecast.files import regular
from gaugecast.fleet import Fleet, Rows
from gaugecast.forecast.scaling import InputLayout, default_recipe
from gaugecast.learn.fit.backend import load_tensorflow
from gaugecast.learn.fit.initial import manifest_for
from gaugecast.learn.fit.start import STATEFUL_WARMUP
from gaugecast.learn.keras_models.config import read_layers, refusal
from gaugecast.learn.keras_models.plan import Plan, sort_layers
from gaugecast.learn.keras_models.weights import take_weights
from gaugecast.learn.score.warmth import steps_to_forget
from gaugecast.model import Model, Recipe, seal_model
from gaugecast.records import Float32, Float64


def import_keras(path: Path, fleet: Fleet, *, forecaster: bool = False) -> Model:
    """A model for `fleet` from a `.keras` file.

    Args:
        path: The file.
        fleet: What it is to forecast.
        forecaster: It forecasts, although it gives as many steps as it is fed, as an autoencoder does.

    Raises:
        ModelError: A list of everything that stands against it, each with what was expected and what was found.
    """
    try:
        plan = sort_layers(read_layers(path))
    except (KeyError, TypeError, ValueError, AttributeError) as exc:  # JSON of any shape
        raise refusal(path, [f"expected layers as Keras writes them: {exc!r}"]) from exc
    _check_fleet(plan, fleet)
    if plan.rebuilds and not forecaster:
        plan.complaints.append(
            f"it gives {plan.repeat} steps of {plan.width} features from {plan.repeat} steps of as many, as an "
            "autoencoder does, which rebuilds what it is fed: detectors are made with `gaugecast autoencoder`, and "
            "scored with `gaugecast backtest --model`. If it forecasts the steps that follow, say --forecaster"
        )
    if plan.complaints:
        raise refusal(path, plan.complaints)
    net = _load(path)
    centre, spread = _scaling(path, fleet, plan, net)
    manifest = replace(
        manifest_for(fleet, recipe=_recipe(fleet, centre, spread)),
        layers=tuple(replace(placed.layer, layer_norm=placed.norm is not None) for placed in plan.layers),
        head="none" if plan.head is None else "dense",
        warmup_steps=plan.look_back or STATEFUL_WARMUP,
        look_back=plan.look_back,
        decoder=tuple(placed.layer for placed in plan.decoder),
        decode_steps=plan.repeat or 1,
        engine=plan.engine,
        provenance={
            "made_by": "gaugecast models import",
            "source": path.name,
            "source_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        },
    )
    try:
        weights = take_weights(plan, net, manifest.input_size)
    except ValueError as exc:
        raise refusal(path, [str(exc)]) from exc
    if plan.normalization is not None:
        _to_scaled_outputs(path, weights, fleet, (centre, spread))
    if not plan.look_back:
        steps = steps_to_forget(Model(manifest, weights), least=STATEFUL_WARMUP)
        manifest = replace(manifest, warmup_steps=steps)
    return seal_model(manifest, weights)


def _check_fleet(plan: Plan, fleet: Fleet) -> None:
    """A complaint where the file has other inputs and outputs than the fleet's rows."""
    inputs, outputs = plan.inputs, plan.width
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


def _recipe(fleet: Fleet, centre: Float64, spread: Float64) -> Recipe:
    half_life = default_recipe(fleet.period_ns).half_life_steps
    return Recipe(
        half_life_steps=half_life, kind="standard", clock=False, identity=False, squash=False,
        centre=tuple(centre.tolist()), spread=tuple(spread.tolist()),
    )  # fmt: skip


def _load(path: Path) -> Any:
    try:
        _, keras = load_tensorflow()
    except ImportError as exc:
        raise refusal(path, [say_missing(exc)]) from exc
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as exc:  # whatever Keras and h5py may raise on a damaged file
        raise refusal(path, [f"Keras cannot load it in safe mode: {exc}"]) from exc


def _scaling(path: Path, fleet: Fleet, plan: Plan, net: Any) -> tuple[Float64, Float64]:
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
        told = json.loads(regular(beside).read_text())
        centre, spread = (np.array(told[key], np.float64) for key in ("centre", "spread"))
    except (ValueError, KeyError, TypeError, OSError) as exc:
        raise ModelError(f'{beside}: expected {{"centre": […], "spread": […]}}: {exc!r}') from exc
    if centre.shape != (features,) or spread.shape != (features,) or not (spread > 0).all():
        raise ModelError(f"{beside}: expected {features} numbers each, spread above 0, got {told}")
    return centre, spread


def _to_scaled_outputs(path: Path, weights: dict[str, Float32], fleet: Fleet, scaling: tuple[Float64, Float64]) -> None:
    """A net that normalises its inputs itself gives outputs in the sensors' units: have its head give scaled ones."""
    outputs = list(fleet.forecast_places)
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
