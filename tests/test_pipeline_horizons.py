"""Listed horizons as part of the pipeline: in messages, state, checkpoint and replay."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from gaugecast import events
from gaugecast.fleet import Fleet
from gaugecast.forecast import body
from gaugecast.pipeline import Pipeline, state
from gaugecast.records import Input, Order
from gaugecast.streams.snapshot import Slice
from gaugecast.testing import (
    T0,
    bodies_of,
    feed,
    fleet_of,
    installed,
    messages_of,
    model_for,
    pipeline_of,
    reading,
    timer,
)
from support.state_bytes import differences

FLEET = fleet_of("pq", horizons=(1, 3, 40), intervals=(0.8, 0.95))
MODEL = model_for(FLEET)
SCHEMA = json.loads(Path(body.__file__).with_name("forecast.schema.json").read_text())


def new_pipeline(fleet: Fleet = FLEET) -> Pipeline:
    """With a model in force."""
    return pipeline_of(fleet, models=[MODEL], max_streams=5)


def life_of(seed: int, length: int = 300) -> list[Input]:
    """Readings of three streams with gaps, resets and a model that goes and comes back."""
    rng = random.Random(seed)
    ticks = dict.fromkeys("abc", 0)
    made: list[Input] = []
    for i in range(length):
        stream = rng.choice("abc")
        ticks[stream] += rng.choice((1, 1, 1, 1, 2, 60))
        made.append(reading(ticks[stream], 20 + np.sin(ticks[stream] / 3), rng.random(), stream=stream))
        if i % 97 == 50:
            made.append(Order(events.StreamsReset(), "tanks", rng.choice(("", "a"))).stamped(T0))
        if i == 150:
            made.append(Order(events.ModelInstalled("in_force", ""), "tanks").stamped(T0))
        if i == 200:
            made.append(installed(MODEL))
    return made


def series(ticks: int, *, begin: int = 0) -> list[Input]:
    """A wave and a walk."""
    walk = np.random.default_rng(1).normal(size=1000).cumsum()
    return [reading(i, 20 + np.sin(i / 5), walk[i]) for i in range(begin, begin + ticks)]


def test_how_inputs_are_cut_into_batches_changes_nothing() -> None:
    """Bodies and every byte of state are those of one call for all."""
    inputs = life_of(1)
    whole, pieces = new_pipeline(), new_pipeline()
    assert bodies_of(feed(pieces, inputs, 7)) == bodies_of(feed(whole, inputs, len(inputs)))
    assert differences(pieces, whole) == []


@pytest.mark.no_cover
def test_a_stream_alone_gets_the_messages_that_it_gets_in_company() -> None:
    """Byte for byte: a replay of one stream is a replay of all."""
    inputs = life_of(2)
    crowd = bodies_of(feed(new_pipeline(), inputs, 11))
    for stream in "abc":
        own = [one for one in inputs if one.stream in (stream, "")]
        assert bodies_of(feed(new_pipeline(), own))[stream] == crowd[stream]


@pytest.mark.no_cover
def test_a_checkpoint_leads_to_the_same_end() -> None:
    """Taken in the middle of a life, restored, and fed the rest."""
    inputs = life_of(3)
    pipeline = new_pipeline()
    feed(pipeline, inputs[:140])
    header, slices = state.begin_snapshot(pipeline)
    while pipeline.snapshot is not None:
        slices += list(state.take_slices(pipeline, 3000))
    restored = pipeline_of(models=[MODEL], max_streams=5)
    state.restore(restored, header, [Slice(name, start, rows.copy()) for name, start, rows in slices])
    assert bodies_of(feed(restored, inputs[140:])) == bodies_of(feed(pipeline, inputs[140:]))
    assert differences(restored, pipeline) == []


def test_a_parked_stream_comes_back_as_it_was() -> None:
    """With all that its horizons remember; where other horizons are listed by then, those begin anew."""
    fleet = replace(FLEET, park_after_ns=60_000_000_000)
    kept, parked = new_pipeline(fleet), new_pipeline(fleet)
    feed(kept, series(100))
    feed(parked, series(100))
    (aside,) = parked.advance([timer(200)]).parked
    back = Order(events.StreamUnparked(), "tanks", "a", state=aside.state).stamped(T0)
    later = series(10, begin=100)
    assert bodies_of(feed(parked, [back, *later])) == bodies_of(feed(kept, later))
    other = new_pipeline(replace(fleet, horizons=(1, 3, 39)))
    assert messages_of(feed(other, [back, *later]))[0]["horizons"][0]["intervals"] == {"p": None, "q": None}


def checkpoint_of(pipeline: Pipeline) -> tuple[dict[str, object], list[Slice]]:
    """All of its state."""
    header, slices = state.begin_snapshot(pipeline)
    slices += state.take_slices(pipeline, 1 << 30)
    return header, [Slice(name, start, rows.copy()) for name, start, rows in slices]


def test_streams_of_a_checkpoint_without_horizons_go_on_and_experts_begin_beside_them() -> None:
    """As the version before left it: the network's state, steps and scores stay; horizons warm up from nothing."""
    plain = replace(FLEET, horizons=(), intervals=())
    before = new_pipeline(plain)
    feed(before, series(100))
    restored = pipeline_of(models=[MODEL], max_streams=5)
    state.restore(restored, *checkpoint_of(before))
    restored.advance([Order.configuring(FLEET).stamped(T0)])
    ours, theirs = (messages_of(feed(one, series(40, begin=100))) for one in (restored, before))
    assert [m["step"] for m in ours] == list(range(101, 141))
    assert [m["experts"]["network"] for m in ours] == [m["forecast"] for m in theirs]
    assert ours[0]["horizons"][0]["intervals"] == {"p": None, "q": None}
    assert ours[-1]["horizons"][0]["intervals"]["p"] is not None


@pytest.mark.parametrize("change", ["shape", "name", "absent"])
def test_experts_that_another_version_laid_out_otherwise_begin_anew_and_streams_go_on(change: str) -> None:
    """What was learned of horizons is of no use then; nothing else is lost for it."""
    before = new_pipeline()
    feed(before, series(100))
    header, slices = checkpoint_of(before)
    other = [
        Slice(name.replace("mix", "blend"), start, rows)
        if change == "name" or not name.endswith("horizons/mix")
        else Slice(name, start, rows[:, :, :-1])
        for name, start, rows in slices
        if change != "absent" or not name.endswith("horizons/mix")
    ]
    restored = pipeline_of(models=[MODEL], max_streams=5)
    state.restore(restored, header, other)
    (message,) = messages_of(feed(restored, series(1, begin=100)))
    assert (message["step"], message["steps_since_reset"]) == (101, 101)
    assert message["horizons"][0]["intervals"] == {"p": None, "q": None}
    assert np.isfinite(message["forecast"]["p"])


def test_a_message_says_what_is_ahead() -> None:
    """By span: when, how much, how sure, who leads; and what each expert says of the next step."""
    message = messages_of(feed(new_pipeline(), series(400)))[-1]
    jsonschema.validate(message, SCHEMA)
    assert [one["in"] for one in message["horizons"]] == ["1s", "3s", "40s"]
    assert [one["for"] - message["at"] for one in message["horizons"]] == [1.0, 3.0, 40.0]
    assert message["horizons"][0]["forecast"] == message["forecast"]
    assert list(message["experts"]) == ["persistence", "linear", "stacked", "network"]
    for one in message["horizons"]:
        for feature in "pq":
            (low, high), (lower, higher) = one["intervals"][feature]["0.8"], one["intervals"][feature]["0.95"]
            assert lower <= low <= one["forecast"][feature] <= high <= higher


def test_without_a_model_linear_experts_lead_when_they_have_proven_themselves() -> None:
    """Persistence first, and said so; a wave is soon forecast better."""
    told = messages_of(feed(pipeline_of(FLEET), series(300)))
    assert told[5]["quality"] == ["fallback"]
    assert told[5]["horizons"][0]["intervals"] == {"p": None, "q": None}
    assert told[-1]["horizons"][0]["leads"]["p"] == "linear"
    assert (told[-1]["quality"], told[-1]["model"], told[-1]["experts"]["network"]["p"]) == ([], None, None)


@pytest.mark.parametrize("settings", [{"horizon": 3}, {}])
def test_a_fleet_that_lists_no_horizons_says_nothing_of_experts(settings: dict[str, Any]) -> None:
    """Neither intervals nor who leads, and a configuration event with the bytes of before."""
    fleet = fleet_of("pq", **settings)
    message = messages_of(feed(pipeline_of(fleet), series(5)))[-1]
    jsonschema.validate(message, SCHEMA)
    assert "experts" not in message
    assert [list(one) for one in message["horizons"]] == [["in", "for", "forecast"]] * settings.get("horizon", 0)
    assert "horizons" not in fleet.to_json()
    assert Fleet.from_json(fleet.to_json()) == fleet


def test_horizons_may_change_while_streams_go_on() -> None:
    """The steps go on; what forecasts the new horizons begins anew, and nothing else does."""
    pipeline = new_pipeline()
    feed(pipeline, series(50))
    wider = replace(FLEET, horizons=(1, 5))
    pipeline.advance([Order.configuring(wider).stamped(T0)])
    message = messages_of(feed(pipeline, series(3, begin=50)))[-1]
    assert (message["step"], [one["in"] for one in message["horizons"]]) == (53, ["1s", "5s"])
    assert Fleet.from_json(wider.to_json()) == wider
