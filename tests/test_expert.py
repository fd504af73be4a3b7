"""One model at work on a fleet's streams: horizons that it gives at once, states that break, fleets that it fits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gaugecast.errors import ModelError
from gaugecast.fleet import Fleet
from gaugecast.model import Layer, Model
from gaugecast.pipeline.fits import check_fits, check_meaning
from gaugecast.testing import (
    SECOND,
    feed,
    fleet_of,
    installed,
    messages_of,
    model_for,
    outputs_of,
    pipeline_of,
    reading,
)

COURSE = [reading(t, 20 + np.sin(t / 2), 5 + np.cos(t)) for t in range(12)]


def paths_of(fleet: Fleet, model: Model) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The forecasts of each step, (T, H, G)."""
    outputs = outputs_of(feed(pipeline_of(fleet, models=[model]), COURSE, 5))
    return np.array([np.frombuffer(o.forecast, "<f8").reshape(fleet.horizon, 2) for o in outputs])


@pytest.mark.parametrize("rows", ["joint", "per_feature"])
def test_what_a_decoder_says_at_once_does_not_depend_on_how_far_one_looks(rows: Any) -> None:
    """Of three steps that one step of the model gives, one, two or three are asked for, or more, in closed loop."""
    model = model_for(fleet_of(rows=rows), decoder=[Layer(5)], decode_steps=3)
    far = paths_of(fleet_of(rows=rows, horizon=5), model)
    assert np.isfinite(far).all()
    for horizon in (1, 2, 3, 4):
        np.testing.assert_array_equal(paths_of(fleet_of(rows=rows, horizon=horizon), model), far[:, :horizon])
    warm = far[4:]
    assert all((warm[:, h] != warm[:, h + 1]).all() for h in range(4))  # every horizon has a word of its own


def test_a_state_that_is_no_longer_finite_begins_anew_and_is_counted() -> None:
    """Weights that blow a ReLU state up: the last value is told, finite and marked, until sound weights take over."""
    fleet = fleet_of()
    sound = model_for(fleet, layers=[Layer(4, "relu", "sigmoid")])
    huge = {name: (array + 1) * np.float32(1e30) for name, array in sound.weights.items()}
    wild = Model(replace(sound.manifest, version="bad"), huge)
    pipeline = pipeline_of(fleet, models=[sound, wild])
    told = messages_of(feed(pipeline, COURSE[:6]))
    assert pipeline.totals()["tanks"].broken_states == 6
    assert {tuple(m["quality"]) for m in told} == {("warming", "fallback")}
    for message in told:
        assert message["forecast"] == pytest.approx(message["observed"], rel=1e-8)
    after = messages_of(feed(pipeline, [installed(sound), *COURSE[6:]]))
    assert pipeline.totals()["tanks"].broken_states == 6
    assert after[-1]["quality"] == []


FLEET = fleet_of()


@pytest.mark.parametrize(
    ("fleet", "said"),
    [
        (replace(FLEET, name="boilers"), "fleet 'boilers' expected by the fleet, got 'tanks'"),
        (fleet_of("pr"), "features "),
        (fleet_of("pq", inputs="q"), "features "),
        (fleet_of(period_ns=60 * SECOND), "period_s 60.0 expected by the fleet, got 1.0"),
        (fleet_of(rows="joint"), "rows 'joint' expected by the fleet, got 'per_feature'"),
    ],
)
def test_a_model_of_something_else_is_refused_with_what_differs(fleet: Fleet, said: str) -> None:
    """Another fleet, other features or roles, another period, other rows; asked with its engine or without."""
    model = model_for(FLEET)
    for check in (check_fits, check_meaning):
        check(model, FLEET)
        with pytest.raises(ModelError, match=said):
            check(model, fleet)
