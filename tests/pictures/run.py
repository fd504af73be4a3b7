"""A run of the demo's tanks through the daemon's own decoder and pipeline, with the model that ships."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from gaugecast.config.schema import Loop
from gaugecast.demo.tanks import PERIOD_S, TIME_SCALE, demo_fleet
from gaugecast.fleet import Fleet, Threshold
from gaugecast.forecast.expert import Trace
from gaugecast.loop.models import SHIPPED
from gaugecast.model import Model, load_model
from gaugecast.payloads import Decoder
from gaugecast.pipeline.batch_result import Outcome
from gaugecast.records import Message
from gaugecast.testing import pipeline_of
from gaugecast_sim.faults import Fault, Injector
from gaugecast_sim.publish import tank_samples
from gaugecast_sim.samples import Sample
from gaugecast_sim.tanks import Plant

BEGIN_NS = 1_767_225_600 * 10**9
SEED = 7


@dataclass(slots=True)
class Run:
    """What was published, decoded, by stream; and what the network was fed."""

    forecasts: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    crossings: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    anomalies: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    traces: list[Trace] = field(default_factory=list)

    def take(self, outcome: Outcome) -> None:
        """One batch."""
        self.traces += [trace for _, trace in outcome.traces]
        for output in outcome.outputs:
            if output.body:
                told = msgspec.json.decode(output.body)
                self._kind(output.topic).setdefault(output.stream, []).append(told)

    def _kind(self, topic: str) -> dict[str, list[dict[str, Any]]]:
        if topic.endswith("/anomaly"):
            return self.anomalies
        return self.crossings if "/crossing/" in topic else self.forecasts


def shipped_model() -> Model:
    """That of the demo's tanks."""
    return load_model(SHIPPED / demo_fleet().name)


def run_tanks(
    *, tanks: int, steps: int, faults: Sequence[Fault] = (), plain: bool = False, trace: bool = False,
    thresholds: Sequence[Threshold] | None = None,
) -> Run:  # fmt: skip
    """Let the tanks speak for so many steps.

    Args:
        faults: What goes wrong.
        plain: Only the next step: no horizons, thresholds or anomalies.
        trace: Keep what the network was fed.
        thresholds: Instead of the demo's.
    """
    fleet = _fleet(plain=plain, thresholds=thresholds)
    pipeline = pipeline_of(fleet, models=[shipped_model()], trace=trace)
    decoder, run = Decoder([fleet], Loop()), Run()
    for number, messages in enumerate(_polls(tanks, steps, faults), 1):
        received_at_ns = BEGIN_NS + round(number * PERIOD_S * 1e9)
        run.take(pipeline.advance(decoder.decode(messages, received_at_ns).inputs))
    return run


def _fleet(*, plain: bool, thresholds: Sequence[Threshold] | None) -> Fleet:
    fleet = demo_fleet()
    if plain:
        return replace(fleet, horizons=(), intervals=(), thresholds=(), anomaly=None)
    return fleet if thresholds is None else replace(fleet, thresholds=tuple(thresholds))


def _polls(tanks: int, steps: int, faults: Iterable[Fault]) -> Iterator[list[Message]]:
    """Tick by tick, what all tanks say."""
    plant = Plant(SEED, tanks, PERIOD_S, time_scale=TIME_SCALE)
    injector, poll = Injector(faults), list[Sample]()
    for number, sample in enumerate(tank_samples(plant, BEGIN_NS, steps=steps), 1):
        poll += injector.feed(sample)
        if number % tanks == 0:
            yield [Message(one.topic, one.payload, 1, False, False, 1, 1) for one in poll]
            poll = []
