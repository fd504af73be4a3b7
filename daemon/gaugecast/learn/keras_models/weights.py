"""The numbers of a loaded Keras network, under the names of the manifest."""

from __future__ import annotations

from typing import Any

import numpy as np

from gaugecast.learn.keras_models.config import KerasLayer
from gaugecast.learn.keras_models.plan import Placed, Plan
from gaugecast.model.layers import STATE_PARTS, Shape
from gaugecast.records import Float32


def take_weights(plan: Plan, net: Any, inputs: int) -> dict[str, Float32]:
    """Each weight that the manifest of `plan` names, over so many inputs; what a layer goes without, is 0 or 1."""
    weights: dict[str, Float32] = {}
    width = inputs
    for i, placed in enumerate(plan.layers):
        weights |= _named(net, placed, f"{placed.layer.cell}{i}", width)
        weights |= _initial_state(net, placed, i)
        width = placed.layer.units
        if placed.norm is not None:
            weights |= _norm_weights(net, placed.norm, f"norm{i}", width)
    for i, placed in enumerate(plan.decoder):
        weights |= _named(net, placed, f"decoder{i}", width)
        width = placed.layer.units
    return weights if plan.head is None else weights | _named(net, plan.head, "dense", width)


def _initial_state(net: Any, placed: Placed, number: int) -> dict[str, Float32]:
    """What the layer begins with, where that is a constant other than zero.

    Raises:
        ValueError: It hangs on the inputs.
    """
    found = {}
    parts = STATE_PARTS[placed.layer.cell]
    if len(placed.source.start) not in (0, len(parts)):
        raise ValueError(
            f"{placed.source.name}: expected {len(parts)} initial states, found {len(placed.source.start)}"
        )
    for part, name in zip(parts, placed.source.start, strict=False):
        kernel, *bias = net.get_layer(name).get_weights()
        if kernel.any():
            raise ValueError(
                f"{placed.source.name}: expected an initial state that is a constant, found it fed by inputs"
            )
        found[f"initial{number}/{part}"] = bias[0] if bias else np.zeros(placed.layer.units, np.float32)
    return found


def layer_of(net: Any, source: KerasLayer) -> Any:
    """The layer or cell of the network that holds these weights."""
    layer = net.get_layer(source.name)
    if source.part is not None:
        return getattr(layer.cell, "cells", [layer.cell])[source.part]
    return layer.layer if type(layer).__name__ == "TimeDistributed" else layer


def _named(net: Any, placed: Placed, name: str, width: int) -> dict[str, Float32]:
    shapes = placed.layer.weight_shapes(width)
    if placed.layer.cell == "affine":
        found = _scale_and_shift(layer_of(net, placed.source), shapes["scale"])
    else:
        found = layer_of(net, placed.source).get_weights()
    rest = [np.zeros(shape, np.float32) for shape in list(shapes.values())[len(found) :]]  # layers without a bias
    return {f"{name}/{part}": array for part, array in zip(shapes, [*found, *rest], strict=True)}


def _scale_and_shift(layer: Any, shape: Shape) -> list[Float32]:
    """γ·(x − μ) / √(σ² + ε) + β as x·scale + shift; of an activation alone 1 and 0."""
    if not hasattr(layer, "moving_variance"):
        return [np.ones(shape, np.float32), np.zeros(shape, np.float32)]
    mean, variance = (np.asarray(part, np.float64) for part in (layer.moving_mean, layer.moving_variance))
    gamma = np.asarray(layer.gamma, np.float64) if layer.scale else 1.0
    beta = np.asarray(layer.beta, np.float64) if layer.center else 0.0
    scale = gamma / np.sqrt(variance + layer.epsilon)
    return [scale.astype(np.float32), (beta - mean * scale).astype(np.float32)]


def _norm_weights(net: Any, source: KerasLayer, name: str, units: int) -> dict[str, Float32]:
    found = list(layer_of(net, source).get_weights())
    gamma = found.pop(0) if source.config.get("scale", True) else np.ones(units, np.float32)
    beta = found.pop(0) if source.config.get("center", True) else np.zeros(units, np.float32)
    return {f"{name}/gamma": gamma, f"{name}/beta": beta}
