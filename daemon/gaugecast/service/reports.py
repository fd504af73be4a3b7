"""What the daemon tells of itself: facts for the metrics, answers for `status` and `watch`."""

from __future__ import annotations

import fnmatch
import math
from collections import Counter
from dataclasses import astuple
from typing import Any

import numpy as np

from gaugecast.control import FeatureStatus, FleetStatus, LearnerStatus, StreamRow, StreamsQuery
from gaugecast.forecast.body import QUALITY
from gaugecast.forecast.skill import skill
from gaugecast.loop.protocol import RoundFacts
from gaugecast.metrics.facts import FeatureScore, FleetState, LearnerState, Round, StreamColumns
from gaugecast.pipeline import Pipeline
from gaugecast.pipeline.batch_result import Totals
from gaugecast.pipeline.fleet_pipeline import FleetPipeline
from gaugecast.records import Float64, Verdict


class Tallies:
    """The pipeline's lifetime totals as counts of this process: differences since the last look.

    Owned by the loop's thread.

    Attributes:
        held_at_start: By fleet, readings that an earlier process received and this one settles.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._before: dict[str, Totals] = {}
        self._rejects: Counter[tuple[str, str]] = Counter()
        self.held_at_start = {name: part.totals.held for name, part in pipeline.parts.items()}
        self.take(RoundFacts())

    def take(self, facts: RoundFacts) -> Round:
        """One round's facts for the metrics."""
        for gone in self._before.keys() - self._pipeline.parts.keys():
            del self._before[gone]  # should the fleet come back, it begins anew
        grown = {name: self._growth(name, part.totals) for name, part in self._pipeline.parts.items()}
        rejects = self._pipeline.rejects - self._rejects
        if rejects:
            self._rejects = self._pipeline.rejects.copy()
        readings: Counter[tuple[str, Verdict]] = Counter()
        by_reason: Counter[str] = Counter()
        for (fleet, reason), count in rejects.items():
            readings[fleet, Verdict.REJECTED] += count
            by_reason[reason] += count
        for name, t in grown.items():
            readings[name, Verdict.STEPPED] += t.stepped
            readings[name, Verdict.LATE] += t.late
            readings[name, Verdict.DUPLICATE] += t.duplicate
        return Round(
            messages=facts.messages,
            received=facts.received,
            readings=readings,
            rejects=by_reason,
            forecasts={name: t.forecasts for name, t in grown.items()},
            stage_s=facts.stage_s,
            commit_s=facts.commit_s,
            latencies_s=np.array(facts.latencies_s),
            gaps={name: t.gaps for name, t in grown.items()},
            bridged={name: t.bridged_steps for name, t in grown.items()},
            resets={name: t.resets for name, t in grown.items()},
            partial={name: t.partial_steps for name, t in grown.items()},
            fallback={name: t.fallback_steps for name, t in grown.items()},
            reanchored={name: t.reanchored for name, t in grown.items()},
            broken={name: t.broken_states for name, t in grown.items()},
        )

    def _growth(self, name: str, now: Totals) -> Totals:
        before = self._before.get(name, Totals())
        grown = Totals(*(a - b for a, b in zip(astuple(now), astuple(before), strict=True)))
        self._before[name] = Totals(*astuple(now))
        return grown


def fleet_state(
    part: FleetPipeline, learner: LearnerState | None = None, *, held_at_start: int = 0, rollbacks: int = 0
) -> FleetState:
    """One fleet now, for the gauges."""
    table, live = part.table, part.table.live_slots()
    return FleetState(
        fleet=part.fleet.name,
        active=len(live),
        parked=part.totals.parked - part.totals.unparked,
        stale=int(table["stale"][live].sum()),
        held=part.totals.held,
        held_at_start=held_at_start,
        model=None if part.in_force is None else part.in_force.version,
        features=_scores(part),
        learner=learner,
        rollbacks_total=rollbacks,
    )


def _scores(part: FleetPipeline) -> tuple[FeatureScore, ...]:
    """Over all streams of the fleet, by forecast feature."""
    table, live = part.table, part.table.live_slots()
    error, last, absolute, scored = (
        table[name][live].sum(axis=0) for name in ("square_error", "square_last", "absolute_error", "scored")
    )
    shadow = np.full(len(error), np.nan)
    if part.shadow is not None:
        columns = part.shadow.columns
        shadow = skill(columns["square_error"][live].sum(axis=0), columns["square_last"][live].sum(axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = absolute / scored
    rows = zip(part.fleet.forecast_features, mean.tolist(), skill(error, last).tolist(), shadow.tolist(), strict=True)
    return tuple(
        FeatureScore(feature=f.name, unit=f.unit, absolute_error=known(m), skill=known(s), shadow_skill=known(other))
        for f, m, s, other in rows
    )


def known(value: float) -> float | None:
    """`None` for NaN and infinities."""
    return value if math.isfinite(value) else None


def fleet_status(state: FleetState) -> FleetStatus:
    """The same for `gaugecast status`."""
    features = [
        FeatureStatus(feature=f.feature, unit=f.unit, absolute_error=f.absolute_error, skill=f.skill)
        for f in state.features
    ]
    return FleetStatus(
        fleet=state.fleet,
        learner=_learner_status(state),
        active=state.active,
        parked=state.parked,
        stale=state.stale,
        model=state.model,
        spared="" if state.learner is None else state.learner.spared,
        features=features,
    )


def _learner_status(state: FleetState) -> LearnerStatus | None:
    told = state.learner
    if told is None:
        return None
    return LearnerStatus(
        updates_total=told.updates_total,
        handovers_total=told.handovers_total,
        drift_total=told.drift_total,
        rollbacks_total=state.rollbacks_total,
        failures_total=told.failures_total,
        rate=told.rate,
        lag_s=told.lag_s,
    )


def stream_columns(part: FleetPipeline, most: int) -> StreamColumns:
    """Copies of the first `most` streams' columns, for their series."""
    table = part.table
    slots = table.live_slots()[:most]
    observed = np.where(table["seen"][slots], table["x"][slots], np.nan)[:, part.fleet.forecast_places]
    return StreamColumns(
        fleet=part.fleet.name,
        streams=[table.names[slot] or "" for slot in slots.tolist()],
        features=[f.name for f in part.fleet.forecast_features],
        observed=observed,
        forecast=table["published"][slots],
        predicted=table["predicted"][slots],
        skill=_stream_skill(part, slots),
        quality=table["quality"][slots],
        at_s=table["at"][slots] / 1e9,
    )


def _stream_skill(part: FleetPipeline, slots: Any) -> Float64:
    return skill(part.table["square_error"][slots], part.table["square_last"][slots])


def stream_rows(pipeline: Pipeline, query: StreamsQuery) -> tuple[list[StreamRow], int]:
    """Rows for `watch`, and how many streams match in all."""
    rows: list[StreamRow] = []
    total = 0
    for name, part in pipeline.parts.items():
        if query.fleet is not None and query.fleet != name:
            continue
        names = [(part.table.names[s] or "", s) for s in part.table.live_slots().tolist()]
        found = [(n, s) for n, s in names if query.match == "*" or fnmatch.fnmatch(n, query.match)]
        total += len(found)
        for stream, slot in found[: max(0, query.limit - len(rows))]:
            rows += _rows_of(part, stream, slot)
    return rows, total


def _rows_of(part: FleetPipeline, stream: str, slot: int) -> list[StreamRow]:
    table = part.table
    quality = [flag for i, flag in enumerate(QUALITY) if int(table["quality"][slot]) >> i & 1]
    skills = _stream_skill(part, [slot])[0]
    rows = []
    for g, i in enumerate(part.fleet.forecast_places):
        feature = part.fleet.features[i]
        observed = float(table["x"][slot][i]) if table["seen"][slot][i] else math.nan
        rows.append(
            StreamRow(
                fleet=part.fleet.name,
                stream=stream,
                feature=feature.name,
                unit=feature.unit,
                step=int(table["step"][slot]),
                at_s=int(table["at"][slot]) / 1e9,
                observed=known(observed),
                forecast=known(float(table["published"][slot][g])),
                predicted=known(float(table["predicted"][slot][g])),
                skill=known(float(skills[g])),
                quality=quality,
            )
        )
    return rows
