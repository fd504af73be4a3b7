"""Seeded models for tests: any architecture, weights as Keras would draw them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gaugecast.fleet import Role, Rows
from gaugecast.model import Layer, Manifest, Model, Recipe, seal_model
from gaugecast.model.manifest import Activation, Head
from gaugecast.records import Float32

CLOCK_INPUTS = 6  # hour: two harmonics; weekday: one


def recipe_input_size(features: Sequence[tuple[str, Role]], rows: Rows, recipe: Recipe) -> int:
    """Inputs a row that the recipe makes of these features: level and difference each, clock, identity."""
    forecast = sum(role == "forecast" for _, role in features)
    own = forecast if rows == "joint" else 1
    identity = forecast if recipe.identity and rows == "per_feature" else 0
    return (own + len(features) - forecast) * (1 + recipe.level) + CLOCK_INPUTS * recipe.clock + identity


def random_model(
    fleet_name: str = "tanks",
    features: Sequence[tuple[str, Role]] = (("pressure", "forecast"), ("temperature", "forecast")),
    rows: Rows = "per_feature",
    *,
    units: Sequence[int] = (64,),
    activation: Activation = "tanh",
    recurrent_activation: Activation = "sigmoid",
    layer_norm: bool = False,
    head: Head = "dense",
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
        gain: Factor on the Dense kernel; small = forecasts near persistence.
    """
    recipe = recipe or Recipe(half_life_steps=100.0)
    forecast = sum(role == "forecast" for _, role in features)
    sized = units[-1] if head == "none" else (forecast if rows == "joint" else 1)
    manifest = Manifest(
        fleet=fleet_name,
        features=tuple(features),
        period_s=period_s,
        rows=rows,
        recipe=recipe,
        layers=tuple(Layer(u, activation, recurrent_activation, layer_norm) for u in units),
        input_size=recipe_input_size(features, rows, recipe) if input_size is None else input_size,
        output_size=sized if output_size is None else output_size,
        head=head,
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
        offset = 1.0 if name.endswith("/gamma") else 0.0
        scale = gain if name == "dense/kernel" else 1.0
        weights[name] = (offset + scale * drawn).astype(np.float32)
    return weights
