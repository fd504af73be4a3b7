"""Many streams by column, for who shows or sorts all of them: a list a column, not an object a stream."""

from __future__ import annotations

import numpy as np

from gaugecast.control import FeatureColumns, FleetColumns, MarkColumns, TableAnswer, TableQuery
from gaugecast.forecast.skill import skill
from gaugecast.pipeline import Pipeline
from gaugecast.pipeline.fleet_pipeline import FleetPipeline
from gaugecast.records import Int64
from gaugecast.service import foretold


def table_of(pipeline: Pipeline, query: TableQuery) -> TableAnswer:
    """The streams from `offset` on, fleet by fleet."""
    fleets: list[FleetColumns] = []
    before, end = 0, query.offset + query.limit
    for part in pipeline.parts.values():
        live = part.table.live_slots()
        shown = live[max(0, query.offset - before) : max(0, end - before)]
        before += len(live)
        if len(shown):
            fleets.append(_fleet(part, shown))
    return TableAnswer(fleets=fleets, total=before)


def _fleet(part: FleetPipeline, slots: Int64) -> FleetColumns:
    table = part.table
    return FleetColumns(
        fleet=part.fleet.name,
        period_s=part.fleet.period_ns / 1e9,
        streams=[table.names[slot] or "" for slot in slots.tolist()],
        step=table["step"][slots].tolist(),
        at_s=(table["at"][slots] / 1e9).tolist(),
        quality=table["quality"][slots].tolist(),
        features=_features(part, slots),
        marks=_marks(part, slots),
    )


def _features(part: FleetPipeline, slots: Int64) -> list[FeatureColumns]:
    """NaN becomes null when the answer is written."""
    table, places = part.table, part.fleet.forecast_places
    observed = np.where(table["seen"][slots], table["x"][slots], np.nan)[:, places]
    skills = skill(table["square_error"][slots], table["square_last"][slots])
    columns = (observed, table["published"][slots], table["predicted"][slots], skills)
    return [
        FeatureColumns(
            feature=feature.name, unit=feature.unit,
            **dict(zip(
                ("observed", "forecast", "predicted", "skill"), (one[:, g].tolist() for one in columns), strict=True
            )),
        )
        for g, feature in enumerate(part.fleet.forecast_features)
    ]  # fmt: skip


def _marks(part: FleetPipeline, slots: Int64) -> list[MarkColumns]:
    crossings = foretold.crossings_of(part)
    if crossings is None:
        return []
    names = [feature.name for feature in part.fleet.forecast_features]
    columns, period_s = crossings.columns, part.fleet.period_ns / 1e9
    instants = columns["instants"][slots] * period_s
    return [
        MarkColumns(
            place=names.index(mark.feature), side=mark.side, value=mark.value, within=status.within,
            open=columns["open"][slots, k].astype(bool).tolist(),
            crossed=columns["crossed"][slots, k].astype(bool).tolist(),
            probability=columns["likely"][slots, k].tolist(),
            early_s=instants[:, k, 0].tolist(), median_s=instants[:, k, 1].tolist(), late_s=instants[:, k, 2].tolist(),
        )
        for k, (mark, status) in enumerate(zip(part.fleet.thresholds, foretold.threshold_statuses(part), strict=True))
    ]  # fmt: skip
