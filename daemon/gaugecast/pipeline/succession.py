"""A fleet is configured anew: what its streams go on with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaugecast.pipeline import looking
from gaugecast.pipeline.forecast_writer import ForecastWriter
from gaugecast.pipeline.home import succeed_at_home
from gaugecast.pipeline.look_ahead import meaning_of_ahead
from gaugecast.pipeline.meaning import goes_on, keyed

if TYPE_CHECKING:
    from gaugecast.pipeline.batch_result import Outcome
    from gaugecast.pipeline.fleet_pipeline import FleetPipeline


def succeed(part: FleetPipeline, old: FleetPipeline, cause: int, result: Outcome) -> None:
    """Let an empty `part` take over from the one of the same fleet as it was configured before.

    Where features, period and keys are the same, everything is taken over. Else the open ticks of `old` are
    closed already, and three things are taken over: step numbers, since they name messages for ever; the keys of
    features that are still there, since what was taken may be delivered again; and since when a stream is silent.
    """
    part.totals = old.totals
    if goes_on(old.fleet, part.fleet):
        moved = old.fleet.notices_at != part.fleet.notices_at  # what is open there must not stay so for ever
        if moved or meaning_of_ahead(old.fleet) != meaning_of_ahead(part.fleet):
            old.end_crossings(cause, result)
        if moved or part.fleet.anomaly is None:
            looking.end_all(old, cause, result)
        _take_over(part, old)
    else:
        _take_over_names(part, old)
    succeed_at_home(part, old, cause, result)
    old_writer = part.writer
    lineage, schema, mute = old_writer.lineage, old_writer.schema, old_writer.mute
    part.writer = ForecastWriter(
        part.fleet, part.table, part.totals, ages=part.ages, lineage=lineage, schema=schema, mute=mute
    )


def _take_over(part: FleetPipeline, old: FleetPipeline) -> None:
    part.table, part.in_force, part.shadow = old.table, old.in_force, old.shadow
    for expert in part.experts.values():
        expert.fleet = part.fleet
    part.look_from(old.look_ahead)
    looking.watch(part, old.anomalies)
    part.take_aside_from(old)


def _take_over_names(part: FleetPipeline, old: FleetPipeline) -> None:
    old_places = {f.name: i for i, f in enumerate(old.fleet.features)}
    same_keys = keyed(old.fleet) == keyed(part.fleet)
    places = [(i, old_places[f.name]) for i, f in enumerate(part.fleet.features) if f.name in old_places]
    for stream, slot in old.table.slots.items():
        mine = part.table.add(stream)
        for name in ("step", "at", "received", "stale"):  # silence goes on to be counted from the last reading
            part.table[name][mine] = old.table[name][slot]
        for new, before in places if same_keys else []:
            part.table["key"][mine, new] = old.table["key"][slot, before]
