"""Small fleets, their readings and a pipeline to put them through: what the tests of the pure middle share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np

from gaugecast import events
from gaugecast.config.schema import Loop
from gaugecast.errors import ModelError
from gaugecast.fleet import Aggregate, Feature, Fleet
from gaugecast.model import Model, Recipe
from gaugecast.pipeline import Outcome, Pipeline
from gaugecast.records import Input, Order, Output
from support.models import random_model

SECOND = 1_000_000_000
T0 = 1_700_000_000 * SECOND


def features_of(names: str, *, inputs: str = "", aggregates: Sequence[Aggregate] = ()) -> tuple[Feature, ...]:
    """A feature a letter; those in `inputs` have the role `input`."""
    kinds: list[Aggregate] = [*aggregates, *["last" for _ in names[len(aggregates) :]]]  # type: ignore[list-item]
    return tuple(
        Feature(name, path=(name,), role="input" if name in inputs else "forecast", aggregate=kind)
        for name, kind in zip(names, kinds, strict=True)
    )


def fleet_of(names: str = "pq", *, inputs: str = "", aggregates: Sequence[Aggregate] = (), **settings: Any) -> Fleet:
    """Fleet `tanks` with a feature a letter, timed, one second a tick; any other setting by name."""
    chosen: dict[str, Any] = {"time_path": ("t",), "period_ns": SECOND, "bridge": 3, **settings}
    features = features_of(names, inputs=inputs, aggregates=aggregates)
    return Fleet("tanks", ("tank/{tank}",), "{tank}", features, **chosen)


def model_for(fleet: Fleet, **settings: Any) -> Model:
    """A random model that fits; warm after two steps."""
    chosen: dict[str, Any] = {"units": (7,), "warmup_steps": 2, "recipe": Recipe(half_life_steps=20.0), **settings}
    features = [(f.name, f.role) for f in fleet.features]
    return random_model(fleet.name, features, fleet.rows, period_s=fleet.period_ns / 1e9, **chosen)


def pipeline_of(*fleets: Fleet, models: Sequence[Model] = (), trace: bool = False, **limits: Any) -> Pipeline:
    """A pipeline in which the fleets are configured and the models are in force."""
    by_name = {(m.manifest.fleet, m.manifest.version): m for m in models}

    def load(fleet: str, version: str) -> Model:
        if (fleet, version) not in by_name:
            raise ModelError(f"one of {list(by_name)} expected, got {fleet} {version}")
        return by_name[fleet, version]

    pipeline = Pipeline(Loop(**{"new_streams_per_s": 1e6, **limits}), load, trace=trace)
    pipeline.advance([Order.configuring(fleet).stamped(T0) for fleet in fleets])
    pipeline.advance([installed(model) for model in models])
    return pipeline


def installed(model: Model, role: Any = "in_force") -> Input:
    """The event that puts a model in a role."""
    event = events.ModelInstalled(role, model.manifest.version)
    return Order(event, model.manifest.fleet).stamped(T0)


def reading(
    at_s: float, *values: float, stream: str = "a", received_s: float | None = None, key: int | None = None,
    dup: bool = False, delivery: int = 0, fleet: str = "tanks",
) -> Input:  # fmt: skip
    """One reading, `at_s` seconds after T0; arrives when it was measured unless `received_s` says otherwise."""
    at = T0 + round(at_s * 1e9)
    received = at if received_s is None else T0 + round(received_s * 1e9)
    packed = np.array(values, "<f8").tobytes()
    return Input.reading(
        fleet, stream, at, received, packed, key=at if key is None else key, delivery=delivery, dup=dup
    )


def timer(at_s: float) -> Input:
    """It is now `at_s` seconds after T0."""
    return Input.timer(T0 + round(at_s * 1e9))


def feed(pipeline: Pipeline, inputs: Iterable[Input], size: int = 1) -> list[Outcome]:
    """Advance in batches of `size`."""
    rows = list(inputs)
    return [pipeline.advance(rows[i : i + size]) for i in range(0, len(rows), size)]


def outputs_of(outcomes: Iterable[Outcome]) -> list[Output]:
    """All outputs in order."""
    return [output for outcome in outcomes for output in outcome.outputs]


def bodies_of(outcomes: Iterable[Outcome]) -> dict[str, list[bytes]]:
    """By stream, the messages in order."""
    found: dict[str, list[bytes]] = {}
    for output in outputs_of(outcomes):
        found.setdefault(output.stream, []).append(output.body)
    return found


def verdicts_of(outcomes: Iterable[Outcome]) -> list[int]:
    """All verdicts in order."""
    return [int(verdict) for outcome in outcomes for verdict in outcome.verdicts]


def messages_of(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    """All messages in order, decoded."""
    return [msgspec.json.decode(output.body) for output in outputs_of(outcomes)]
