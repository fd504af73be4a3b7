"""Series through the detectors and the alarm, as the pipeline does it, without the rest of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gaugecast.forecast import telling
from gaugecast.forecast.anomaly import alarm, detectors
from gaugecast.forecast.anomaly.layout import DETECTORS, Layout
from gaugecast.forecast.anomaly.statistics import Now
from gaugecast.records import Bool, Float64
from gaugecast.streams.columns import Array, Columns
from gaugecast_sim.tanks import Plant


class Told(NamedTuple):
    """An event of a stream.

    Attributes:
        step: At which it began.
        feature, detector: With the largest share when it was told.
    """

    step: int
    stream: int
    feature: int
    detector: str


class Watch:
    """N streams of F features; forecasts are persistence."""

    def __init__(self, streams: int, features: int, *, healthy: int = 0, settle: int = 60, hold: int = 5) -> None:
        self._layout, self._hold = Layout.of(features), hold
        zeros = np.zeros(features)
        self._rules = detectors.Rules(
            np.ones(features, bool),
            healthy,
            settle,
            1.0,
            np.ones((len(DETECTORS), features), bool),
            -1,
            (),
            zeros,
            zeros,
        )
        self.state: dict[str, Array] = dict(Columns(self._layout.spec(), streams))
        self.events: dict[str, Array] = dict(Columns(alarm.spec_of(features), streams))
        self._last = np.full((streams, features), np.nan)
        self._begins: Bool = np.ones(streams, bool)
        self.told: list[Told] = []
        self.steps = 0

    def feed(self, values: Float64) -> None:
        """Take in steps (T, N, F), NaN = absent."""
        with np.errstate(all="ignore"):
            for row in values:
                self._step(row)

    def _step(self, row: Float64) -> None:
        x = np.where(np.isnan(row), self._last, row)
        now = Now(row, x, row - self._last, self._begins, self._begins)
        off = np.zeros(len(row), bool)
        detectors.step(self.state, now, self._rules, self._layout, wrong=self.events["open"], off=off)
        at = np.full(len(row), self.steps)
        judged = alarm.judge(
            self.events,
            self.state["score"],
            settling=self.state["settling"] > 0,
            off=off,
            silenced=np.zeros(len(row), bool),
            at=at,
            least=self._hold,
        )
        for stream, event in zip(judged.row.tolist(), judged.event.tolist(), strict=True):
            if event == telling.BEGIN:
                detector, feature = np.unravel_index(
                    self.events["blame"][stream].argmax(), self.events["blame"][stream].shape
                )
                self.told.append(Told(self.steps, stream, int(feature), DETECTORS[int(detector)]))
        for kept in (self.state, self.events):  # as columns keep them
            for name, dtype in (("score", "<f4"), ("top", "<f4"), ("limit", "<f4"), ("blame", "<f4"), ("peak", "<f4")):
                if name in kept:
                    kept[name] = kept[name].astype(dtype)
        self._last, self._begins = x, np.zeros(len(row), bool)
        self.steps += 1


def tanks(seed: int, streams: int, steps: int, *, scale: float = 60.0) -> Float64:
    """Healthy tanks (T, N, 3): pressure, temperature and level, a step a second of `scale` seconds of plant time."""
    plant = Plant(seed, streams, 1.0, time_scale=scale)
    begin = 1_700_000_000 * 10**9
    out = np.zeros((steps, streams, 3))
    for t in range(steps):
        seen = plant.step(begin + t * 10**9)
        out[t] = np.stack([seen.pressure, seen.temperature, seen.level], axis=1)
    return out
