"""`advance` against the loop that anybody would write: Keras LSTM(stateful=True), batch size 1, reading by reading."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gaugecast.fleet import Fleet
from gaugecast.forecast.scaling import InputLayout, build_inputs, initial_stats, observe, scale, to_forecast
from gaugecast.model import Layer, Model
from gaugecast.records import Float64, Input
from gaugecast.testing import SECOND, T0, feed, fleet_of, messages_of, model_for, outputs_of, pipeline_of, reading
from test_engine_keras import build_keras

pytestmark = pytest.mark.keras
STEPS = 300
WARMUP = 2
TOLERANCE = 1e-5  # in running scales of a feature's differences


class LiteralLoop:
    """One stream, one joint row: what the design says, word by word, with Keras doing the network."""

    def __init__(self, fleet: Fleet, model: Model) -> None:
        tf = pytest.importorskip("tensorflow")
        self.fleet, self.recipe = fleet, model.manifest.recipe
        self.layout = InputLayout.of(fleet.features, fleet.rows, self.recipe)
        self.net = build_keras(model)
        self.cells = [layer for layer in self.net.layers if hasattr(layer, "reset_states")]
        signature = [tf.TensorSpec((1, 1, model.manifest.input_size), tf.float32)]
        self.call = tf.function(lambda row: self.net(row, training=False), input_signature=signature)
        self.stats = initial_stats(1, len(fleet.features))
        self.last: Float64 | None = None
        self.tick = 0
        self.next: Float64 | None = None
        self.scale = np.zeros((1, len(fleet.features)))

    def take(self, tick: int, values: list[float]) -> list[Float64]:
        """One reading; forecasts for 1…H."""
        x = np.array([values])
        previous = np.full_like(x, np.nan) if self.last is None else self.last
        gap = 0 if self.last is None else tick - self.tick - 1
        measured = previous
        if gap > self.fleet.bridge:
            for cell in self.cells:
                cell.reset_states()
            previous, gap, consecutive = np.full_like(x, np.nan), 0, False
        else:
            consecutive = gap == 0 and self.last is not None
        for missing in range(gap):
            assert self.next is not None
            previous, last = self.next, previous
            self.next = self._step(previous, last, self.tick + 1 + missing)
        self.stats = observe(self.stats, measured, x, np.array([consecutive]), self.recipe)
        self.scale = scale(self.stats, self.recipe)
        self.next = self._step(x, previous, tick)
        self.last, self.tick = x, tick
        return self._look_ahead(x, previous, tick)

    def _look_ahead(self, x: Float64, previous: Float64, tick: int) -> list[Float64]:
        """Feed the network its own output, and put its states back."""
        assert self.next is not None
        kept = [[state.numpy() for state in cell.states] for cell in self.cells]
        ahead, current, last = [self.next], x, previous
        for h in range(1, self.fleet.horizon):
            last, current = current, ahead[-1]
            ahead.append(self._step(current, last, tick + h))
        for cell, states in zip(self.cells, kept, strict=True):
            for variable, state in zip(cell.states, states, strict=True):
                variable.assign(state)
        return ahead

    def _step(self, x: Float64, previous: Float64, tick: int) -> Float64:
        at = np.array([T0 + (tick + 1) * SECOND])
        inputs = build_inputs(self.stats, x, previous, at, self.layout, self.recipe)
        y = self.call(inputs).numpy()
        return to_forecast(y, x, scale(self.stats, self.recipe), self.layout, self.recipe)


def wave(seed: int, steps: int) -> tuple[list[Input], list[tuple[int, list[float]]]]:
    """Readings with noise, short gaps that are bridged and long ones that are not."""
    rng = np.random.default_rng(seed)
    tick, plain = 0, []
    for i in range(steps):
        tick += 1 if rng.random() < 0.93 else int(rng.integers(2, 8))
        plain.append((tick, [20 + 2 * np.sin(i / 9) + 0.1 * rng.standard_normal(), 5 + rng.standard_normal()]))
    return [reading(tick, *values) for tick, values in plain], plain


@pytest.mark.parametrize(
    "architecture",
    [
        pytest.param({"units": (16,)}, marks=pytest.mark.long),
        {"units": (9, 5), "layer_norm": True},
        {"layers": [Layer(16, cell="gru")], "engine": "tensorflow"},
        {
            "layers": [Layer(9, cell="gru", reset_after=False), Layer(5), Layer(4, cell="simple_rnn")],
            "engine": "tensorflow",
        },
    ],
    ids=["one", "stack", "gru", "mixture"],
)
def test_advance_equals_a_literal_stateful_keras_loop(architecture: dict[str, Any]) -> None:
    """300 readings, gaps bridged and gaps that reset, four horizons in closed loop after each."""
    fleet = fleet_of("pq", rows="joint", bridge=3, horizon=4)
    model = model_for(fleet, warmup_steps=WARMUP, **architecture)
    inputs, plain = wave(7, STEPS)
    pipeline = pipeline_of(fleet, models=[model])
    made = feed(pipeline, inputs, 13)
    literal = LiteralLoop(fleet, model)
    compared = 0
    for message, output, (tick, values) in zip(messages_of(made), outputs_of(made), plain, strict=True):
        expected = np.concatenate(literal.take(tick, values))
        if message["model"] is None:
            continue
        ours = np.frombuffer(output.forecast, "<f8").reshape(expected.shape)
        assert np.abs((ours - expected) / literal.scale).max() < TOLERANCE, (message["step"], ours, expected)
        compared += 1
    totals = pipeline.parts["tanks"].totals
    assert compared > STEPS // 2
    assert totals.bridged_steps > 5
    assert totals.resets > 2
