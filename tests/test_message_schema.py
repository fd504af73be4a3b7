"""Messages are what their schemas say, and the schemas are made from the types that write them."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import msgspec
import pytest

from gaugecast import events
from gaugecast.fleet import Fleet
from gaugecast.forecast.message import Forecast
from gaugecast.pipeline import state
from gaugecast.records import Input, Order
from gaugecast.streams.snapshot import Slice
from gaugecast.testing import T0, feed, fleet_of, messages_of, model_for, pipeline_of, reading, timer
from gaugecast.watching import AnomalySettings
from support.schemas import PLACES, schema_text

SCHEMA = json.loads(PLACES[Forecast].read_text())
KEYS = list(SCHEMA["properties"])
LISTED = {"horizons": (1, 3), "intervals": (0.8,)}
WATCHED = {"anomaly": AnomalySettings(healthy=50, settle=5), "stale_after_ns": 10**9}
SILENT = {"stale_after_ns": 10**9}


@pytest.mark.parametrize("kind", PLACES, ids=lambda kind: kind.__name__)
def test_the_schema_is_that_of_the_type(kind: type[msgspec.Struct]) -> None:
    """To the byte; `support.schemas` says how the file is made anew."""
    assert PLACES[kind].read_text() == schema_text(kind)


@pytest.mark.parametrize("settings", [{}, {"horizon": 4}, LISTED, SILENT, {**LISTED, **SILENT}, WATCHED])
def test_every_message_is_valid_and_its_keys_stand_in_the_order_of_the_schema(settings: dict[str, Any]) -> None:
    """Also that of a silent stream, and one before which nothing was known."""
    fleet = fleet_of("pq", **settings)
    rows = [reading(0, 1.0, float("nan")), *(reading(i, 1.0 + i % 3, 2.0) for i in range(1, 60)), timer(90)]
    made = messages_of(feed(pipeline_of(fleet, models=[model_for(fleet)]), rows))
    assert len(made) >= 60
    validator = jsonschema.Draft202012Validator(SCHEMA)
    for message in made:
        validator.validate(message)
        assert list(message) == [key for key in KEYS if key in message]
        assert message["schema"] == 2
    assert ("stale" in made[-1]["quality"]) == ("stale_after_ns" in settings)


def test_the_schema_is_open_to_what_comes_later() -> None:
    """Keys that it does not know, and a score that nobody made."""
    (message,) = messages_of(feed(pipeline_of(fleet_of("p")), [reading(0, 1.0)]))
    jsonschema.validate({**message, "score": None, "unheard": {"of": 1}}, SCHEMA)
    assert "score" in KEYS
    assert "score" not in SCHEMA["required"]


def ages(fleet: Fleet, rows: list[Input]) -> list[tuple[int, int, float]]:
    """What the messages say of the states' way."""
    made = messages_of(feed(pipeline_of(fleet), rows))
    return [(m["steps_since_reset"], m["bridged"], m["state_age"]) for m in made]


def test_a_state_tells_its_age_and_what_was_bridged() -> None:
    """A gap within `bridge` counts as bridged ticks; a longer one, and a reset, begin anew."""
    reset = Order(events.StreamsReset(), "tanks").stamped(T0)
    rows = [reading(at, 1.0) for at in (0, 1, 4, 5, 60)]
    assert ages(fleet_of("p", bridge=3), [*rows, reset, reading(61, 1.0), reading(62.25, 1.0)]) == [
        (1, 0, 0.0), (2, 0, 1.0), (3, 2, 4.0), (4, 2, 5.0), (1, 0, 0.0), (1, 0, 0.0), (2, 0, 1.25),
    ]  # fmt: skip


def test_messages_have_the_shape_that_the_ledgers_events_say() -> None:
    """The first until an upgrade says another, for the same lineage; never back."""
    fleet = fleet_of("p", horizon=2)
    pipeline = pipeline_of(fleet)
    pipeline.schema = 1
    begun = [Order(events.LineageBegun("0a0b0c0d", schema=n)).stamped(T0) for n in (1, 2, 1)]
    rows: list[Input] = []
    for at, event in enumerate(begun):
        rows += [event, reading(at, 1.0)]
    first, second, third = messages_of(feed(pipeline, rows, len(rows)))
    assert list(first)[:3] == ["fleet", "stream", "lineage"]
    assert (len(first["horizons"]), first["horizons"][0]["p"], "state_age" in first) == (1, 1.0, False)
    assert second["schema"] == third["schema"] == 2


def test_a_checkpoint_from_before_goes_on_with_what_it_meant() -> None:
    """No word of the shape means the first; a stream's age counts from the upgrade on."""
    fleet = fleet_of("p")
    pipeline = pipeline_of(fleet)
    feed(pipeline, [reading(i, 1.0) for i in range(5)])
    header, slices = state.begin_snapshot(pipeline)
    slices += state.take_slices(pipeline, 1 << 30)
    del header["schema"]
    again = pipeline_of()
    state.restore(again, header, [Slice(*one) for one in slices if not one.name.startswith("tanks/ages/")])
    rows = [reading(5, 1.0), Order(events.LineageBegun("0a0b0c0d", schema=2)).stamped(T0), reading(6, 1.0)]
    old, new = messages_of(feed(again, rows))
    assert ("schema" in old, new["schema"], new["step"]) == (False, 2, 7)
    assert (new["steps_since_reset"], new["state_age"]) == (1, 0.0)
