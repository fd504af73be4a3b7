"""The input recipe under hostile values, and in batches of every size: finite, and the same to the bit."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaugecast.fleet import Feature, Rows
from gaugecast.forecast.scaling import (
    InputLayout,
    build_inputs,
    initial_stats,
    observe,
    scale,
    to_forecast,
    to_target,
)
from gaugecast.model.manifest import Recipe
from gaugecast.records import Float64, Int64

RECIPE = Recipe(half_life_steps=20.0)
FEATURES = (Feature("a"), Feature("b", role="input"), Feature("c"))
HOSTILE = [0.0, -0.0, 1.0, 5e-324, 1e-300, -1e-160, 1e16, 1e150, -1e200, 1e300, -1e300, 1.7976931348623157e308, np.nan]


def everything(
    series: Float64, rows: Rows = "per_feature", received_ns: int = 1_700_000_000 * 10**9
) -> list[npt.NDArray[Any]]:
    """All that scaling makes of a series (T, N, F), as one list of arrays."""
    steps, n, features = series.shape
    layout = InputLayout.of(FEATURES, rows, RECIPE)
    stats, previous = initial_stats(n, features), np.full((n, features), np.nan)
    made: list[npt.NDArray[Any]] = []
    for t in range(steps):
        x = series[t]
        stats = observe(stats, previous, x, np.ones(n, bool), RECIPE)
        for_ns = received_ns + (t + np.arange(n, dtype=np.int64)) * 977 * 10**9 + 123_456_789
        inputs, s = build_inputs(stats, x, previous, for_ns, layout, RECIPE), scale(stats, RECIPE)
        y = inputs.mean(axis=2, keepdims=True) * np.ones(layout.output_size, np.float32)
        made += [stats, inputs, s, to_forecast(y, x, s, layout, RECIPE)]
        made.append(to_target(series[(t + 1) % steps], x, s, layout, RECIPE))
        previous = x
    return made


@settings(max_examples=300)
@given(st.lists(st.tuples(*[st.sampled_from(HOSTILE) | st.floats(allow_infinity=False)] * 3), min_size=1, max_size=30))
def test_finite_whatever_finite_values_come(series: list[tuple[float, float, float]]) -> None:
    """No finite reading makes statistics, inputs or a forecast of a value that is there infinite, or NumPy warn."""
    values = np.array(series)[:, None, :]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = everything(values)
    for t, (stats, inputs, s, forecast, target) in enumerate(zip(*[iter(made)] * 5, strict=True)):
        assert np.isfinite(stats).all()
        assert np.isfinite(inputs).all()
        assert np.isfinite(s).all()
        assert (np.abs(inputs) <= 5.0).all()
        assert (np.isfinite(forecast) | np.isnan(values[t][:, [0, 2]])).all()
        assert not np.isinf(target).any()


@pytest.mark.parametrize("rows", ["per_feature", "joint"])
def test_a_row_does_not_depend_on_its_batch(rows: Rows) -> None:
    """Batches of 1 to 257 streams, each stream somewhere else: its results are the same to the bit."""
    check_batches(rows)


@pytest.mark.parametrize("off", ["X86_V4 AVX512_ICL AVX512_SPR", "X86_V3 X86_V4 AVX512_ICL AVX512_SPR"])
def test_a_row_does_not_depend_on_its_batch_on_lesser_processors(off: str) -> None:
    """The same with NumPy's kernels for AVX-512, and then AVX2, switched off."""
    environment = os.environ | {"NPY_DISABLE_CPU_FEATURES": off}
    code = "import test_scaling_robust as t; t.check_batches('per_feature')"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=os.path.dirname(__file__), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


def check_batches(rows: Rows) -> None:
    """Hold drawn batches of many sizes against one batch of all streams."""
    rng = np.random.default_rng(3)
    series = np.cumsum(rng.normal(size=(4, 257, 3)) * 10.0 ** rng.integers(-3, 4, size=(257, 3)), axis=0)
    series[rng.random(series.shape) < 0.02] = np.nan
    for_ns = rng.integers(0, 2**61, size=257)
    layout = InputLayout.of(FEATURES, rows, RECIPE)
    whole = batch_of(series, for_ns, layout)
    for size in [*range(1, 34), 63, 64, 65, 127, 128, 129, 200, 255, 256, 257]:
        chosen = rng.permutation(257)[:size]
        for part, all_of_it in zip(batch_of(series[:, chosen], for_ns[chosen], layout), whole, strict=True):
            assert part.tobytes() == all_of_it[chosen].tobytes(), size


def batch_of(series: Float64, for_ns: Int64, layout: InputLayout) -> list[npt.NDArray[Any]]:
    """Statistics, inputs and forecasts after a series (T, N, F)."""
    n = series.shape[1]
    stats, previous = initial_stats(n, 3), np.full((n, 3), np.nan)
    for x in series:
        stats = observe(stats, previous, x, np.ones(n, bool), RECIPE)
        before, previous = previous, x
    inputs, s = build_inputs(stats, previous, before, for_ns, layout, RECIPE), scale(stats, RECIPE)
    y = np.ascontiguousarray(inputs[:, :, : layout.output_size])
    return [stats, inputs, to_forecast(y, previous, s, layout, RECIPE)]
