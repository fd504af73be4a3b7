"""A small fleet, its readings as inputs, and pipelines with models: what the unit tests of learning share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from gaugecast import events
from gaugecast.config.schema import Loop
from gaugecast.fleet import Feature, Fleet
from gaugecast.model import Model, seal_model
from gaugecast.pipeline import Pipeline
from gaugecast.records import Input, Order
from gaugecast.testing import random_model

SECOND = 10**9
START_NS = 1_767_225_600 * SECOND
NAN = float("nan")

FLEET = Fleet(
    name="tanks",
    subscribe=("plant/{tank}",),
    stream="{tank}",
    features=(Feature("pressure"), Feature("temperature")),
    period_ns=SECOND,
    time_path=("t",),
    bridge=3,
    grace_ns=SECOND // 2,
    stale_after_ns=10**6 * SECOND,
    park_after_ns=10**6 * SECOND,
)


def reading(tick: int, values: Sequence[float], *, stream: str = "a", fleet: str = "tanks", late_s: int = 0) -> Input:
    """What a stream says at a tick."""
    at_ns = START_NS + tick * SECOND
    packed = np.array(values, "<f8").tobytes()
    return Input.reading(fleet, stream, at_ns, at_ns + late_s * SECOND, packed)


def timer(tick: float) -> Input:
    """It is so late."""
    return Input.timer(START_NS + int(tick * SECOND))


def event(one: events.Event, *, fleet: str = "tanks") -> Input:
    """An event of the fleet."""
    return Order(one, fleet).stamped(START_NS)


def configured(fleet: Fleet = FLEET) -> Input:
    """The event that begins the fleet."""
    return Order.configuring(fleet).stamped(START_NS)


def small_model(seed: int = 0, *, units: int = 4, gain: float = 0.05, fleet: str = "tanks") -> Model:
    """A random LSTM; with so small a gain it forecasts about as persistence does."""
    return random_model(fleet, units=(units,), seed=seed, gain=gain, warmup_steps=2)


def shifted_model(bias: float, *, units: int = 4, made_by: str = "tests") -> Model:
    """Forecasts the last value plus `bias` scales: a known gain where a series climbs, a known loss where it falls."""
    model = random_model(units=(units,), gain=0.0, warmup_steps=2)
    weights = dict(model.weights)
    weights["dense/bias"] = np.full_like(weights["dense/bias"], bias)
    manifest = model.manifest
    provenance = {**manifest.provenance, "made_by": made_by, "bias": bias}
    return seal_model(replace(manifest, provenance=provenance), weights)


def climbing(ticks: range, *, slope: float = 1.0, stream: str = "a", seed: int = 0) -> list[Input]:
    """Both features climb by about `slope` a tick."""
    rng = np.random.default_rng(seed)
    steps = slope + 0.1 * abs(slope) * rng.standard_normal((ticks.stop, 2))
    levels = np.cumsum(steps, axis=0)
    return [reading(t, levels[t].tolist(), stream=stream) for t in ticks]


def pipeline_with(models: dict[str, Model], *, trace: bool = False, limits: Loop | None = None) -> Pipeline:
    """A pipeline that has the fleet, and loads these models by version."""
    made = Pipeline(limits or Loop(), lambda _fleet, version: models[version], trace=trace)
    made.advance([configured()])
    return made
