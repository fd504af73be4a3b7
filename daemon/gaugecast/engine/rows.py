"""What all engines do with rows alike: sizes, the state to begin with, one step as a short sequence, wrong shapes."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from gaugecast.errors import Defect
from gaugecast.model import Model
from gaugecast.model.layers import STATE_PARTS
from gaugecast.records import Float32


class RowEngine(ABC):
    """An `Engine` but for `sequence`: one step is a sequence of length 1, so that there is nothing to keep equal."""

    def __init__(self, model: Model) -> None:
        manifest = model.manifest
        self.input_size = manifest.input_size
        self.output_size = manifest.output_size * manifest.decode_steps
        self.state_size = sum(layer.state_size for layer in manifest.layers)
        self._initial = _initial_row(model)

    def initial_state(self, rows: int) -> Float32:
        """The state (rows, state_size) of streams that have seen nothing yet."""
        return np.repeat(self._initial, rows, axis=0)

    def step(self, x: Float32, state: Float32) -> tuple[Float32, Float32]:
        """One step: x (N, I), state (N, S) to (y (N, O), state' (N, S)), both new."""
        y, after = self.sequence(x[np.newaxis], state)
        return y[0], after

    @abstractmethod
    def sequence(self, x: Float32, state: Float32) -> tuple[Float32, Float32]:
        """T steps: x (T, N, I), state (N, S) to (y (T, N, O), state' (N, S)); the bits of T single steps."""

    def _prepare(self, x: Float32, state: Float32) -> tuple[Float32, Float32]:
        """Room for y (T, N, O) and the state after (N, S). Shapes and types are the caller's promise.

        Raises:
            Defect: x is not float32 (T, N, I), or the state not float32 (N, S).
        """
        if x.dtype != np.float32 or state.dtype != np.float32:
            raise Defect(f"engine: expected float32, got inputs {x.dtype} and state {state.dtype}")
        if x.ndim != 3 or x.shape[2] != self.input_size:
            raise Defect(f"engine: expected inputs (…, rows, {self.input_size}), got {x.shape}")
        steps, n, _ = x.shape
        if state.shape != (n, self.state_size):
            raise Defect(f"engine: expected state {(n, self.state_size)}, got {state.shape}")
        return np.empty((steps, n, self.output_size), np.float32), np.empty((n, self.state_size), np.float32)


def _initial_row(model: Model) -> Float32:
    """The packed initial state (1, S): the learned one, zeros where nothing was learned."""
    parts = [
        model.weights.get(f"initial{i}/{part}", np.zeros(layer.units, dtype=np.float32))
        for i, layer in enumerate(model.manifest.layers)
        for part in STATE_PARTS[layer.cell]
    ]
    return np.concatenate(parts)[np.newaxis]
