"""Questions about events, about what was forecast and known at a time of the past, and about a history sent along."""

from __future__ import annotations

from gaugecast.console import happened, table
from gaugecast.console.event_shapes import EventsParams, EventsView
from gaugecast.console.explained import ExplainParams, ExplainView
from gaugecast.console.forecasting import ForecastBody, ForecastView
from gaugecast.console.looking_back import ReplayParams, ReplayView
from gaugecast.console.views import World


def events(world: World, wanted: EventsParams) -> EventsView:
    """Anomalies and crossings, open and past."""
    known = world.past.events()
    fleets = world.past.fleets()
    found = happened.chosen(known, wanted, fleets)
    page = found[wanted.offset : wanted.offset + wanted.limit]
    return EventsView(
        rows=[happened.worded(one, fleets.get(one.fleet)) for one in page],
        total=len(found),
        open=happened.count(one for one in known if one.ended_s is None),
        kept=happened.count(known),
    )


def replay(world: World, wanted: ReplayParams) -> ReplayView:
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
    return ReplayView(
        rows=rows, steps=len(again.steps), compared=again.compared, differing=again.differing,
        elsewhere=again.elsewhere, words=words,
    )  # fmt: skip


def explain(world: World, wanted: ExplainParams) -> ExplainView:
    """What was known at an instant of the past: readings, forecasts, intervals, scores, and the reason.

    Raises:
        WrongUse: There is no way back so far, or nothing was observed until then.
    """
    world.past.fleet(wanted.fleet)
    return world.looking.why(wanted)


def forecast(world: World, body: ForecastBody) -> ForecastView:
    """What would be forecast behind a history that is sent along."""
    return world.forecasting.of(world.past.fleet(body.fleet), body)
