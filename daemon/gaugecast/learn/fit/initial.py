"""A model that knows nothing yet: what a cold start begins with. No TensorFlow."""

from __future__ import annotations

import math

import numpy as np

from gaugecast.fleet import Fleet, Rows
from gaugecast.forecast.scaling import InputLayout, default_recipe
from gaugecast.model import Layer, Manifest, Model, Recipe, seal_model
from gaugecast.records import Float32

#: Deviation of the head's first weights: forecasts begin as persistence to within a thousandth of a scale.
HEAD_DEVIATION = 1e-3


def manifest_for(
    fleet: Fleet, *, units: tuple[int, ...] = (64,), rows: Rows | None = None, recipe: Recipe | None = None
) -> Manifest:
    """The manifest of a new model for `fleet`: LSTM layers of so many units and a Dense head."""
    recipe = recipe or default_recipe(fleet.period_ns)
    rows = rows or fleet.rows
    layout = InputLayout.of(fleet.features, rows, recipe)
    return Manifest(
        fleet=fleet.name,
        features=tuple((feature.name, feature.role) for feature in fleet.features),
        period_s=fleet.period_ns / 1e9,
        rows=rows,
        recipe=recipe,
        layers=tuple(Layer(u) for u in units),
        input_size=layout.input_size,
        output_size=layout.output_size,
    )


def initial_model(manifest: Manifest, *, seed: int, learn_initial: bool = False) -> Model:
    """Weights as Keras begins an LSTM (Glorot, orthogonal, forget bias 1).

    Where the difference is the target, the head is near zero, so that forecasts begin near persistence. Drawn with
    NumPy, so that a seed means the same weights with every version of TensorFlow.

    Args:
        manifest: Shapes.
        seed: Of the draws.
        learn_initial: The initial state is among the weights, to be learned; it begins at zero.
    """
    rng = np.random.default_rng(seed)
    weights = {name: _draw(name, shape, rng) for name, shape in manifest.weight_shapes().items()}
    _open_forget_gates(manifest, weights)
    if manifest.head == "dense" and manifest.recipe.kind != "difference":
        weights["dense/kernel"] = _glorot(weights["dense/kernel"].shape, np.random.default_rng([seed, 1]))
    if learn_initial:
        weights |= {name: np.zeros(shape, np.float32) for name, shape in manifest.optional_shapes().items()}
    return seal_model(manifest, weights)


def _draw(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> Float32:
    part = name.split("/")[1]
    if name == "dense/kernel":
        return (HEAD_DEVIATION * rng.standard_normal(shape)).astype(np.float32)
    if part == "kernel":
        return _glorot(shape, rng)
    if part == "recurrent":
        return np.ascontiguousarray(np.linalg.qr(rng.standard_normal(shape[::-1]))[0].T, dtype=np.float32)
    return np.full(shape, 1.0 if part == "gamma" else 0.0, np.float32)


def _open_forget_gates(manifest: Manifest, weights: dict[str, Float32]) -> None:
    """The bias of LSTM layers, whose gates are i, f, c, o."""
    stacks = (("{cell}{i}", manifest.layers), ("decoder{i}", manifest.decoder))
    for name, layers in stacks:
        for i, layer in enumerate(layers):
            if layer.cell == "lstm":
                weights[name.format(cell=layer.cell, i=i) + "/bias"][layer.units : 2 * layer.units] = 1.0


def _glorot(shape: tuple[int, ...], rng: np.random.Generator) -> Float32:
    bound = math.sqrt(6.0 / sum(shape))
    return rng.uniform(-bound, bound, shape).astype(np.float32)
