"""Memory that a batch has freed is there for the next one."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

#: Makes and drops arrays of half a megabyte, as batches do; prints how many pages the kernel had to give for a hundred.
PROGRAM = """
import resource, sys
import numpy as np
from gaugecast.service.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def work(turns):
    for _ in range(turns):
        a = np.ones(65_536)
        b = a + 1.0
work(20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work(100)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def pages(how: str) -> int:
    """Of the program, run in a process of its own."""
    plain = {key: value for key, value in os.environ.items() if not key.startswith("MALLOC_")}
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True, env=plain, timeout=60
    )
    return int(ended.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has no mallopt")
def test_arrays_of_a_batch_are_not_asked_of_the_kernel_again_and_again() -> None:
    """A hundred times a megabyte would be 25,600 pages."""
    assert pages("keep") < 1000
