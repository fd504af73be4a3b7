"""Series through detectors and alarm as the pipeline has them, without the rest of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gaugecast.forecast import telling
from gaugecast.forecast.anomaly.layout import DETECTORS
from gaugecast.forecast.anomaly.reason import blamed
from gaugecast.forecast.expert import Steps
from gaugecast.pipeline.anomalies import Anomalies
from gaugecast.records import Float64
from gaugecast.streams.columns import Array
from gaugecast.testing import SECOND, fleet_of
from gaugecast.watching import AnomalySettings
from gaugecast_sim.tanks import Plant

_LETTERS = "abcdefgh"


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
    """N streams of F features; forecasts are persistence. With `mode` the last of them says the machine's state."""

    def __init__(
        self, streams: int, features: int, *, healthy: int = 0, settle: int = 60, hold: int = 5, mode: bool = False,
        refit: int = 0,
    ) -> None:  # fmt: skip
        names = _LETTERS[:features]
        state = names[-1] if mode else ""
        settings = AnomalySettings(healthy=healthy, hold=hold, settle=settle, mode=state, refit=refit)
        self._watching = Anomalies(fleet_of(names, inputs=state, anomaly=settings), streams)
        self.state: dict[str, Array] = dict(self._watching.columns)
        self._forecast = features - mode
        self._last = np.full((streams, features), np.nan)
        self._gone = np.ones(streams, bool)
        self.told: list[Told] = []
        self.steps = 0

    def feed(self, values: Float64) -> None:
        """Take in steps (T, N, F), NaN = absent; streams of which all is absent are gone, and come back with a gap."""
        with np.errstate(all="ignore"):
            for row in values:
                self._step(row)

    def _step(self, row: Float64) -> None:
        gone = np.asarray(np.isnan(row).all(axis=1))
        slots = np.flatnonzero(~gone)
        values, last, fresh = row[slots], self._last[slots], self._gone[slots]
        x = np.where(np.isnan(values), last, values)
        at = np.full(len(slots), self.steps * SECOND)
        steps = Steps(slots, values, last, ~np.isnan(last), at, at - SECOND, np.zeros(len(slots), np.int64), fresh)
        self._watching.step(steps, x, last[:, : self._forecast], received=at)
        assert self._watching._judged is not None
        judged = self._watching._judged[0]
        for place, event in zip(judged.row.tolist(), judged.event.tolist(), strict=True):
            if event == telling.BEGIN:
                stream = int(slots[place])
                lead = blamed(self._watching.events["blame"][stream])[0]
                self.told.append(Told(self.steps, stream, lead.feature, DETECTORS[lead.detector]))
        self._last[slots], self._gone = x, gone
        self.steps += 1


def tanks(seed: int, streams: int, steps: int, *, scale: float = 60.0) -> Float64:
    """Healthy tanks (T, N, 3): pressure, temperature and level, a step a second of `scale` seconds of plant time."""
    return _seen(Plant(seed, streams, 1.0, time_scale=scale), steps)


def _seen(plant: Plant, steps: int, set_points: Float64 | None = None) -> Float64:
    begin = 1_700_000_000 * 10**9
    out = np.zeros((steps, len(plant.names), 3))
    for t in range(steps):
        if set_points is not None:
            plant.setpoint_c[:] = set_points[t]
        seen = plant.step(begin + t * 10**9)
        out[t] = np.stack([seen.pressure, seen.temperature, seen.level], axis=1)
    return out


def lived_in_tanks(seed: int, streams: int, steps: int, *, scale: float = 1.0) -> Float64:
    """The same with set-points that are changed now and then (T, N, 4), and restarts, during which nothing comes.

    Each tank has three changes to another temperature and back, and two restarts of some minutes.
    """
    plant, rng = Plant(seed, streams, 1.0, time_scale=scale), np.random.default_rng(seed)
    set_points = np.repeat(plant.setpoint_c[None], steps, axis=0)
    gone = np.zeros((steps, streams), bool)
    for stream in range(streams):
        others = plant.setpoint_c[stream] + rng.uniform(2.0, 6.0, 2) * rng.choice([-1.0, 1.0], 2)
        for other in (*others, others[0]):
            begin, lasts = int(rng.integers(steps)), int(rng.integers(steps // 24, steps // 6))
            set_points[begin : begin + lasts, stream] = np.round(other, 1)
        for begin in rng.integers(steps, size=2).tolist():
            gone[begin : begin + int(rng.integers(60, 900) / scale) + 1, stream] = True
    values = np.concatenate([_seen(plant, steps, set_points), set_points[:, :, None]], axis=2)
    values[gone] = np.nan
    return values
