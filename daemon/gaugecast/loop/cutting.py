"""Where a batch of forecasts ends: with the commit that makes them, and the ledger has it as an input."""

from __future__ import annotations

from collections.abc import Sequence

from gaugecast.batch import Inputs
from gaugecast.events import FleetConfigured
from gaugecast.fleet import Fleet
from gaugecast.pipeline import Pipeline
from gaugecast.records import Input


def end_of_batch(inputs: Inputs, pipeline: Pipeline, now_ns: int, *, first_seq: int) -> Sequence[Input]:
    """The input that ends a micro-batch, where a fleet is said by the batch; none where no fleet is.

    Args:
        inputs: All that comes before it.
        pipeline: Before it takes them.
        now_ns: Arrival time.
        first_seq: What number the ledger will give the first of them.
    """
    batched = any(shape.batch for part in pipeline.parts.values() for shape in part.fleet.shapes)
    if not len(inputs) or not (batched or any(map(_configures_batches, filter(None, inputs.event)))):
        return ()
    return (Input.cut(now_ns, first_seq=first_seq),)


def _configures_batches(event: object) -> bool:
    if not isinstance(event, FleetConfigured):
        return False
    return any(shape.batch for shape in Fleet.from_json(event.spec).shapes)
