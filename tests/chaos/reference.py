"""The uninterrupted run: the same readings, made from the plan and not from any ledger, through a fresh `advance`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from zlib import crc32

import numpy as np

from chaos.scenario import FLEET, said_of
from gaugecast.config.schema import Loop
from gaugecast.model import Model
from gaugecast.pipeline import Pipeline
from gaugecast.records import Input
from gaugecast_sim.packets import LoadPlan

_BATCH = 997  # unlike any batch of the daemon's


@dataclass(slots=True)
class Reference:
    """What an uninterrupted run says.

    Attributes:
        bodies: By stream and step the body's (hash, CRC-32).
        forecasts: By stream and step the hash of the forecast's float64.
        keys: By stream the event times of all readings.
    """

    pipeline: Pipeline
    readings: int
    bodies: dict[str, dict[int, tuple[int, int]]] = field(default_factory=dict)
    forecasts: dict[str, dict[int, int]] = field(default_factory=dict)
    keys: dict[str, set[int]] = field(default_factory=dict)


def run_reference(plan: LoadPlan, sent: int, beginning: Sequence[Input], model: Model) -> Reference:
    """Take the first `sent` messages of a plan, after the events of `beginning`."""
    pipeline = Pipeline(Loop(), lambda _fleet, _version: model)
    pipeline.advance(beginning)
    reference = Reference(pipeline, sent)
    for batch in _batches(plan, sent):
        for one in batch:
            reference.keys.setdefault(one.stream, set()).add(one.at_ns)
        for output in pipeline.advance(batch).outputs:
            what = said_of(output.stream, crossing=not output.forecast)
            bodies = reference.bodies.setdefault(what, {})
            bodies[output.step] = (hash(output.body), crc32(output.body))
            reference.forecasts.setdefault(what, {})[output.step] = hash(output.forecast)
    return reference


def _batches(plan: LoadPlan, sent: int) -> Iterator[list[Input]]:
    for first in range(0, sent, _BATCH):
        index = np.arange(first, min(first + _BATCH, sent))
        rounds, row = np.divmod(index, plan.rows)
        columns = [plan.values(row, number, rounds) / 1000 for number in range(len(plan.features))]
        values = np.stack(columns, axis=1).astype("<f8")
        at_ns = plan.start_ns + rounds * plan.period_ns
        yield [
            Input.reading(FLEET, plan.stream_name(s), at, plan.start_ns, v.tobytes())
            for s, at, v in zip(row.tolist(), at_ns.tolist(), values, strict=True)
        ]
