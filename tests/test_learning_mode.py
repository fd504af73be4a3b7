"""Whether anything is learned here, and by whom: what the configuration, the installation and the unit come to."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gaugecast.config.schema import Learning
from gaugecast.service.learning_mode import decide, settled

MDWE = """
import ctypes, sys
from gaugecast.service.learning_mode import may_compile
before = may_compile()
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):  # PR_SET_MDWE, Linux 6.3
    sys.exit(77)
print(before, may_compile())
"""


@pytest.mark.parametrize(
    ("mode", "installed", "compiles", "expected"),
    [
        ("auto", True, True, "on, by a child"),
        ("auto", True, False, "on, by a unit"),
        ("auto", False, True, "not possible: TensorFlow is not installed (python3 -m pip --python"),
        ("child", True, True, "on, by a child"),
        ("child", True, False, "not possible: MemoryDenyWriteExecute"),
        ("child", False, True, "not possible: TensorFlow is not installed"),
        ("unit", True, False, "on, by a unit"),
        ("unit", False, False, "not possible: TensorFlow is not installed"),
        ("off", True, True, "off ([learning] mode)"),
    ],
)
def test_learning_is_what_the_machine_allows_and_says_so(
    mode: str, installed: bool, compiles: bool, expected: str
) -> None:
    """By default where TensorFlow is; never as a child where it could not compile."""
    found = decide(Learning(mode=mode), has_tensorflow=lambda: installed, may_compile=lambda: compiles)  # type: ignore[arg-type]
    assert str(found).startswith(expected)


def test_where_nothing_is_learned_the_loop_takes_nothing_back() -> None:
    """Rolling back is the learner's; what people put in force stays."""
    nobody = decide(Learning(), has_tensorflow=lambda: False)
    assert settled(Learning(), nobody).mode == "off"
    child = decide(Learning(), has_tensorflow=lambda: True, may_compile=lambda: True)
    assert settled(Learning(cpu=2.0), child) == Learning(cpu=2.0, mode="child")


def test_a_process_that_may_not_compile_finds_out() -> None:
    """As under MemoryDenyWriteExecute= of the daemon's unit."""
    ran = subprocess.run([sys.executable, "-c", MDWE], capture_output=True, text=True, check=False, timeout=60)
    if ran.returncode == 77:
        pytest.skip("this kernel cannot deny memory that is written and run")
    assert ran.stdout.split() == ["True", "False"], ran.stderr
