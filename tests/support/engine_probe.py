"""Holds an engine's rows against every company they may travel in; also run as a program, one BLAS kernel a process.

`python -m support.engine_probe` prints the fingerprint and one line for each architecture whose rows differ.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import numpy as np

from gaugecast.engine import Engine, NumpyEngine
from gaugecast.engine.selftest import fingerprint
from gaugecast.model import Layer, Model
from gaugecast.records import Float32
from gaugecast.testing import random_model

BATCHES = (1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 64, 100, 128, 129, 255, 256, 257)

ARCHITECTURES: dict[str, Callable[[], Model]] = {
    "one feature, 64 units": lambda: random_model(features=[("a", "forecast")], input_size=16),
    "joint 2, 32 units": lambda: random_model(rows="joint", units=(32,), input_size=9, output_size=2),
    "joint 3, odd units": lambda: random_model(rows="joint", units=(7,), input_size=3, output_size=3),
    "joint 7, odd stack": lambda: random_model(rows="joint", units=(33, 5), input_size=15, output_size=7),
    "one unit": lambda: random_model(rows="joint", units=(1,), input_size=1, output_size=1),
    "stack with norm": lambda: random_model(units=(13, 64), layer_norm=True, input_size=11),
    "headless norm": lambda: random_model(units=(9,), layer_norm=True, head="none", input_size=4),
    "hard and relu": lambda: random_model(
        units=(24,), activation="relu", recurrent_activation="hard_sigmoid", input_size=6
    ),
    "wide output": lambda: random_model(rows="joint", units=(17,), input_size=50, output_size=23),
    "all units of a lane and one": lambda: random_model(units=(65,), input_size=31),
}

#: What only the TensorFlow engine steps.
FURTHER: dict[str, Callable[[], Model]] = {
    "gru": lambda: random_model(layers=[Layer(64, cell="gru")], input_size=16, engine="tensorflow"),
    "gru, reset before, odd": lambda: random_model(
        layers=[Layer(7, cell="gru", reset_after=False)], input_size=3, output_size=3, engine="tensorflow"
    ),
    "one unit of each": lambda: random_model(
        layers=[Layer(1, cell="gru"), Layer(1, cell="simple_rnn"), Layer(1)],
        input_size=1, output_size=1, engine="tensorflow",
    ),
    "mixed, with norm": lambda: random_model(
        layers=[Layer(13, cell="gru", layer_norm=True), Layer(33), Layer(5, "relu", cell="simple_rnn")],
        input_size=11, output_size=7, engine="tensorflow",
    ),
    "dense, affine, gelu, headless": lambda: random_model(
        layers=[
            Layer(9, "gelu", cell="dense"), Layer(9, "linear", cell="affine"), Layer(17, "softsign", "hard_tanh"),
            Layer(3, "softplus", cell="dense"),
        ],
        input_size=4, head="none", engine="tensorflow",
    ),
    "three steps at once": lambda: random_model(
        layers=[Layer(10, cell="gru")], decoder=[Layer(6, cell="gru"), Layer(5, cell="simple_rnn")], decode_steps=3,
        input_size=5, output_size=2, engine="tensorflow",
    ),
}  # fmt: skip


def draw_rows(engine: Engine, rows: int, *, steps: int = 0, seed: int = 7) -> tuple[Float32, Float32]:
    """Inputs (rows, I), or (steps, rows, I) if steps are asked for, and a state (rows, S) that has lived."""
    rng = np.random.default_rng(seed)
    shape = (steps, rows, engine.input_size) if steps else (rows, engine.input_size)
    x = (2 * rng.standard_normal(shape)).astype(np.float32)
    return x, rng.standard_normal((rows, engine.state_size)).astype(np.float32)


def same_bits(got: tuple[Float32, Float32], expected: tuple[Float32, Float32]) -> bool:
    """Whether outputs and states are equal bit for bit (so −0 is not 0, and NaN is NaN)."""
    return all(a.tobytes() == b.tobytes() for a, b in zip(got, expected, strict=True))


def differing_batches(engine: Engine, batches: tuple[int, ...] = BATCHES) -> Iterator[int]:
    """The batch sizes in which some row came out otherwise than alone; rows are permuted anew in each."""
    x, state = draw_rows(engine, max(batches))
    alone = [engine.step(x[i : i + 1], state[i : i + 1]) for i in range(max(batches))]
    y, after = (np.concatenate(parts) for parts in zip(*alone, strict=True))
    for size in batches:
        rows = np.random.default_rng(size).permutation(max(batches))[:size]
        if not same_bits(engine.step(x[rows], state[rows]), (y[rows], after[rows])):
            yield size


def main() -> int:
    """Print what differs under the BLAS kernel in force; 0 if nothing does."""
    print(fingerprint())
    found = {name: list(differing_batches(NumpyEngine(make()))) for name, make in ARCHITECTURES.items()}
    differing = {name: sizes for name, sizes in found.items() if sizes}
    for name, sizes in differing.items():
        print(f"differs: {name}: batches {sizes}")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
