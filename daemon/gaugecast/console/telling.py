"""Questions about events, about what was forecast at a time of the past, and about a history that is sent along."""

from __future__ import annotations

from gaugecast.console import happened, table
from gaugecast.console.event_shapes import EventsParams, EventsView
from gaugecast.console.forecasting import ForecastBody, ForecastView
from gaugecast.console.looking_back import ThenParams, ThenView
from gaugecast.console.views import World


def events(world: World, wanted: EventsParams) -> EventsView:
    """Anomalies and crossings, open and past."""
    known = world.past.events()
    found = happened.chosen(known, wanted, world.past.fleets())
    return EventsView(
        rows=found[wanted.offset : wanted.offset + wanted.limit],
        total=len(found),
        open=happened.count(one for one in known if one.ended_s is None),
        kept=happened.count(known),
    )


def then(world: World, wanted: ThenParams) -> ThenView:
    """What was forecast at an instant of the past; intervals of the steps before stand in `series` afterwards.

    Raises:
        WrongUse: There is no way back so far.
    """
    world.past.fleet(wanted.fleet)
    again = world.looking.at(wanted)
    for rows in again.steps:
        world.told.note(rows)
    rows = again.steps[-1] if again.steps else []
    words = table.quality_words(rows[0].quality) if rows else ""
    return ThenView(rows=rows, steps=len(again.steps), differing=again.differing, words=words)


def forecast(world: World, body: ForecastBody) -> ForecastView:
    """What would be forecast behind a history that is sent along."""
    return world.forecasting.of(world.past.fleet(body.fleet), body)
