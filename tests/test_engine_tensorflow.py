"""What the TensorFlow engine owes beyond the contract of engines: silence, the same bits in any process, a way back."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from gaugecast.engine import Engine, engine_for, runtime
from gaugecast.errors import ModelError
from gaugecast.model import Layer
from gaugecast.testing import random_model
from support.engine_probe import ARCHITECTURES, FURTHER, draw_rows, same_bits

pytestmark = pytest.mark.keras
GRU = "gru"

PROGRAM = """
import ctypes, sys
if sys.argv[1] == "walled":
    # PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN: systemd's MemoryDenyWriteExecute
    if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):
        sys.exit(77)
from test_engine_tensorflow import digest_of
before = digest_of("stack with norm")
assert "tensorflow" not in sys.modules, "a model for NumPy brought TensorFlow along"
print(digest_of("mixed, with norm"))
assert digest_of("stack with norm") == before, "TensorFlow changed what NumPy gives"
"""


def digest_of(name: str) -> str:
    """What a model makes of 80 rows, among them numbers so small that some processors take them for 0."""
    engine = engine_for((ARCHITECTURES | FURTHER)[name]())
    x, state = draw_rows(engine, 80, steps=3)
    x[:, ::3] *= np.float32(1e-41)
    state[::3] *= np.float32(1e-40)
    y, after = engine.sequence(x, state)
    return hashlib.sha256(y.tobytes() + after.tobytes()).hexdigest()


def run_program(wall: str) -> subprocess.CompletedProcess[str]:
    """A process of its own, as the daemon is one."""
    roots = [p for p in sys.path if p.endswith(("daemon", "tests"))]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TF_", "TENSORFLOW_", "CUDA_"))}
    env = kept | {"PYTHONPATH": os.pathsep.join(roots)}
    command = [sys.executable, "-c", PROGRAM, wall]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.long
def test_the_bits_are_those_of_a_process_that_may_not_run_what_it_writes() -> None:
    """The service lives under MemoryDenyWriteExecute, a replay from a shell does not; neither says a word on stderr."""
    free, walled = run_program("free"), run_program("walled")
    assert (free.returncode, free.stderr) == (0, "")
    if walled.returncode == 77:
        pytest.skip("this kernel knows no PR_SET_MDWE")
    assert (walled.returncode, walled.stderr) == (0, "")
    assert walled.stdout == free.stdout != ""


def test_blocks_shrink_until_rows_are_independent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mutant: a network whose rows see each other; in blocks of one there is nobody to be seen."""
    from gaugecast.engine import tensorflow
    from gaugecast.engine.tensorflow_network import Network

    class Leaky(Network):
        def step(self, x: Any, state: Any) -> tuple[Any, Any]:
            y, after = super().step(x, state)
            return y + 1e-6 * self._tf.reduce_sum(x, axis=0, keepdims=True)[:, :1], after

    sound = tensorflow.make_tensorflow_engine(FURTHER[GRU]())
    assert sound.blocks == tensorflow.BLOCKS[0]
    monkeypatch.setattr(tensorflow, "Network", Leaky)
    leaky: Engine = tensorflow.make_tensorflow_engine(FURTHER[GRU]())
    assert leaky.blocks == (1,)  # type: ignore[attr-defined]
    x, state = draw_rows(leaky, 5)
    y, after = leaky.step(x, state)
    assert same_bits(leaky.step(x[3:4], state[3:4]), (y[3:4].copy(), after[3:4].copy()))


def test_where_tensorflow_is_missing_the_message_says_how_to_mend_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slim install has none, and needs none for LSTM stacks."""
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    monkeypatch.setattr(runtime, "load_tensorflow", runtime.load_tensorflow.__wrapped__)
    with pytest.raises(ModelError, match=r"needs the TensorFlow engine.*pip install tensorflow"):
        engine_for(random_model(layers=[Layer(3, cell="gru")], engine="tensorflow"))
    assert engine_for(random_model(units=(3,))).state_size == 6


def test_what_other_threads_say_meanwhile_is_not_lost(capfd: pytest.CaptureFixture[str]) -> None:
    """Only TensorFlow's own greetings are kept off stderr while it loads."""
    with runtime._without_greetings():
        os.write(2, b"E0000 00:00:17.4 31351 cuda_platform.cc:52] failed call to cuInit\n")
        os.write(2, b"12:00:00 warning broker lost\n")
    assert capfd.readouterr().err == "12:00:00 warning broker lost\n"


def test_one_model_is_built_once() -> None:
    """Who asks whether it runs here, and who then steps it, wait for it once."""
    model = random_model(layers=[Layer(3, cell="gru")], engine="tensorflow")
    assert engine_for(model) is engine_for(model)
