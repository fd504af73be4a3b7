"""The pure middle, driven: inputs in, messages out, without broker, disk or clock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from gaugecast.config.schema import Loop
from gaugecast.errors import ModelError
from gaugecast.fleet import Fleet
from gaugecast.model import Model
from gaugecast.pipeline import Outcome, Pipeline
from gaugecast.records import Input, Order, Output
from gaugecast.testing.fleets import T0
from gaugecast.testing.readings import installed


def pipeline_of(*fleets: Fleet, models: Sequence[Model] = (), trace: bool = False, **limits: Any) -> Pipeline:
    """A pipeline in which the fleets are configured and the models are in force.

    Args:
        models: Each for the fleet that its manifest names.
        trace: Keep what the network was fed, for whoever learns.
        limits: Keys of `[loop]`; as many new streams a second as come, unless they say otherwise.
    """
    by_name = {(m.manifest.fleet, m.manifest.version): m for m in models}

    def load(fleet: str, version: str) -> Model:
        if (fleet, version) not in by_name:
            raise ModelError(f"one of {list(by_name)} expected, got {fleet} {version}")
        return by_name[fleet, version]

    pipeline = Pipeline(Loop(**{"new_streams_per_s": 1e6, **limits}), load, trace=trace)
    pipeline.advance([Order.configuring(fleet).stamped(T0) for fleet in fleets])
    pipeline.advance([installed(model) for model in models])
    return pipeline


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
