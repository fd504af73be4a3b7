"""The LSTM stack in NumPy: pure steps of packed state, the same to the bit however rows and steps are cut.

Gates as in Keras (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000):
z = [x h 1]·[W; R; b];  c' = σ(z_f)·c + σ(z_i)·a(z_c);  h' = σ(z_o)·a(c').
Rows go through in chunks that fit the processor's second cache; one step is a sequence of length 1, so that
there is one way through the code and nothing to keep equal.
"""

from __future__ import annotations

import numpy as np

from gaugecast.engine.activations import ACTIVATIONS
from gaugecast.engine.product import multiply_rows, pad_columns, pad_size
from gaugecast.errors import Defect
from gaugecast.model import Layer, Model
from gaugecast.records import Float32

CHUNK_ROWS = 256
NORM_EPSILON = np.float32(1e-3)  # the default of keras.layers.LayerNormalization
FORGET, INPUT, OUTPUT, CELL = range(4)  # our order: the three that share an activation first


class _Norm:
    """Layer normalisation of each row over its own units (Ba et al. 2016)."""

    def __init__(self, gamma: Float32, beta: Float32) -> None:
        self._gamma = gamma
        self._beta = beta
        self._share = np.float32(1 / gamma.size)

    def apply(self, h: Float32) -> Float32:
        """(R, U) to a new (R, U)."""
        centred = h - np.add.reduce(h, axis=1, keepdims=True) * self._share
        variance = np.add.reduce(centred * centred, axis=1, keepdims=True) * self._share
        normed: Float32 = centred / np.sqrt(variance + NORM_EPSILON) * self._gamma + self._beta
        return normed


class _Cell:
    """One layer: its weights, packed for `multiply_rows`, and scratch for one chunk of rows.

    `entry` (R, I+U+1) holds [x h 1] of the step to come; h stays there between the steps of a sequence.
    Units are padded to a multiple of 8. What stands in padded units and rows goes nowhere; it is zeroed at
    `load` so that no leftover NaN or denormal slows the product down.
    """

    def __init__(self, layer: Layer, index: int, weights: dict[str, Float32]) -> None:
        kernel, recurrent = weights[f"lstm{index}/kernel"], weights[f"lstm{index}/recurrent"]
        bias = weights[f"lstm{index}/bias"]
        self.units = layer.units
        self.inputs = kernel.shape[0]
        self._recurrent_activation = ACTIVATIONS[layer.recurrent_activation]
        self._activation = ACTIVATIONS[layer.activation]
        stacked = np.concatenate([kernel, recurrent, bias[np.newaxis]])
        keras = dict(zip((INPUT, FORGET, CELL, OUTPUT), np.split(stacked, 4, axis=1), strict=True))
        self._gates = pad_columns(np.stack([keras[gate] for gate in range(4)]))
        self._norm: _Norm | None = None
        if layer.layer_norm:
            self._norm = _Norm(weights[f"norm{index}/gamma"], weights[f"norm{index}/beta"])
        width = pad_size(self.units)
        self.entry = np.zeros((CHUNK_ROWS, self.inputs + self.units + 1), dtype=np.float32)
        self.entry[:, -1] = 1
        self._z = np.zeros(4 * CHUNK_ROWS * width, dtype=np.float32)
        self._c = np.zeros((CHUNK_ROWS, width), dtype=np.float32)
        self._h = np.zeros((CHUNK_ROWS, width), dtype=np.float32)

    def load(self, h: Float32, c: Float32, rows: int) -> None:
        """Take up the states (n, U) of a chunk of n rows, padded to `rows`."""
        n, units = c.shape
        self.entry[n:rows, :-1] = 0
        self.entry[:n, self.inputs : -1] = h
        self._c[:rows] = 0
        self._c[:n, :units] = c

    def store(self, h: Float32, c: Float32) -> None:
        """Write the states of the chunk's n rows into `h` and `c` (n, U)."""
        n = c.shape[0]
        h[...] = self.entry[:n, self.inputs : -1]
        c[...] = self._c[:n, : self.units]

    def step(self, rows: int) -> Float32:
        """One step of the first `rows` rows from `entry`; returns the layer's output (rows, U), scratch or new."""
        c, h = self._c[:rows], self._h[:rows]
        z = self._z[: 4 * c.size].reshape(4, rows, c.shape[1])
        multiply_rows(self.entry[:rows], self._gates, z)
        self._recurrent_activation(z[:CELL])
        self._activation(z[CELL])
        np.multiply(c, z[FORGET], out=c)
        np.multiply(z[INPUT], z[CELL], out=z[INPUT])
        np.add(c, z[INPUT], out=c)
        h[...] = c
        self._activation(h)
        np.multiply(h, z[OUTPUT], out=h)
        output = h[:, : self.units]
        self.entry[:rows, self.inputs : -1] = output
        return output if self._norm is None else self._norm.apply(output)


class _Dense:
    """The linear head: y = [h 1]·[W; b]."""

    def __init__(self, kernel: Float32, bias: Float32) -> None:
        self._matrix = pad_columns(np.concatenate([kernel, bias[np.newaxis]]))[np.newaxis]
        self._entry = np.ones((CHUNK_ROWS, kernel.shape[0] + 1), dtype=np.float32)
        self._y = np.zeros((1, CHUNK_ROWS, self._matrix.shape[2]), dtype=np.float32)

    def apply(self, h: Float32) -> Float32:
        """(R, U) to scratch (R, O₈), of which the first O columns count."""
        rows = h.shape[0]
        y = self._y[:, :rows]
        self._entry[:rows, :-1] = h
        multiply_rows(self._entry[:rows], self._matrix, y)
        top: Float32 = y[0]
        return top


class NumpyEngine:
    """An `Engine` in plain NumPy. Results never alias scratch; scratch makes it one thread's at a time."""

    def __init__(self, model: Model) -> None:
        manifest, weights = model.manifest, model.weights
        self.input_size = manifest.input_size
        self.output_size = manifest.output_size
        self.state_size = sum(2 * layer.units for layer in manifest.layers)
        self._cells = [_Cell(layer, i, weights) for i, layer in enumerate(manifest.layers)]
        self._dense: _Dense | None = None
        if manifest.head == "dense":
            self._dense = _Dense(weights["dense/kernel"], weights["dense/bias"])
        self._initial = _initial_row(model)

    def initial_state(self, rows: int) -> Float32:
        """The state (rows, state_size) of streams that have seen nothing yet."""
        return np.repeat(self._initial, rows, axis=0)

    def step(self, x: Float32, state: Float32) -> tuple[Float32, Float32]:
        """One step: x (N, I), state (N, S) to (y (N, O), state' (N, S)), both new."""
        y, after = self.sequence(x[np.newaxis], state)
        return y[0], after

    def sequence(self, x: Float32, state: Float32) -> tuple[Float32, Float32]:
        """T steps: x (T, N, I), state (N, S) to (y (T, N, O), state' (N, S)); the bits of T single steps."""
        self._check(x, state)
        steps, n, _ = x.shape
        y = np.empty((steps, n, self.output_size), dtype=np.float32)
        after = np.empty((n, self.state_size), dtype=np.float32)
        with np.errstate(all="ignore"):  # rows that are not finite are the caller's to find
            for start in range(0, n, CHUNK_ROWS):
                chunk = slice(start, start + CHUNK_ROWS)
                self._run_chunk(x[:, chunk], state[chunk], y[:, chunk], after[chunk])
        return y, after

    def _run_chunk(self, x: Float32, state: Float32, y: Float32, after: Float32) -> None:
        n = x.shape[1]
        rows = pad_size(n)
        for cell, h, c in self._parts(state):
            cell.load(h, c, rows)
        first = self._cells[0]
        for x_t, y_t in zip(x, y, strict=True):
            first.entry[:n, : first.inputs] = x_t
            y_t[...] = self._step_chunk(rows)[:n, : self.output_size]
        for cell, h, c in self._parts(after):
            cell.store(h, c)

    def _step_chunk(self, rows: int) -> Float32:
        output = self._cells[0].step(rows)
        for cell in self._cells[1:]:
            cell.entry[:rows, : cell.inputs] = output
            output = cell.step(rows)
        return output if self._dense is None else self._dense.apply(output)

    def _parts(self, state: Float32) -> list[tuple[_Cell, Float32, Float32]]:
        """Each cell with its columns h and c of a packed state, [h1 c1 h2 c2 …]."""
        parts = []
        start = 0
        for cell in self._cells:
            middle, end = start + cell.units, start + 2 * cell.units
            parts.append((cell, state[:, start:middle], state[:, middle:end]))
            start = end
        return parts

    def _check(self, x: Float32, state: Float32) -> None:
        """Shapes and types are the caller's promise; a broken one is a defect, not bad input."""
        if x.dtype != np.float32 or state.dtype != np.float32:
            raise Defect(f"engine: expected float32, got inputs {x.dtype} and state {state.dtype}")
        if x.ndim != 3 or x.shape[2] != self.input_size:
            raise Defect(f"engine: expected inputs (…, rows, {self.input_size}), got {x.shape}")
        if state.shape != (x.shape[1], self.state_size):
            raise Defect(f"engine: expected state {(x.shape[1], self.state_size)}, got {state.shape}")


def _initial_row(model: Model) -> Float32:
    """The packed initial state (1, S): the learned one, zeros where nothing was learned."""
    parts = [
        model.weights.get(f"initial{i}/{part}", np.zeros(layer.units, dtype=np.float32))
        for i, layer in enumerate(model.manifest.layers)
        for part in ("h", "c")
    ]
    return np.concatenate(parts)[np.newaxis]
