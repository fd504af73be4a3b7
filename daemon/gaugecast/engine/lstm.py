"""The LSTM stack in NumPy: pure steps of packed state, the same to the bit however rows and steps are cut.

Gates as in Keras (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000):
z = [x h 1]·[W; R; b];  c' = σ(z_f)·c + σ(z_i)·a(z_c);  h' = σ(z_o)·a(c').
Rows go through in chunks that fit the processor's second cache; one step is a sequence of length 1, so that
there is one way through the code and nothing to keep equal.
"""

from __future__ import annotations

import numpy as np

from gaugecast.engine.cells import CHUNK_ROWS, Cell, Dense
from gaugecast.engine.product import pad_size
from gaugecast.engine.rows import RowEngine
from gaugecast.model import Model
from gaugecast.records import Float32


class _Decoder:
    """What turns one vector into a sequence: it is fed the same at each step, from zero state (Keras' RepeatVector)."""

    def __init__(self, model: Model) -> None:
        manifest = model.manifest
        self._steps, self._width = manifest.decode_steps, manifest.output_size
        self._cells = [Cell(layer, i, model.weights, stack="decoder") for i, layer in enumerate(manifest.decoder)]

    def run(self, h: Float32, rows: int, head: Dense) -> Float32:
        """(rows, U) of the encoder to (rows, steps·O), a new array."""
        for cell in self._cells:
            zeros = np.zeros((rows, cell.units), dtype=np.float32)
            cell.load(zeros, zeros, rows)
        y = np.empty((rows, self._steps * self._width), dtype=np.float32)
        for k in range(self._steps):
            output = h
            for cell in self._cells:
                cell.entry[:rows, : cell.inputs] = output
                output = cell.step(rows)
            y[:, k * self._width : (k + 1) * self._width] = head.apply(output)[:, : self._width]
        return y


class NumpyEngine(RowEngine):
    """An `Engine` in plain NumPy. Results never alias scratch; scratch makes it one thread's at a time."""

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        manifest, weights = model.manifest, model.weights
        self._cells = [Cell(layer, i, weights) for i, layer in enumerate(manifest.layers)]
        self._dense: Dense | None = None
        if manifest.head == "dense":
            self._dense = Dense(weights["dense/kernel"], weights["dense/bias"])
        self._decoder = _Decoder(model) if manifest.decoder else None

    def sequence(self, x: Float32, state: Float32) -> tuple[Float32, Float32]:
        """T steps: x (T, N, I), state (N, S) to (y (T, N, O), state' (N, S)); the bits of T single steps."""
        y, after = self._prepare(x, state)
        n = len(state)
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
        if self._dense is None:
            return output
        return self._dense.apply(output) if self._decoder is None else self._decoder.run(output, rows, self._dense)

    def _parts(self, state: Float32) -> list[tuple[Cell, Float32, Float32]]:
        """Each cell with its columns h and c of a packed state, [h1 c1 h2 c2 …]."""
        parts = []
        start = 0
        for cell in self._cells:
            middle, end = start + cell.units, start + 2 * cell.units
            parts.append((cell, state[:, start:middle], state[:, middle:end]))
            start = end
        return parts
