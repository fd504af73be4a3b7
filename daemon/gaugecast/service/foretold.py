"""What is said beyond the next step, for the status, for the streams' own series and for `watch`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gaugecast.config.duration import duration_text
from gaugecast.control import AheadRow, CrossingRow, IntervalRow
from gaugecast.fleet import Fleet, Threshold
from gaugecast.forecast.horizons.rows import LINEAR
from gaugecast.known import known
from gaugecast.pipeline.crossings import Crossings
from gaugecast.pipeline.fleet_pipeline import FleetPipeline
from gaugecast.records import Float64, Int64
from gaugecast.status import ExpertStatus, ThresholdStatus


def crossings_of(part: FleetPipeline) -> Crossings | None:
    """The fleet's thresholds, if it has any."""
    return None if part.look_ahead is None else part.look_ahead.crossings


def threshold_statuses(part: FleetPipeline) -> list[ThresholdStatus]:
    """Each threshold of the fleet, and of how many streams a crossing is told."""
    crossings = crossings_of(part)
    if crossings is None:
        return []
    told = crossings.columns["open"][part.table.live_slots()].sum(axis=0).tolist()
    return [
        ThresholdStatus(
            feature=mark.feature, side=mark.side, value=mark.value, within=_within(part.fleet, mark), open=count
        )
        for mark, count in zip(part.fleet.thresholds, told, strict=True)
    ]


def marks_of(fleet: Fleet) -> list[tuple[str, str, str]]:
    """Feature, side and value of each threshold, as labels have them."""
    return [(mark.feature, mark.side, f"{mark.value:g}") for mark in fleet.thresholds]


def likely_of(part: FleetPipeline, slots: Int64) -> tuple[Float64 | None, Float64 | None]:
    """Probabilities of streams' crossings (N, K), and seconds until the median instants; `None` without thresholds."""
    crossings = crossings_of(part)
    if crossings is None:
        return None, None
    period_s = part.fleet.period_ns / 1e9
    return crossings.columns["likely"][slots], crossings.columns["instants"][slots, :, 1] * period_s


def ahead_of(part: FleetPipeline, slots: Int64) -> tuple[list[str], Float64 | None, Float64 | None, Float64 | None]:
    """Listed horizons, what was said last of each (N, G, H), and the narrowest intervals; `None` without horizons."""
    if part.look_ahead is None:
        return [], None, None, None
    spans = _spans(part.fleet)
    said, bounds = part.look_ahead.bands(slots)
    if not part.fleet.intervals:
        return spans, said, None, None
    return spans, said, bounds[..., 0, 0], bounds[..., 0, 1]


def experts_of(part: FleetPipeline, slots: Int64) -> list[dict[str, dict[str, ExpertStatus]]]:
    """By forecast feature and horizon, how the experts that speak there stand over these streams."""
    if part.look_ahead is None:
        return [{} for _ in part.fleet.forecast_places]
    speakers = part.look_ahead.speakers(network=part.in_force is not None)
    return [
        {
            span: _experts_at(shares, skills, names)
            for span, shares, skills, names in zip(
                _spans(part.fleet), one.shares.T, one.skills.T, speakers, strict=True
            )
            if shares[0] == shares[0]
        }
        for one in part.look_ahead.standing(slots)
    ]


def _experts_at(shares: Float64, skills: Float64, names: Sequence[str]) -> dict[str, ExpertStatus]:
    """What is the share of one that is not there is that of the linear one, which speaks in its place."""
    own = shares.tolist()
    own[LINEAR] += sum(own[len(names) :])
    return {name: ExpertStatus(weight=own[k], skill=known(float(skills[k]))) for k, name in enumerate(names)}


def _spans(fleet: Fleet) -> list[str]:
    return [duration_text(h * fleet.period_ns) for h in fleet.horizons]


def crossing_rows(part: FleetPipeline, slot: int, feature: str) -> list[CrossingRow]:
    """The thresholds of one feature of one stream, the likeliest first."""
    crossings = crossings_of(part)
    if crossings is None:
        return []
    period_s, state = part.fleet.period_ns / 1e9, crossings.columns
    rows = []
    for k, mark in enumerate(part.fleet.thresholds):
        if mark.feature != feature:
            continue
        early, median, late = (known(ticks * period_s) for ticks in state["instants"][slot, k].tolist())
        rows.append(
            CrossingRow(
                side=mark.side, value=mark.value, within=_within(part.fleet, mark), open=bool(state["open"][slot, k]),
                crossed=bool(state["crossed"][slot, k]), probability=known(float(state["likely"][slot, k])),
                early_s=early, median_s=median, late_s=late,
            )
        )  # fmt: skip
    return sorted(rows, key=lambda row: -(row.probability or 0.0))


def bands_of(part: FleetPipeline, slot: int) -> list[tuple[float | None, float | None]]:
    """The narrowest interval around each feature's next step."""
    nothing: list[tuple[float | None, float | None]] = [(None, None)] * len(part.fleet.forecast_places)
    if part.look_ahead is None or not part.fleet.intervals:
        return nothing
    _, bounds = part.look_ahead.bands(np.array([slot], np.int64))
    return [(known(lower), known(upper)) for lower, upper in bounds[0, :, 0, 0].tolist()]


def ahead_rows(part: FleetPipeline, slot: int) -> list[list[AheadRow]]:
    """What is expected of each feature at each horizon, with all intervals; of a fleet that lists none, the next."""
    period_s, published = part.fleet.period_ns / 1e9, part.table["published"][slot].tolist()
    if part.look_ahead is None:
        return [[AheadRow(in_s=period_s, forecast=known(value))] for value in published]
    said, bounds = part.look_ahead.bands(np.array([slot], np.int64))
    spans = [h * period_s for h in part.fleet.horizons]
    levels = part.fleet.intervals
    return [
        [
            AheadRow(in_s=span, forecast=known(value), intervals=_intervals(levels, by_level))
            for span, value, by_level in zip(spans, values, by_horizon, strict=True)
        ]
        for values, by_horizon in zip(said[0].tolist(), bounds[0].tolist(), strict=True)
    ]


def _intervals(levels: tuple[float, ...], bounds: list[list[float]]) -> list[IntervalRow]:
    """Those that are known."""
    return [
        IntervalRow(level=level, lower=lower, upper=upper)
        for level, (lower, upper) in zip(levels, bounds, strict=True)
        if math.isfinite(lower) and math.isfinite(upper)
    ]


def _within(fleet: Fleet, mark: Threshold) -> str:
    return duration_text(mark.within * fleet.period_ns)
