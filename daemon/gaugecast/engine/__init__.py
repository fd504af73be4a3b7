"""Engines: what steps the networks. `numpy` is the default; `tensorflow` has what it lacks, under the same contract."""

from __future__ import annotations

import functools
from typing import Protocol

from gaugecast.engine.lstm import NumpyEngine
from gaugecast.model import Model
from gaugecast.records import Float32

__all__ = ["Engine", "NumpyEngine", "engine_for"]

_KEPT = 4


class Engine(Protocol):
    """A network with its weights. Rows (N) are independent: a row's bits depend on that row alone.

    Arguments are never written to and results never alias them or each other. Not finite in, not finite out,
    in that row only and without a warning. One thread at a time may call an engine.

    Attributes:
        input_size: I, floats in a row of inputs.
        output_size: O, floats in a row of outputs; those of all horizons, one after the other, of a decoder.
        state_size: S, floats of state a row, packed [h1 c1 h2 c2 …]: `units` floats each, a c of LSTM layers only.
    """

    input_size: int
    output_size: int
    state_size: int

    def initial_state(self, rows: int) -> Float32:
        """The state (rows, S) of rows that have seen nothing yet; a new array."""

    def step(self, x: Float32, state: Float32) -> tuple[Float32, Float32]:
        """One step of N ≥ 0 rows: x (N, I) and state (N, S) to y (N, O) and the state after it (N, S).

        Raises:
            Defect: Shapes or types that are not these.
        """

    def sequence(self, x: Float32, state: Float32) -> tuple[Float32, Float32]:
        """T ≥ 0 steps: x (T, N, I) and state (N, S) to y (T, N, O) and the state after them (N, S).

        Equal to T calls of `step`, to the bit.

        Raises:
            Defect: Shapes or types that are not these.
        """


def engine_for(model: Model) -> Engine:
    """The engine that a model's manifest asks for: the one place where engines come from.

    Raises:
        ModelError: This machine cannot run it.
    """
    return _tensorflow_engine(model) if model.manifest.engine == "tensorflow" else NumpyEngine(model)


@functools.lru_cache(_KEPT)
def _tensorflow_engine(model: Model) -> Engine:
    """Kept for the models used last: whoever asks whether it runs here should not pay for it twice."""
    from gaugecast.engine.tensorflow import make_tensorflow_engine  # only where such a model is in force or in shadow

    return make_tensorflow_engine(model)
