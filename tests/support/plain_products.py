"""The mutant against which blocks of eight rows stand: BLAS as it comes, run as a program of its own.

Where it shows depends on the kernel: on Haswell's, which every x86-64 processor with AVX2 can run, rows differ at
many batch sizes; on others at few or at none. So that the mutant is seen on any machine, it runs there.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gaugecast.engine.cells as cells

KERNEL = "Haswell"

#: For tests of the mutant.
needs_kernel = pytest.mark.skipif(platform.machine() != "x86_64", reason=f"{KERNEL} is a kernel of x86-64")


def use_plain_products() -> None:
    """Neither blocks nor padding, from here on and in the whole process."""
    plain = {
        "multiply_rows": lambda a, b, out: np.matmul(a[np.newaxis], b, out=out),
        "pad_size": lambda size: size,
        "pad_columns": np.ascontiguousarray,
    }
    for name, product in plain.items():
        setattr(cells, name, product)


def run_mutant(program: str) -> subprocess.CompletedProcess[str]:
    """Run Python text with plain products under `KERNEL`, which is chosen once a process: so in one of its own."""
    tests = str(Path(__file__).resolve().parent.parent)
    roots = [tests, *filter(None, [os.environ.get("PYTHONPATH")])]
    env = os.environ | {
        "PYTHONPATH": os.pathsep.join(roots),
        "OPENBLAS_NUM_THREADS": "1",
        "OPENBLAS_CORETYPE": KERNEL,
    }
    text = f"from support.plain_products import use_plain_products\nuse_plain_products()\n{program}"
    return subprocess.run(
        [sys.executable, "-c", text], env=env, capture_output=True, text=True, timeout=240, check=False
    )
