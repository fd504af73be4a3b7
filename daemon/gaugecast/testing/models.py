"""Seeded models: any architecture, weights as Keras would draw them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gaugecast.fleet import Feature, Fleet, Role, Rows
from gaugecast.forecast.scaling import InputLayout
from gaugecast.model import Layer, Manifest, Model, Recipe, seal_model
from gaugecast.model.layers import Activation
from gaugecast.model.manifest import EngineName, Head
from gaugecast.records import Float32


def random_model(
    fleet_name: str = "tanks",
    features: Sequence[tuple[str, Role]] = (("pressure", "forecast"), ("temperature", "forecast")),
    rows: Rows = "per_feature",
    *,
    layers: Sequence[Layer] = (),
    units: Sequence[int] = (64,),
    activation: Activation = "tanh",
    recurrent_activation: Activation = "sigmoid",
    layer_norm: bool = False,
    head: Head = "dense",
    decoder: Sequence[Layer] = (),
    decode_steps: int = 1,
    engine: EngineName = "numpy",
    learned_initial: bool = False,
    input_size: int | None = None,
    output_size: int | None = None,
    period_s: float = 1.0,
    recipe: Recipe | None = None,
    warmup_steps: int = 8,
    seed: int = 0,
    gain: float = 1.0,
) -> Model:
    """A sealed model with random weights; sizes follow from the features unless they are given.

    Args:
        layers: If given, instead of LSTM layers of `units`.
        gain: Factor on the Dense kernel; small = forecasts near persistence.
    """
    recipe = recipe or Recipe(half_life_steps=100.0)
    layout = InputLayout.of([Feature(name, role=role) for name, role in features], rows, recipe)
    layers = tuple(layers) or tuple(Layer(u, activation, recurrent_activation, layer_norm) for u in units)
    outputs = layers[-1].units if head == "none" else layout.output_size
    manifest = Manifest(
        fleet=fleet_name,
        features=tuple(features),
        period_s=period_s,
        rows=rows,
        recipe=recipe,
        layers=layers,
        input_size=layout.input_size if input_size is None else input_size,
        output_size=outputs if output_size is None else output_size,
        head=head,
        decoder=tuple(decoder),
        decode_steps=decode_steps,
        engine=engine,
        warmup_steps=warmup_steps,
        provenance={"made_by": "tests", "seed": seed},
    )
    return seal_model(manifest, draw_weights(manifest, seed=seed, gain=gain, learned_initial=learned_initial))


def draw_weights(manifest: Manifest, *, seed: int, gain: float, learned_initial: bool) -> dict[str, Float32]:
    """Glorot-uniform kernels, small biases, normalisation near identity."""
    rng = np.random.default_rng(seed)
    shapes = manifest.weight_shapes() | (manifest.optional_shapes() if learned_initial else {})
    weights: dict[str, Float32] = {}
    for name, shape in shapes.items():
        limit = np.sqrt(6 / sum(shape)) if len(shape) == 2 else 0.1
        drawn = rng.uniform(-limit, limit, shape)
        offset = 1.0 if name.endswith(("/gamma", "/scale")) else 0.0
        scale = gain if name == "dense/kernel" else 1.0
        weights[name] = (offset + scale * drawn).astype(np.float32)
    return weights


def model_for(fleet: Fleet, **settings: Any) -> Model:
    """A random model that fits a fleet; warm after two steps.

    Args:
        fleet: Its features, rows and period.
        settings: Any other of `random_model`, by name.
    """
    chosen: dict[str, Any] = {"units": (7,), "warmup_steps": 2, "recipe": Recipe(half_life_steps=20.0), **settings}
    features = [(f.name, f.role) for f in fleet.features]
    return random_model(fleet.name, features, fleet.rows, period_s=fleet.period_ns / 1e9, **chosen)
