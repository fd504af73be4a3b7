"""What stands in a fleet's columns, for the status, for the streams' own series and for `watch`."""

from __future__ import annotations

import fnmatch
import math
from typing import Any

import numpy as np

from gaugecast.control import StreamRow, StreamsQuery
from gaugecast.forecast.message import QUALITY
from gaugecast.forecast.skill import skill
from gaugecast.known import known
from gaugecast.loop.trial import Trial
from gaugecast.metrics import StreamColumns
from gaugecast.pipeline import Pipeline
from gaugecast.pipeline.fleet_pipeline import FleetPipeline
from gaugecast.pipeline.stepping import NOT_WAITED_FOR
from gaugecast.records import Float64
from gaugecast.service import anomalies, foretold
from gaugecast.status import FeatureStatus, Shadow, StreamCounts


def streams_of(part: FleetPipeline) -> StreamCounts:
    """How many streams the fleet has, by state."""
    live = part.table.live_slots()
    stale = int(part.table["stale"][live].sum())
    return StreamCounts(active=len(live), parked=part.totals.parked - part.totals.unparked, stale=stale)


def scores_of(part: FleetPipeline) -> dict[str, FeatureStatus]:
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
    features = part.fleet.forecast_features
    held = part.look_ahead.coverage(live) if part.look_ahead is not None else [{} for _ in features]
    experts = foretold.experts_of(part, live)
    rows = zip(features, mean.tolist(), skill(error, last).tolist(), shadow.tolist(), held, experts, strict=True)
    return {
        f.name: FeatureStatus(
            unit=f.unit,
            absolute_error=known(m),
            skill=known(s),
            shadow_skill=known(other),
            coverage=coverage,
            experts=by_horizon,
        )
        for f, m, s, other, coverage, by_horizon in rows
    }


def never_came(part: FleetPipeline) -> list[str]:
    """Features that none of the fleet's streams has brought, of those that have spoken often enough."""
    table, live = part.table, part.table.live_slots()
    spoken = live[table["step"][live] >= NOT_WAITED_FOR]
    if not len(spoken):
        return []
    unseen = np.isnan(table["x"][spoken])
    return [feature.name for i, feature in enumerate(part.fleet.features) if unseen[:, i].all()]


def shadow_of(part: FleetPipeline, trial: Trial | None) -> Shadow | None:
    """The model on trial, if there is one."""
    if part.shadow is None or trial is None:
        return None
    hopeless = trial.steps > 0 and trial.skill < trial.wanted_skill
    left = max(0.0, trial.wanted_steps - trial.steps)
    return Shadow(
        version=part.shadow.version,
        steps=int(trial.steps),
        promote_after=trial.wanted_steps,
        skill=trial.skill if trial.steps > 0 else None,
        wanted_skill=trial.wanted_skill,
        eta_s=None if hopeless else time_for(part, left),
    )


def time_for(part: FleetPipeline, steps: float) -> float | None:
    """Seconds that so many steps of all streams together take; `None` where no stream speaks."""
    live = part.table.live_slots()
    speaking = len(live) - int(part.table["stale"][live].sum())
    return steps / speaking * part.fleet.period_ns / 1e9 if speaking else None


def stream_columns(part: FleetPipeline, most: int) -> StreamColumns:
    """Copies of the first `most` streams' columns, for their series."""
    table = part.table
    slots = table.live_slots()[:most]
    observed = np.where(table["seen"][slots], table["x"][slots], np.nan)[:, part.fleet.forecast_places]
    likely, median_s = foretold.likely_of(part, slots)
    spans, ahead, lower, upper = foretold.ahead_of(part, slots)
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
        spans=spans,
        ahead=ahead,
        lower=lower,
        upper=upper,
        level=f"{part.fleet.intervals[0]:g}" if part.fleet.intervals else "",
        marks=foretold.marks_of(part.fleet),
        likely=likely,
        median_s=median_s,
        score=anomalies.scores_of(part, slots),
    )


def _stream_skill(part: FleetPipeline, slots: Any) -> Float64:
    return skill(part.table["square_error"][slots], part.table["square_last"][slots])


def stream_rows(pipeline: Pipeline, query: StreamsQuery) -> tuple[list[StreamRow], int]:
    """Rows for `watch` and `streams`, by fleet and then by name, and how many streams match in all."""
    found = [
        (part, stream, slot)
        for name, part in pipeline.parts.items()
        if query.fleet in (None, name)
        for stream, slot in _slots_of(part, query)
        if query.match == "*" or fnmatch.fnmatch(stream, query.match)
    ]
    shown = found[query.offset : query.offset + query.limit]
    return [row for part, stream, slot in shown for row in _rows_of(part, stream, slot, query.ahead)], len(found)


def _slots_of(part: FleetPipeline, query: StreamsQuery) -> list[tuple[str, int]]:
    """The streams that may be meant, by name."""
    slots = part.table.slots
    if query.stream is None:
        return sorted(slots.items())
    return [(query.stream, slots[query.stream])] if query.stream in slots else []


def _rows_of(part: FleetPipeline, stream: str, slot: int, ahead: bool) -> list[StreamRow]:
    table = part.table
    quality = [flag for i, flag in enumerate(QUALITY) if int(table["quality"][slot]) >> i & 1]
    skills = _stream_skill(part, [slot])[0]
    bands = foretold.bands_of(part, slot)
    paths = foretold.ahead_rows(part, slot) if ahead else [[] for _ in bands]
    scores = anomalies.scores_of(part, np.array([slot], np.int64))
    anomaly = anomalies.anomaly_row(part, slot)
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
                lower=bands[g][0],
                upper=bands[g][1],
                crossings=foretold.crossing_rows(part, slot, feature.name),
                ahead=paths[g],
                score=None if scores is None else known(float(scores[0, g])),
                anomaly=anomaly,
                silenced_until_s=anomalies.silenced_until_s(part, slot),
            )
        )
    return rows
