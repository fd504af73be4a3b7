"""What all engines say of their rows: the state they begin with, and that a wrong shape is a defect."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gaugecast.errors import Defect
from gaugecast.model import Model
from gaugecast.model.layers import STATE_PARTS
from gaugecast.records import Float32

if TYPE_CHECKING:
    from gaugecast.engine import Engine


def check_arguments(engine: Engine, x: Float32, state: Float32) -> None:
    """Shapes and types are the caller's promise; a broken one is a defect, not bad input.

    Raises:
        Defect: x is not float32 (T, N, I), or the state not float32 (N, S).
    """
    if x.dtype != np.float32 or state.dtype != np.float32:
        raise Defect(f"engine: expected float32, got inputs {x.dtype} and state {state.dtype}")
    if x.ndim != 3 or x.shape[2] != engine.input_size:
        raise Defect(f"engine: expected inputs (…, rows, {engine.input_size}), got {x.shape}")
    if state.shape != (x.shape[1], engine.state_size):
        raise Defect(f"engine: expected state {(x.shape[1], engine.state_size)}, got {state.shape}")


def initial_row(model: Model) -> Float32:
    """The packed initial state (1, S): the learned one, zeros where nothing was learned."""
    parts = [
        model.weights.get(f"initial{i}/{part}", np.zeros(layer.units, dtype=np.float32))
        for i, layer in enumerate(model.manifest.layers)
        for part in STATE_PARTS[layer.cell]
    ]
    return np.concatenate(parts)[np.newaxis]
