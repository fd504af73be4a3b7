"""The shapes of messages: what stands in each, that they lose nothing, and that a batch is what the ledger says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaugecast.fleet import Fleet
from gaugecast.outputs.influx import escaped
from gaugecast.payloads.formats.influx import parse_influx
from gaugecast.pipeline import Pipeline
from gaugecast.records import Input, Output
from gaugecast.shapes import Shape, flat_names
from gaugecast.testing import SECOND, T0, feed, fleet_of, outputs_of, pipeline_of, reading, timer
from gaugecast.watching import AnomalySettings

JSON, FLAT = Shape("json", "j/{fleet}/{stream}"), Shape("flat", "f/{fleet}/{stream}", retain=True, qos=0)
NUMBER = Shape("number", "n/{fleet}/{stream}/{feature}/{horizon}")
INFLUX = Shape("influx", "i/{fleet}/{stream}")
ALL = (JSON, FLAT, NUMBER, INFLUX)
BATCHES = (Shape("json", "bj", batch=True), Shape("flat", "bf", batch=True), Shape("influx", "bi", batch=True))


def said_as(*shapes: Shape, **keys: Any) -> Fleet:
    """Two features, two horizons, two levels."""
    return fleet_of("pq", shapes=shapes, **{"horizons": (1, 60), "intervals": (0.8, 0.95), **keys})


def saw(count: int, *, begin: int = 0, streams: Sequence[str] = "ab") -> list[Input]:
    """A wave and its turn for each stream; now and then one feature is absent."""
    return [
        reading(i, 3 + math.sin(i / 3), math.nan if i % 7 == 5 else -2 + math.cos(i / 3), stream=stream)
        for i in range(begin, begin + count)
        for stream in streams
    ]


def by_topic(outputs: Sequence[Output], prefix: str) -> list[Output]:
    """Those whose topics begin so."""
    return [one for one in outputs if one.topic.startswith(prefix)]


def decoded(outputs: Sequence[Output]) -> list[dict[str, Any]]:
    """Their JSON."""
    return [msgspec.json.decode(one.body) for one in outputs]


def test_a_fleet_without_shapes_says_json_alone_and_keeps_its_digest() -> None:
    """What was configured before goes on as it was."""
    fleet = fleet_of()
    assert "shapes" not in fleet.to_json()
    assert [shape.format for shape in fleet.all_shapes] == ["json"]
    assert Fleet.from_json(said_as(*ALL).to_json()) == said_as(*ALL)


def test_several_shapes_of_one_step_share_its_number_and_one_has_the_forecast() -> None:
    """(stream, step, topic) is a name; the ledger keeps the numbers once, with the first."""
    outputs = outputs_of(feed(pipeline_of(said_as(*ALL)), saw(80)))
    names = [(one.stream, one.step, one.topic) for one in outputs]
    assert len(set(names)) == len(names)
    kept = [(one.stream, one.step) for one in outputs if one.forecast]
    assert sorted(kept) == sorted({(one.stream, one.step) for one in outputs})
    assert {one.topic[0] for one in outputs if one.forecast} == {"j"}
    assert {(one.topic[0], one.retain, one.qos) for one in outputs} == {
        ("j", False, 1),
        ("f", True, 0),
        ("n", False, 1),
        ("i", False, 1),
    }


def test_json_is_the_same_whether_it_is_said_alone_or_beside_others() -> None:
    """To the byte."""
    alone = outputs_of(feed(pipeline_of(said_as()), saw(70)))
    beside = by_topic(outputs_of(feed(pipeline_of(said_as(*ALL)), saw(70))), "j/")
    assert [one.body for one in beside] == [one.body for one in alone]
    assert [one.forecast for one in beside] == [one.forecast for one in alone]


def test_flat_has_numbers_alone_under_names_that_are_known() -> None:
    """What is not known is left out; in the order of `flat_names`."""
    outputs = outputs_of(feed(pipeline_of(said_as(JSON, FLAT)), saw(160)))
    names = list(flat_names(["p", "q"], ["1s", "1m"], [0.8, 0.95]))
    for flat, full in zip(decoded(by_topic(outputs, "f/")), decoded(by_topic(outputs, "j/")), strict=True):
        assert list(flat) == [name for name in names if name in flat]
        assert all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in flat.values())
        assert (flat["time"], flat["step"]) == (full["at"], full["step"])
        for feature in "pq":
            assert flat.get(feature) == full["observed"][feature]
            assert flat.get(f"{feature}_forecast") == full["forecast"][feature]
            assert flat.get(f"{feature}_residual") == full["residual"][feature]
    assert set(decoded(by_topic(outputs, "f/"))[-1]) == set(names)


def test_flat_and_line_protocol_have_the_scores_of_json() -> None:
    """Where anomalies are looked for, once they are judged; a number alone has none."""
    fleet = said_as(*ALL, anomaly=AnomalySettings(healthy=40, settle=5))
    rows = [reading(i, math.sin(i / 3) + (i * 7919 % 13) / 50, math.cos(i / 3), stream="a") for i in range(90)]
    outputs = outputs_of(feed(pipeline_of(fleet), rows))
    for flat, full in zip(decoded(by_topic(outputs, "f/")), decoded(by_topic(outputs, "j/")), strict=True):
        judged = full["score"] or {"features": {}}
        assert {name: flat[f"{name}_score"] for name in "pq" if f"{name}_score" in flat} == judged["features"]
    last = decoded(by_topic(outputs, "f/"))[-1]
    names = flat_names(["p", "q"], ["1s", "1m"], [0.8, 0.95], scored=True)
    assert list(last) == [name for name in names if name in last]
    assert f"p_score={last['p_score']:g}" in by_topic(outputs, "i/")[-1].body.decode()


def test_numbers_are_the_forecasts_one_a_topic() -> None:
    """By feature and horizon, as text that is a JSON number."""
    outputs = outputs_of(feed(pipeline_of(said_as(FLAT, NUMBER)), saw(10, streams=["x/y"])))
    last = decoded(by_topic(outputs, "f/"))[-1]
    told = {one.topic: msgspec.json.decode(one.body) for one in by_topic(outputs, "n/")}
    assert told == {
        "n/tanks/x/y/p/1s": last["p_forecast"],
        "n/tanks/x/y/p/1m": last["p_forecast_1m"],
        "n/tanks/x/y/q/1s": last["q_forecast"],
        "n/tanks/x/y/q/1m": last["q_forecast_1m"],
    }


def test_line_protocol_dates_forecasts_by_what_they_are_for() -> None:
    """Read back by the parser that we have for what sensors send."""
    outputs = outputs_of(feed(pipeline_of(said_as(FLAT, INFLUX)), saw(120, streams=["a b,c=d"])))
    flat = decoded(by_topic(outputs, "f/"))[-1]
    lines = parse_influx(by_topic(outputs, "i/")[-1].body.decode())
    now, near, far = lines
    at = round(flat["time"] * SECOND)
    assert [int(line["time"]) for line in lines] == [at, at + SECOND, at + 60 * SECOND]
    assert {line["tags"]["stream"] for line in lines} == {"a b,c=d"}
    assert [line["tags"].get("horizon") for line in lines] == [None, "1s", "1m"]
    assert {key: float(value) for key, value in now["fields"].items()} == {
        key: flat[key] for key in ("p", "p_residual", "q", "q_residual", "step")
    }
    assert float(near["fields"]["p_high_95"]) == flat["p_high_95"]
    assert float(far["fields"]["q_forecast"]) == flat["q_forecast_1m"]


@given(st.text(st.characters(min_codepoint=32, exclude_categories=("Cs", "Cc")), min_size=1))
def test_any_tag_survives_line_protocol_but_for_a_backslash_at_its_end(text: str) -> None:
    """There stands an underscore, since it would escape what follows."""
    (line,) = parse_influx(f"m,stream={escaped(text)} x=1.0 5")
    whole = text.rstrip("\\")
    assert line["tags"]["stream"] == whole + "_" * (len(text) - len(whole))


def test_a_silent_stream_says_its_forecast_once_more_in_every_shape() -> None:
    """Without what was observed, for nothing was."""
    pipeline = pipeline_of(said_as(*ALL, stale_after_ns=5 * SECOND))
    feed(pipeline, saw(9, streams="a"))
    outputs = outputs_of([pipeline.advance([timer(60)])])
    (flat,) = decoded(by_topic(outputs, "f/"))
    assert set(flat) == {"time", "step", "p_forecast", "p_forecast_1m", "q_forecast", "q_forecast_1m"}
    assert len(by_topic(outputs, "n/")) == 4


# -- batches


def cut(first_seq: int) -> Input:
    """The end of a batch."""
    return Input.cut(T0, first_seq=first_seq)


def test_a_batch_has_all_that_was_said_since_the_last_one() -> None:
    """In the order of the inputs; named by fleet, lineage and first input."""
    pipeline = pipeline_of(said_as(*BATCHES, INFLUX))
    outputs = outputs_of([pipeline.advance([*saw(5), cut(40)])])
    (full, flat, lines) = (one for one in outputs if not one.stream)
    assert [(one.step, one.cause, one.forecast) for one in (full, flat, lines)] == [(40, 10, b"")] * 3
    told = msgspec.json.decode(full.body)
    assert (told["fleet"], told["batch"]) == ("tanks", 40)
    assert [(one["stream"], one["step"]) for one in told["forecasts"]] == [(s, i) for i in range(1, 6) for s in "ab"]
    rows = msgspec.json.decode(flat.body)["forecasts"]
    assert [(row["stream"], row["p"]) for row in rows] == [
        (one["stream"], one["observed"]["p"]) for one in told["forecasts"]
    ]
    assert lines.body.splitlines() == [line for one in outputs if one.stream for line in one.body.splitlines()]


def test_nothing_said_is_no_message() -> None:
    """A batch of copies alone."""
    pipeline = pipeline_of(said_as(*BATCHES))
    assert outputs_of([pipeline.advance([cut(1)])]) == []


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.data())
def test_batches_are_those_that_the_inputs_say_however_they_are_advanced(sizes: list[int], data: st.DataObject) -> None:
    """A replay takes the same inputs in other portions: the same bytes, in the same order."""
    inputs: list[Input] = []
    for size in sizes:
        inputs += [*saw(size, begin=len(inputs)), cut(len(inputs) + 1)]
    whole = outputs_of([pipeline_of(*two_fleets()).advance(inputs)])
    portion = data.draw(st.integers(1, 17))
    assert outputs_of(feed(pipeline_of(*two_fleets()), inputs, portion)) == [
        one._replace(cause=one.cause % portion) for one in whole
    ]


def two_fleets() -> list[Fleet]:
    """One of which hears nothing."""
    fleet = said_as(*BATCHES, FLAT, horizons=(), intervals=(), horizon=2)
    return [fleet, replace(fleet, name="pumps", subscribe=("pump/{tank}",))]


def test_what_waits_goes_with_the_next_cut() -> None:
    """What came without a cut goes with the next one: a message that is split over two calls of `advance`."""
    pipeline = pipeline_of(said_as(BATCHES[0]))
    first, second = pipeline.advance(saw(3)), pipeline.advance([*saw(2, begin=3), cut(9)])
    assert list(first.outputs) == []
    (told,) = decoded(list(second.outputs))
    assert len(told["forecasts"]) == 10


@pytest.mark.parametrize("shapes", [ALL, BATCHES])
def test_rows_do_not_depend_on_what_travels_with_them(shapes: tuple[Shape, ...]) -> None:
    """Each stream alone gives the same bytes as all together."""

    def bodies(streams: str) -> dict[str, list[bytes]]:
        pipeline: Pipeline = pipeline_of(said_as(*shapes))
        found: dict[str, list[bytes]] = {}
        for output in outputs_of(feed(pipeline, [*saw(60, streams=streams), cut(1)], 1000)):
            if output.stream:
                found.setdefault(output.stream, []).append(output.body)
            elif output.topic == "bf":
                for row in msgspec.json.decode(output.body)["forecasts"]:
                    found.setdefault(row["stream"], []).append(msgspec.json.encode(row))
        return found

    together = bodies("abc")
    for stream in "abc":
        assert bodies(stream)[stream] == together[stream]


def test_numbers_that_are_not_known_make_no_message() -> None:
    """Of a feature that has never come."""
    pipeline = pipeline_of(said_as(NUMBER))
    outputs = outputs_of(feed(pipeline, [reading(i, 1.0, np.nan) for i in range(15)]))
    assert {one.topic for one in outputs} == {"n/tanks/a/p/1s", "n/tanks/a/p/1m"}
    assert all(one.forecast for one in outputs if one.topic.endswith("1s"))
