"""From no weights at all to a good forecast, with the daemon's own parts: recipe, engine and learner."""

from __future__ import annotations

import numpy as np
import pytest

from gaugecast.engine import NumpyEngine
from gaugecast.fleet import Feature, Fleet
from gaugecast.forecast.scaling import InputLayout, build_inputs, initial_stats, observe, scale, to_forecast, to_target
from gaugecast.learn import OnlineLearner, initial_model, manifest_for
from gaugecast.records import Float32, Float64

pytestmark = [pytest.mark.keras, pytest.mark.long]


def serve_and_learn(values: Float64, fleet: Fleet, seed: int) -> Float64:
    """Forecasts (T, F) made after each of the values (T, F): forecast first, learn after."""
    model = initial_model(manifest_for(fleet), seed=seed)
    recipe, one = model.manifest.recipe, np.ones(1, bool)
    layout = InputLayout.of(fleet.features, fleet.rows, recipe)
    learner, engine = OnlineLearner(model, seed=seed), NumpyEngine(model)
    state, stats = engine.initial_state(layout.row_count), initial_stats(1, values.shape[1])
    s, previous = scale(stats, recipe), np.full((1, values.shape[1]), np.nan)
    made: list[Float64] = []
    shown: tuple[Float32, Float32] | None = None
    for t in range(len(values)):
        x = values[t : t + 1]
        if shown is not None:
            learner.observe(*shown, to_target(x, previous, s, layout, recipe)[0])
            newer = learner.update()
            engine = engine if newer is None else NumpyEngine(newer)
        stats = observe(stats, previous, x, one, recipe)
        s = scale(stats, recipe)
        at = np.array([t * fleet.period_ns + fleet.period_ns], np.int64)
        inputs, before = build_inputs(stats, x, previous, at, layout, recipe)[0], state
        y, state = engine.step(inputs, state)
        made.append(to_forecast(y[None], x, s, layout, recipe)[0])
        previous, shown = x, (inputs, before)
    return np.array(made)


@pytest.mark.parametrize("period_steps", [25, 100])
def test_a_sine_is_forecast_after_a_cold_start(period_steps: int) -> None:
    """Skill over persistence of 0.9 and more in steps 1,500 to 2,000."""
    values = (20.0 + 5.0 * np.sin(2 * np.pi * np.arange(2001) / period_steps))[:, None]
    fleet = Fleet("sines", ("s/{name}",), "{name}", (Feature("height"),), 10**9)
    made = serve_and_learn(values, fleet, seed=0)
    late = slice(1500, 2000)
    error, step = (made[:-1] - values[1:])[late], (values[:-1] - values[1:])[late]
    assert 1.0 - (error**2).sum() / (step**2).sum() >= 0.9
