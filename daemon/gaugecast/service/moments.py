"""One stream step by step, as a replay finds it: what came, what had been expected, how strange that was, and why."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np

from gaugecast.console.explained import Looked, Moment
from gaugecast.known import known
from gaugecast.pipeline import Pipeline
from gaugecast.pipeline.fleet_pipeline import FleetPipeline
from gaugecast.records import Output
from gaugecast.service import anomalies, foretold

_DIGITS = 4


class Watcher:
    """Notes the steps of the only stream of a fleet, whatever it is called meanwhile. One thread.

    Attributes:
        moments: In order.
    """

    def __init__(self, fleet: str) -> None:
        self._fleet = fleet
        self.moments: list[Moment] = []
        self._step = -1
        self._bands: list[tuple[float | None, float | None]] = []

    def skip(self, pipeline: Pipeline) -> None:
        """What has been stepped so far is not looked at."""
        found = self._find(pipeline)
        if found is not None:
            self._step, self._bands = int(found[0].table["step"][found[1]]), foretold.bands_of(*found)

    def note(self, pipeline: Pipeline, made: Iterable[Output]) -> None:
        """One input has been taken, of which this was said."""
        found = self._find(pipeline)
        if found is None or int(found[0].table["step"][found[1]]) == self._step:
            return
        part, slot = found
        self._step = int(part.table["step"][slot])
        told = [_said(one) for one in made if not one.forecast and one.body]
        self.moments.append(moment_of(part, slot, self._bands, told=[one for one in told if one]))
        self._bands = foretold.bands_of(part, slot)

    def _find(self, pipeline: Pipeline) -> tuple[FleetPipeline, int] | None:
        part = pipeline.parts.get(self._fleet)
        slots = [] if part is None else list(part.table.slots.values())
        return (part, slots[0]) if part is not None and slots else None


def moment_of(
    part: FleetPipeline, slot: int, bands: list[tuple[float | None, float | None]], *, told: list[str]
) -> Moment:
    """A stream as it stands; `bands` are what had been told of this step, by forecast feature."""
    table, fleet = part.table, part.fleet
    features: dict[str, Looked] = {}
    scores = anomalies.scores_of(part, np.array([slot], np.int64))
    for g, place in enumerate(fleet.forecast_places):
        expected = known(float(table["predicted"][slot][g]))
        lower, upper = bands[g] if g < len(bands) and expected is not None else (None, None)
        features[fleet.features[place].name] = Looked(
            observed=known(float(table["x"][slot][place])) if table["seen"][slot][place] else None,
            expected=expected, lower=lower, upper=upper, forecast=known(float(table["published"][slot][g])),
            score=None if scores is None else known(float(scores[0, g])), detectors=_detectors(part, slot, place),
        )  # fmt: skip
    watching = part.anomalies
    is_open = watching is not None and bool(watching.events["open"][slot])
    return Moment(
        at_s=int(table["at"][slot]) / 1e9, step=int(table["step"][slot]), features=features, told=told,
        open=watching.severity(slot, table) if watching is not None and is_open else "",
        reason="" if watching is None else watching.reason(slot, table), crossings=_crossings(part, slot),
    )  # fmt: skip


def _detectors(part: FleetPipeline, slot: int, place: int) -> dict[str, float]:
    if part.anomalies is None:
        return {}
    judges = np.isfinite(part.anomalies.of("limit", slot)[:, place]).tolist()
    if part.anomalies.rebuilding is not None:
        judges.append(bool(part.anomalies.rebuilding.knows(np.array([slot], np.int64))[0]))
    score = part.anomalies.score_of(slot)[:, place].tolist()
    told = zip(part.anomalies.detectors, score, judges, strict=True)
    return {name: round(one, _DIGITS) for name, one, judged in told if judged}


def _crossings(part: FleetPipeline, slot: int) -> list[str]:
    return [
        f"{feature.name} {one.words(feature.unit)}"
        for feature in part.fleet.forecast_features
        for one in foretold.crossing_rows(part, slot, feature.name)
        if one.open or one.crossed
    ]


def _said(one: Output) -> str:
    """What a notice of an anomaly says."""
    said: dict[str, Any] = msgspec.json.decode(one.body)
    return str(said["event"]) if "severity" in said else ""
