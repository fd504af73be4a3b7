"""What a reading costs in `decode` and `advance` as things grow: batch, streams, features, units, horizon."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bench.meter import cost_us
from bench.results import Bound, Result
from bench.scale import Scale
from gaugecast.config.schema import Loop
from gaugecast.payloads import Decoder
from gaugecast.records import Message
from gaugecast.testing import SECOND, T0, fleet_of, model_for, pipeline_of

LETTERS = "abcdefghijklmnop"


@dataclass(frozen=True, slots=True)
class Plant:
    """What is measured: readings of `features` features in batches of `batch` messages."""

    batch: int = 1000
    streams: int = 1000
    features: int = 2
    units: int = 64
    horizon: int = 1


AXES: dict[str, tuple[int, ...]] = {
    "batch": (1, 10, 100, 1000, 2000),
    "streams": (10, 100, 1000, 10_000),
    "features": (1, 2, 4, 8),
    "units": (16, 32, 64, 128),
    "horizon": (1, 2, 4, 8, 16),
}
#: Along these a reading must not cost more (one tenth is the measurement's); along the others at most in proportion.
CONSTANT = ("batch", "streams")
SPARE = 1.1


def measure(scale: Scale) -> list[Result]:
    """One figure a point, beside that of the point before."""
    return [result for axis in AXES for result in _measure_axis(axis, scale)]


def _measure_axis(axis: str, scale: Scale) -> list[Result]:
    """Points of one axis, in turn."""
    points = AXES[axis]
    stands = [Stand(replace(Plant(), **{axis: point})) for point in points]
    took: list[list[float]] = [[] for _ in points]
    for _ in range(scale.rounds):
        for stand, found in zip(stands, took, strict=True):
            found.append(stand.cost_us(scale.seconds(0.3)))
    results = []
    for number, (point, found) in enumerate(zip(points, took, strict=True)):
        before = took[number - 1] if number else ()
        allowed = SPARE * (1 if axis in CONSTANT else point / points[number - 1])
        bound = Bound("≤", round(allowed, 2), "ratio") if number else None
        note = f"{axis} {point:,}" + (f"; the peer is {points[number - 1]:,}" if number else "")
        results.append(Result(f"cost_{axis}_{point}_us", "µs", found, before, bound, note))
    print(f"    {axis}: " + ", ".join(f"{result.name} {np.median(result.ours):.1f}" for result in results), flush=True)
    return results


class Stand:
    """A pipeline with a model in force, and readings of all streams in turn."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._letters = LETTERS[: plant.features]
        fleet = fleet_of(self._letters, horizon=plant.horizon)
        model = model_for(fleet, units=(plant.units,), gain=0.1)
        self._decoder = Decoder([fleet], Loop())
        self._pipeline = pipeline_of(fleet, models=[model])
        self._sent = 0
        while self._sent < 3 * plant.streams:
            self._advance()

    def cost_us(self, window_s: float) -> float:
        """Processor time a reading, µs, over batches that take about so long."""
        return cost_us(self._advance, window_s, readings=self._plant.batch)

    def _advance(self) -> float:
        """Processor time of one batch, s; what makes its messages does not count."""
        messages = [self._message(self._sent + i) for i in range(self._plant.batch)]
        received_ns = T0 + self._sent // self._plant.streams * SECOND
        self._sent += len(messages)
        began = time.process_time()
        inputs = self._decoder.decode(messages, received_ns).inputs
        outputs = self._pipeline.advance(inputs).outputs
        took_s = time.process_time() - began
        assert len(outputs) == len(messages), f"{len(outputs)} forecasts of {len(messages)} readings"
        return took_s

    def _message(self, number: int) -> Message:
        turn, stream = divmod(number, self._plant.streams)
        fields: dict[str, Any] = {"t": T0 // SECOND + turn}
        text = ", ".join(f'"{k}": {v}' for k, v in {**fields, **self._values(turn, stream)}.items())
        return Message(f"tank/s{stream}", f"{{{text}}}".encode(), 1, False, False, 1 + number % 65_535, 1)

    def _values(self, turn: int, stream: int) -> dict[str, float]:
        return {letter: (turn * 7919 + stream * 104_729 + i * 31) % 1000 / 10 for i, letter in enumerate(self._letters)}
