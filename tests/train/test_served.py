"""Windowed models, repeat decoders and level recipes in the daemon's expert: the house's promises hold there, too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gaugecast import events
from gaugecast.config.schema import Loop
from gaugecast.forecast.expert import Expert, Steps
from gaugecast.model import Layer, Manifest, Model, Recipe, seal_model
from gaugecast.pipeline import Pipeline
from gaugecast.records import Float64, Input, Order
from gaugecast.testing.models import draw_weights
from train.series import fleet_of

FORMS: dict[str, dict[str, Any]] = {
    "windowed": {"look_back": 5, "warmup_steps": 5},
    "repeat": {"decoder": (Layer(5),), "decode_steps": 4},
    "windowed repeat": {"look_back": 5, "warmup_steps": 5, "decoder": (Layer(3), Layer(5)), "decode_steps": 3},
    "stateful": {},
}
STANDARD: dict[str, Any] = {"kind": "standard", "centre": (10.0, 40.0), "spread": (3.0, 5.0), "squash": False}
RECIPES: dict[str, dict[str, Any]] = {
    "difference": {},
    "standard": STANDARD,
    "minmax": {**STANDARD, "kind": "minmax"},
    "running": {"kind": "running", "squash": False},
}
HORIZON = 6
FLEET = fleet_of("level", "heat", horizon=HORIZON)
STREAMS, ROWS = 37, 12


def make_model(form: str, recipe: str, *, seed: int = 1) -> Model:
    """Random weights in the given form."""
    chosen = Recipe(100.0, clock=False, identity=False, **RECIPES[recipe])
    manifest = Manifest(
        fleet=FLEET.name,
        features=(("level", "forecast"), ("heat", "forecast")),
        period_s=60.0,
        rows="joint",
        recipe=chosen,
        layers=(Layer(7),),
        input_size=4 if recipe == "difference" else 2,
        output_size=2,
        **FORMS[form],
    )
    return seal_model(manifest, draw_weights(manifest, seed=seed, gain=1.0, learned_initial=False))


def course(streams: int = STREAMS, rows: int = ROWS) -> Float64:
    """Readings (T, N, 2), a few absent."""
    rng = np.random.default_rng(3)
    values = rng.normal((10.0, 40.0), (3.0, 5.0), (rows, streams, 2))
    values[rng.random(values.shape) < 0.05] = np.nan
    return values


def run(expert: Expert, values: Float64, slots: list[int], *, start: int = 0) -> list[bytes]:
    """Step the chosen streams together, tick by tick; each tick's forecasts to the horizon as bytes by stream."""
    made = []
    chosen = np.array(slots, np.int64)
    last, seen = np.full((len(slots), 2), np.nan), np.zeros((len(slots), 2), bool)
    for t in range(start, len(values)):
        at = np.full(len(slots), t * FLEET.period_ns)
        rows = np.ascontiguousarray(values[t, chosen])
        fresh = np.full(len(slots), t == 0)
        none = np.zeros(len(slots), np.int64)
        x, _ = expert.step(Steps(chosen, rows, last, seen, at, at - FLEET.period_ns, none, fresh))
        before = {name: array.copy() for name, array in expert.columns}
        made.append(expert.peek(chosen, x, last, at, HORIZON))
        for name, array in expert.columns:
            np.testing.assert_array_equal(array, before[name])  # a look ahead changes nothing
        last, seen = x, ~np.isnan(rows)
    return [np.ascontiguousarray(np.stack(made)[:, i]).tobytes() for i in range(len(slots))]


@pytest.mark.parametrize("recipe", sorted(RECIPES))
@pytest.mark.parametrize("form", sorted(FORMS))
def test_a_stream_is_forecast_alone_as_in_company(form: str, recipe: str) -> None:
    """To the bit, whatever batch its rows travel in."""
    model, values = make_model(form, recipe), course()
    together = run(Expert(FLEET, model, STREAMS), values, list(range(STREAMS)))
    backwards = run(Expert(FLEET, model, STREAMS), values, list(range(STREAMS))[::-1])[::-1]
    assert together == backwards
    for slot in (0, 5, STREAMS - 1):
        assert run(Expert(FLEET, model, STREAMS), values, [slot]) == [together[slot]]


@pytest.mark.parametrize("form", sorted(FORMS))
def test_what_a_stream_remembers_goes_through_bytes(form: str) -> None:
    """A checkpoint in the midst changes no forecast: windows and forecasts ahead are columns like all others."""
    model = make_model(form, "standard")
    values = course(1)
    values = np.where(np.isnan(values), 10.0, values)
    whole, cut = Expert(FLEET, model, 1), Expert(FLEET, model, 1)
    expected = run(whole, values, [0])[0]
    run(cut, values[:7], [0])
    again = Expert(FLEET, model, 1)
    assert again.columns.unpack(0, cut.columns.pack(0))
    tail = resume(again, values, 7)
    assert expected.endswith(tail)


def resume(expert: Expert, values: Float64, start: int) -> bytes:
    """Go on with one stream after row `start` − 1, which was measured."""
    made = []
    zero, none = np.zeros(1, np.int64), np.zeros(1, np.int64)
    for t in range(start, len(values)):
        at = np.full(1, t * FLEET.period_ns)
        last = values[t - 1]
        seen = np.ones((1, 2), bool)
        x, _ = expert.step(Steps(zero, values[t], last, seen, at, at - FLEET.period_ns, none, np.zeros(1, bool)))
        made.append(expert.peek(zero, x, last, at, HORIZON)[0])
    return np.stack(made).tobytes()


def test_a_windowed_forecast_knows_nothing_older_than_its_window() -> None:
    """Other readings before the last five change nothing, with a scaling that was fitted once."""
    model, values = make_model("windowed", "standard"), course(1)
    values = np.where(np.isnan(values), 10.0, values)
    other = values.copy()
    other[:-5] += 7.0
    ends = [np.frombuffer(run(Expert(FLEET, model, 1), v, [0])[0])[-2 * HORIZON :] for v in (values, other)]
    np.testing.assert_array_equal(ends[0], ends[1])
    other[-5] += 1.0
    changed = np.frombuffer(run(Expert(FLEET, model, 1), other, [0])[0])[-2 * HORIZON :]
    assert (changed != ends[0]).any()


@pytest.mark.parametrize("form", sorted(FORMS))
def test_the_pipeline_publishes_such_a_model(form: str) -> None:
    """Put in force over a fleet, it forecasts each reading once it is warm, all horizons finite."""
    model = make_model(form, "standard")
    pipeline = Pipeline(Loop(), lambda _fleet, _version: model)
    installed = events.ModelInstalled("in_force", model.manifest.version)
    begin = [
        Order.configuring(FLEET).stamped(0),
        Order(installed, FLEET.name).stamped(0),
    ]
    pipeline.advance(begin)
    rows = np.nan_to_num(course(1, 30)[:, 0], nan=10.0)
    readings = [
        Input.reading(FLEET.name, "a", at, at, row.astype("<f8").tobytes())
        for at, row in zip(range(FLEET.period_ns, 40 * FLEET.period_ns, FLEET.period_ns), rows, strict=False)
    ]
    outputs = [o for one in readings for o in pipeline.advance([one]).outputs]
    assert len(outputs) == len(readings)
    last = outputs[-1]
    assert np.isfinite(np.frombuffer(last.forecast, "<f8")).all()
    assert model.manifest.version.encode() in last.body
