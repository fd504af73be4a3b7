"""Simulated tanks over MQTT in real time: the sensors of the demo."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from typing import Literal

from gaugecast_sim.link import PublishLink
from gaugecast_sim.samples import Sample, unix_seconds
from gaugecast_sim.tanks import Observation, Plant

Layout = Literal["json", "separate"]
FEATURES = ("pressure", "temperature")
DIGITS = {"pressure": 3, "temperature": 2, "level": 3}
JSON_TOPIC = "plant/{site}/{tank}/telemetry"
SEPARATE_TOPIC = "plant/{tank}/{feature}"


def next_tick_ns(now_ns: int, period_s: float) -> int:
    """The first multiple of the period after `now_ns`; both Unix ns UTC."""
    period_ns = round(period_s * 1e9)
    return (now_ns // period_ns + 1) * period_ns


def tank_samples(
    plant: Plant,
    start_ns: int,
    *,
    site: str = "demo",
    layout: Layout = "json",
    features: tuple[str, ...] = FEATURES,
    steps: int | None = None,
) -> Iterator[Sample]:
    """What all tanks say, step after step, from `start_ns` on; without end if `steps` is `None`.

    `json`: one message a tank, `{"t": 1700000000.000, "pressure": 2.512, "temperature": 61.07}`.
    `separate`: one message a feature, a bare number on `plant/{tank}/{feature}`.
    """
    period_ns = round(plant.period_s * 1e9)
    done = 0
    while steps is None or done < steps:
        at_ns = start_ns + done * period_ns
        observed = plant.step(at_ns)
        for tank, name in enumerate(plant.names):
            texts = {feature: _text(observed, feature, tank) for feature in features}
            if layout == "json":
                fields = ", ".join(f'"{feature}": {text}' for feature, text in texts.items())
                body = f'{{"t": {unix_seconds(at_ns)}, {fields}}}'
                yield Sample(JSON_TOPIC.format(site=site, tank=name), body.encode(), at_ns)
            else:
                for feature, text in texts.items():
                    yield Sample(SEPARATE_TOPIC.format(tank=name, feature=feature), text.encode(), at_ns)
        done += 1


def publish_in_time(
    samples: Iterable[Sample],
    link: PublishLink,
    *,
    qos: int = 1,
    stop: threading.Event | None = None,
    until_ns: int | None = None,
) -> int:
    """Publish each sample when its `at_ns` has come, until `stop` is set, `until_ns` is reached, or they end.

    Returns:
        How many were published. Whoever lags behind catches up without pause: sensors do not forget either.
    """
    stop = stop or threading.Event()
    count = 0
    for sample in samples:
        if until_ns is not None and sample.at_ns >= until_ns:
            break
        if stop.wait(max(0.0, (sample.at_ns - time.time_ns()) / 1e9)):
            break
        link.publish(sample.topic, sample.payload, qos=qos)
        count += 1
    return count


def _text(observed: Observation, feature: str, tank: int) -> str:
    return f"{getattr(observed, feature)[tank]:.{DIGITS[feature]}f}"
