"""Inputs with the clock set off are those of another hour, and nothing else about them has moved."""

from __future__ import annotations

import numpy as np
import pytest

from gaugecast.fleet import Feature, Role, Rows
from gaugecast.forecast.scaling import InputLayout, build_inputs, initial_stats, observe
from gaugecast.learn.fit.clock_shift import shift_clock
from gaugecast.model import Recipe
from gaugecast.records import Float32
from gaugecast.testing import random_model

HOUR_NS = 3600 * 10**9
NOW_NS = 1_767_225_600 * 10**9 + 7 * HOUR_NS
FEATURES: tuple[tuple[str, Role], ...] = (("inflow", "forecast"), ("weather", "input"), ("level", "forecast"))


@pytest.mark.parametrize("rows", ["per_feature", "joint"])
@pytest.mark.parametrize("level", [True, False], ids=["level", "no-level"])
def test_a_shifted_clock_is_that_of_another_instant(rows: Rows, level: bool) -> None:
    """Hours later or earlier, also across midnight and the week's end: as the recipe would have built them."""
    recipe = Recipe(half_life_steps=100.0, level=level)
    model = random_model(features=FEATURES, rows=rows, recipe=recipe)
    layout = InputLayout.of([Feature(name, role=role) for name, role in FEATURES], rows, recipe)
    x, before = np.array([[1.0, 2.0, 3.0]]), np.array([[0.5, 2.5, 1.0]])
    stats = observe(initial_stats(1, 3), before, x, np.array([True]), recipe)
    hours = np.array([-9.0, 0.0, 5.5, 150.0])

    def fed(shift_h: float) -> Float32:
        rows_of_one: Float32 = build_inputs(
            stats, x, before, np.array([NOW_NS + round(shift_h * HOUR_NS)]), layout, recipe
        )[0]
        return rows_of_one

    for row in range(layout.row_count):
        same_row = np.repeat(fed(0.0)[None, row : row + 1], len(hours), axis=1)  # (T = 1, B, I)
        expected = np.stack([fed(shift)[row] for shift in hours])
        np.testing.assert_allclose(shift_clock(same_row, hours, model.manifest)[0], expected, atol=1e-6)


def test_without_clock_inputs_nothing_is_set_off() -> None:
    """The columns that a clock would have are the identity's then."""
    model = random_model(recipe=Recipe(half_life_steps=100.0, clock=False))
    x = np.random.default_rng(0).normal(size=(3, 2, model.manifest.input_size)).astype(np.float32)
    assert shift_clock(x, np.array([3.0, 4.0]), model.manifest) is x
