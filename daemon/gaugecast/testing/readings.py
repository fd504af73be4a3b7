"""What comes into a pipeline: readings, time that passes, models that are put in force."""

from __future__ import annotations

import numpy as np

from gaugecast import events
from gaugecast.model import Model
from gaugecast.records import Input, Order
from gaugecast.testing.fleets import T0


def reading(
    at_s: float, *values: float, stream: str = "a", received_s: float | None = None, key: int | None = None,
    dup: bool = False, delivery: int = 0, fleet: str = "tanks",
) -> Input:  # fmt: skip
    """One reading, `at_s` seconds after T0; arrives when it was measured unless `received_s` says otherwise.

    Args:
        values: One a feature in the fleet's order; NaN = absent.
        key: What tells it from the next; by default its time.
        delivery: Hash of its delivery, where its payload has neither time nor sequence.
    """
    at = T0 + round(at_s * 1e9)
    received = at if received_s is None else T0 + round(received_s * 1e9)
    packed = np.array(values, "<f8").tobytes()
    return Input.reading(fleet, stream, at, received, packed, key=key, delivery=delivery, dup=dup)


def timer(at_s: float) -> Input:
    """It is now `at_s` seconds after T0."""
    return Input.timer(T0 + round(at_s * 1e9))


def installed(model: Model, role: events.Role = "in_force") -> Input:
    """The event that puts a model in a role."""
    event = events.ModelInstalled(role, model.manifest.version)
    return Order(event, model.manifest.fleet).stamped(T0)
