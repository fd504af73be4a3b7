"""The self-test at start and the fingerprint."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import numpy as np
import pytest

import gaugecast
from gaugecast.engine import NumpyEngine
from gaugecast.engine.selftest import check_batch_independence, fingerprint
from gaugecast.errors import Defect, ExitCode
from gaugecast.records import Float32
from gaugecast.testing import random_model
from support.plain_products import needs_kernel, run_mutant


class LeakyEngine(NumpyEngine):
    """A mutant: the last bit of a row's output depends on how many rows come with it."""

    def step(self, x: Float32, state: Float32) -> tuple[Float32, Float32]:
        y, after = super().step(x, state)
        return np.nextafter(y, np.float32(len(x) % 2 * 9), dtype=np.float32), after


def test_a_sound_machine_passes_quickly() -> None:
    """The daemon does this at every start, so it must cost next to nothing (design: 50 ms; here with slack)."""
    started = time.perf_counter()
    check_batch_independence([NumpyEngine(random_model())])
    assert time.perf_counter() - started < 0.5


def test_an_engine_that_leaks_between_rows_ends_the_process_with_70() -> None:
    """One bit is enough."""
    with pytest.raises(Defect, match="self-test: expected the same bits") as caught:
        check_batch_independence([LeakyEngine(random_model())])
    assert int(caught.value.exit_code) == int(ExitCode.DEFECT) == 70


@needs_kernel
def test_plain_products_are_caught_by_the_built_in_probes() -> None:
    """Mutant: BLAS as it comes, no blocks of 8."""
    result = run_mutant("from gaugecast.engine.selftest import check_batch_independence as check; check()")
    assert result.returncode == 1
    assert "errors.Defect: self-test: expected the same bits" in result.stderr


def test_the_fingerprint_names_what_bits_depend_on() -> None:
    """Versions, BLAS kernel and CPU features; the same text at every call, on one line."""
    text = fingerprint()
    assert text == fingerprint()
    assert "\n" not in text
    for part in (f"gaugecast {gaugecast.__version__}", f"numpy {np.__version__}", "blas ", "cpu "):
        assert part in text


def test_the_fingerprint_names_the_kernel_in_force() -> None:
    """Another OPENBLAS_CORETYPE is another fingerprint: bit equality is not promised across them."""
    program = "from gaugecast.engine.selftest import fingerprint; print(fingerprint())"
    env = os.environ | {"OPENBLAS_CORETYPE": "Nehalem"}
    result = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
    if "openblas" not in result.stdout:
        pytest.skip("this NumPy does not use OpenBLAS")
    assert "Nehalem" in result.stdout
