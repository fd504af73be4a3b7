"""What every engine must keep: purity, rows that do not know each other, steps that do not know how they are cut."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaugecast.engine import Engine, NumpyEngine
from gaugecast.errors import Defect
from gaugecast.model import Layer, Model
from gaugecast.model.layers import Cell
from gaugecast.records import Float32
from gaugecast.testing import random_model
from support.engine_probe import ARCHITECTURES, FURTHER, differing_batches, draw_rows, same_bits
from support.plain_products import needs_kernel, run_mutant


def make_on_tensorflow(model: Model) -> Engine:
    """The engine as it is made for a daemon; imported here, so that the other engine's tests need no TensorFlow."""
    from gaugecast.engine.tensorflow import make_tensorflow_engine

    return make_tensorflow_engine(model)


ENGINES: dict[str, Callable[[Model], Engine]] = {"numpy": NumpyEngine, "tensorflow": make_on_tensorflow}
MODELS = ARCHITECTURES | FURTHER
KERNELS = ("Haswell", "Zen", "SkylakeX", "Nehalem")
AVX512 = "avx512f"


KERAS = {"numpy": (), "tensorflow": (pytest.mark.keras,)}
CASES = [("numpy", name) for name in ARCHITECTURES] + [("tensorflow", name) for name in MODELS]

every_engine = pytest.mark.parametrize("made", [pytest.param(name, marks=KERAS[name]) for name in ENGINES])


@functools.cache
def engine_of(made: str, model: str) -> Engine:
    """Made once: a contract that held for the first caller only would be none."""
    return ENGINES[made](MODELS[model]())


@pytest.fixture(params=[pytest.param(case, marks=KERAS[case[0]], id="-".join(case)) for case in CASES])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Every engine with every model that it steps."""
    return engine_of(*request.param)


def test_rows_keep_their_bits_in_every_batch(engine: Engine) -> None:
    """Batches of 1 to 257 permuted rows give each row what it gets alone."""
    assert list(differing_batches(engine)) == []


def test_a_sequence_equals_its_single_steps_however_it_is_cut(engine: Engine) -> None:
    """Five steps in one call, as 2 + 3, as 0 + 5 and one by one: the same forecasts and the same state."""
    x, state = draw_rows(engine, 11, steps=5)
    whole = engine.sequence(x, state)
    for cuts in ((2, 3), (3, 2), (0, 5), (1, 1, 1, 1, 1)):
        assert same_bits(run_in_pieces(engine, x, state, cuts), whole), cuts
    singles, current = [], state
    for row in x:
        y, current = engine.step(row, current)
        singles.append(y)
    assert same_bits((np.stack(singles), current), whole)


def run_in_pieces(engine: Engine, x: Float32, state: Float32, cuts: tuple[int, ...]) -> tuple[Float32, Float32]:
    """The sequence cut into calls of `cuts` steps each."""
    outputs, start = [], 0
    for length in cuts:
        y, state = engine.sequence(x[start : start + length], state)
        outputs.append(y)
        start += length
    return np.concatenate(outputs), state


def test_arguments_are_left_alone_and_results_are_new(engine: Engine) -> None:
    """A step may be thrown away or repeated: it writes to nothing and lends nothing out."""
    x, state = draw_rows(engine, 9)
    x.flags.writeable = state.flags.writeable = False
    first = engine.step(x, state)
    kept = tuple(part.copy() for part in first)
    other_x, other_state = draw_rows(engine, 9, seed=8)
    second = engine.step(other_x, other_state)
    assert same_bits(first, (kept[0], kept[1]))
    arrays = (x, state, *first, *second)
    assert not any(np.shares_memory(a, b) for i, a in enumerate(arrays) for b in arrays[:i])
    assert same_bits(engine.step(x, state), first)


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf, np.float32(3e38)])
def test_a_poisoned_row_spoils_no_other_row_and_warns_of_nothing(engine: Engine, poison: float) -> None:
    """NaN, infinity and overflow stay in their row, also for the calls that come after."""
    x, state = draw_rows(engine, 10)
    clean = engine.step(x, state)
    hostile_x, hostile_state = x.copy(), state.copy()
    hostile_x[3] = poison
    hostile_state[6] = poison
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y, after = engine.step(hostile_x, hostile_state)
    others = [0, 1, 2, 4, 5, 7, 8, 9]
    assert same_bits((y[others], after[others]), (clean[0][others], clean[1][others]))
    assert same_bits(engine.step(x, state), clean)


def test_no_rows_and_no_steps_are_allowed(engine: Engine) -> None:
    """An empty batch and an empty sequence give empty results and an unchanged state."""
    x, state = draw_rows(engine, 4)
    y, after = engine.step(x[:0], state[:0])
    assert y.shape == (0, engine.output_size)
    assert after.shape == (0, engine.state_size)
    y, after = engine.sequence(np.empty((0, 4, engine.input_size), np.float32), state)
    assert y.shape == (0, 4, engine.output_size)
    assert after.tobytes() == state.tobytes()


def test_results_are_float32_of_the_promised_shapes(engine: Engine) -> None:
    """Callers write results straight into columns of these types."""
    x, state = draw_rows(engine, 300)
    y, after = engine.step(x, state)
    assert (y.shape, y.dtype) == ((300, engine.output_size), np.dtype(np.float32))
    assert (after.shape, after.dtype) == ((300, engine.state_size), np.dtype(np.float32))
    assert np.isfinite(y).all()
    assert np.isfinite(after).all()


@pytest.mark.parametrize("wrong", ["inputs", "state", "rows", "type"])
def test_a_broken_promise_of_shape_is_a_defect(engine: Engine, wrong: str) -> None:
    """A wrong shape must not broadcast into a plausible forecast."""
    x, state = draw_rows(engine, 4)
    calls: dict[str, tuple[Any, Float32]] = {
        "inputs": (np.zeros((4, engine.input_size + 1), np.float32), state),
        "state": (x, state[:, :-1]),
        "rows": (x[:1], state),
        "type": (x.astype(np.float64), state),
    }
    with pytest.raises(Defect, match="engine: expected"):
        engine.step(*calls[wrong])


@every_engine
def test_the_initial_state_is_the_learned_one_or_zeros(made: str) -> None:
    """Packed as [h1 c1 h2 c2 …], one copy a row, and new at every call."""
    make = ENGINES[made]
    plain, learned = random_model(units=(3, 2)), random_model(units=(3, 2), learned_initial=True)
    assert make(plain).initial_state(2).tolist() == [[0.0] * 10] * 2
    names = [f"initial{i}/{part}" for i in (0, 1) for part in ("h", "c")]
    row = np.concatenate([learned.weights[name] for name in names])
    engine = make(learned)
    state = engine.initial_state(3)
    assert state.tobytes() == np.tile(row, (3, 1)).tobytes()
    state[:] = 9
    assert engine.initial_state(1).tolist() == [row.tolist()]


@pytest.mark.keras
def test_both_engines_step_an_lstm_stack_alike() -> None:
    """The one is the other's oracle, state after state."""
    model = ARCHITECTURES["stack with norm"]()
    x, state = draw_rows(ENGINES["numpy"](model), 70, steps=50)
    for got, expected in zip(*(make(model).sequence(x, state) for make in ENGINES.values()), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(
    units=st.lists(st.integers(1, 20), min_size=1, max_size=3),
    sizes=st.tuples(st.integers(1, 20), st.integers(1, 9)),
    norm=st.booleans(),
    rows=st.integers(1, 40),
    steps=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_any_architecture_gives_a_row_the_same_bits_alone_and_in_company(
    units: list[int], sizes: tuple[int, int], norm: bool, rows: int, steps: int, seed: int
) -> None:
    """Whatever the sizes: one row stepped alone equals that row of a batched sequence."""
    model = random_model(units=units, input_size=sizes[0], output_size=sizes[1], layer_norm=norm, seed=seed)
    demand_one_row_alone(NumpyEngine(model), rows, steps, seed)


@pytest.mark.keras
@settings(max_examples=15, deadline=None)
@given(
    cells=st.lists(
        st.tuples(st.integers(1, 20), st.sampled_from(["lstm", "gru", "simple_rnn"]), st.booleans(), st.booleans()),
        min_size=1,
        max_size=3,
    ),
    sizes=st.tuples(st.integers(1, 20), st.integers(1, 9)),
    rows=st.integers(1, 330),
    steps=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_any_mixture_of_cells_gives_a_row_the_same_bits_alone_and_in_company(
    cells: list[tuple[int, Cell, bool, bool]], sizes: tuple[int, int], rows: int, steps: int, seed: int
) -> None:
    """The same of what TensorFlow steps."""
    layers = [Layer(units, layer_norm=norm, cell=cell, reset_after=after) for units, cell, norm, after in cells]
    model = random_model(layers=layers, input_size=sizes[0], output_size=sizes[1], engine="tensorflow", seed=seed)
    demand_one_row_alone(make_on_tensorflow(model), rows, steps, seed)


def demand_one_row_alone(engine: Engine, rows: int, steps: int, seed: int) -> None:
    """One of the rows gets alone what it gets among the others."""
    x, state = draw_rows(engine, rows, steps=steps, seed=seed)
    y, after = engine.sequence(x, state)
    one = slice(seed % rows, seed % rows + 1)
    assert same_bits(engine.sequence(x[:, one], state[one]), (y[:, one].copy(), after[one]))


def run_probe(**environment: str) -> subprocess.CompletedProcess[str]:
    """The probe program in a process of its own, since a BLAS kernel is chosen once a process."""
    command = [sys.executable, "-W", "error", "-m", "support.engine_probe"]
    roots = [p for p in sys.path if p.endswith(("daemon", "tests"))]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(roots), "OPENBLAS_NUM_THREADS": "1"} | environment
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)


#: NumPy's wheels have one kernel for Haswell and Zen: the one of a processor that is common is tried every day.
@pytest.mark.parametrize(
    "kernel", [pytest.param(name, marks=pytest.mark.long) if name == "Zen" else name for name in KERNELS]
)
def test_rows_keep_their_bits_on_every_blas_kernel(kernel: str) -> None:
    """The same probe under each kernel that this processor can run."""
    with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
        if kernel == "SkylakeX" and AVX512 not in cpuinfo.read():
            pytest.skip("the processor has no AVX-512")
    result = run_probe(OPENBLAS_CORETYPE=kernel)
    assert result.returncode == 0, result.stdout + result.stderr
    in_force = "Haswell" if kernel == "Zen" and "Haswell" in result.stdout else kernel  # NumPy's wheels: one for both
    if "openblas" in result.stdout:
        assert f"{in_force};" in result.stdout, result.stdout


def test_rows_keep_their_bits_without_numpys_vector_loops() -> None:
    """Old processors take NumPy's scalar `tanh`; it must not know the batch either."""
    found = np.show_config(mode="dicts")["SIMD Extensions"]["found"]
    result = run_probe(NPY_DISABLE_CPU_FEATURES=" ".join(found))
    assert result.returncode == 0, result.stdout + result.stderr


@needs_kernel
def test_one_plain_product_over_all_rows_is_caught() -> None:
    """Mutant: neither blocks nor padding. This is why `product.py` exists."""
    result = run_mutant("import sys, support.engine_probe as probe; sys.exit(probe.main())")
    assert result.returncode == 1, result.stdout + result.stderr
    assert "differs: one feature, 64 units: batches" in result.stdout
