"""What company does to a stream's messages: nothing, whatever the crowd, the fleet and the kernel that multiplies."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from gaugecast.testing import feed, outputs_of, pipeline_of
from support.pipeline_probe import FLEETS, LISTED, LONG_FLEETS, SIZES, differing_streams, readings_of
from support.plain_products import needs_kernel, run_mutant

DAILY = ("SkylakeX", "Nehalem")
KERNELS = (*DAILY, "Haswell", "Zen", "Nehalem --listed")


@pytest.mark.parametrize("name", sorted(FLEETS))
def test_forecasts_keep_their_bytes_in_every_crowd(name: str) -> None:
    """Batches of 2 to 257 permuted streams give each the messages that it gets alone, gaps included."""
    assert list(differing_streams(*FLEETS[name])) == []


def test_forecasts_of_listed_horizons_keep_their_bytes_in_larger_crowds() -> None:
    """With intervals and thresholds; smaller crowds are many more calls, and come in the long run."""
    assert list(differing_streams(*LISTED, sizes=SIZES[5:])) == []


def test_what_is_told_beyond_the_next_step_is_told_in_the_probe() -> None:
    """Intervals and crossings come of errors that are due: the crowd's messages have both."""
    fleet, _ = LISTED
    pipeline = pipeline_of(fleet)
    outputs = outputs_of(feed(pipeline, [one for tick in range(51) for one in readings_of(fleet, tick)], 257))
    said = [json.loads(one.body) for one in outputs]
    assert any(one["horizons"][2]["intervals"]["a"] for one in said if "horizons" in one)
    assert any(one["event"] == "begin" for one in said if "event" in one)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", sorted(LONG_FLEETS))
def test_forecasts_of_listed_horizons_keep_their_bytes_in_every_crowd(name: str) -> None:
    """The same with listed horizons, intervals and thresholds, of one to seven features and in the smallest crowds."""
    assert list(differing_streams(*LONG_FLEETS[name])) == []


#: NumPy's wheels have one kernel for Haswell and Zen, by which the test above runs on most machines.
@pytest.mark.parametrize(
    "kernel", [name if name in DAILY else pytest.param(name, marks=pytest.mark.long) for name in KERNELS]
)
def test_forecasts_keep_their_bytes_on_every_blas_kernel(kernel: str) -> None:
    """The same under each kernel that this processor can run, in a process of its own."""
    kernel, *more = kernel.split()
    with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
        if kernel == "SkylakeX" and "avx512f" not in cpuinfo.read():
            pytest.skip("the processor has no AVX-512")
    roots = [path for path in sys.path if path.endswith(("daemon", "tests"))]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(roots), "OPENBLAS_NUM_THREADS": "1", "OPENBLAS_CORETYPE": kernel}
    command = [sys.executable, "-W", "error", "-m", "support.pipeline_probe", *more]
    result = subprocess.run(command, env=env, capture_output=True, text=True, timeout=240, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@needs_kernel
def test_plain_products_are_caught_through_advance() -> None:
    """Mutant: without blocks of eight rows the crowd shows in the published bytes, not in the engine only."""
    program = "import support.pipeline_probe as p; print([*p.differing_streams(*p.FLEETS['1 feature, 64 units'])])"
    result = run_mutant(program)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() not in ("", "[]")
