"""One LSTM layer, its normalisation and the linear head, each a chunk of rows at a time."""

from __future__ import annotations

import numpy as np

from gaugecast.engine.activations import ACTIVATIONS
from gaugecast.engine.product import multiply_rows, pad_columns, pad_size
from gaugecast.model import Layer
from gaugecast.model.layers import NORM_EPSILON
from gaugecast.records import Float32

CHUNK_ROWS = 256
FORGET, INPUT, OUTPUT, CELL = range(4)  # our order: the three that share an activation first


class Norm:
    """Layer normalisation of each row over its own units (Ba et al. 2016), in float64.

    Where the units hardly differ, the mean's rounding in float32 comes out thirty times larger, once for each norm.
    """

    def __init__(self, gamma: Float32, beta: Float32) -> None:
        self._gamma = gamma.astype(np.float64)
        self._beta = beta.astype(np.float64)
        self._share = 1 / gamma.size

    def apply(self, h: Float32) -> Float32:
        """(R, U) to a new (R, U)."""
        z = h.astype(np.float64)
        z -= np.add.reduce(z, axis=1, keepdims=True) * self._share
        variance = np.add.reduce(z * z, axis=1, keepdims=True) * self._share
        z /= np.sqrt(variance + NORM_EPSILON)
        z *= self._gamma
        z += self._beta
        return z.astype(np.float32)


class Cell:
    """One layer: its weights, packed for `multiply_rows`, and scratch for one chunk of rows.

    `entry` (R, I+U+1) holds [x h 1] of the step to come; h stays there between the steps of a sequence.
    Units are padded to a multiple of 8. What stands in padded units and rows goes nowhere; it is zeroed at
    `load` so that no leftover NaN or denormal slows the product down.
    """

    def __init__(self, layer: Layer, index: int, weights: dict[str, Float32], *, stack: str = "lstm") -> None:
        kernel, recurrent = weights[f"{stack}{index}/kernel"], weights[f"{stack}{index}/recurrent"]
        bias = weights[f"{stack}{index}/bias"]
        self.units = layer.units
        self.inputs = kernel.shape[0]
        self._recurrent_activation = ACTIVATIONS[layer.recurrent_activation]
        self._activation = ACTIVATIONS[layer.activation]
        stacked = np.concatenate([kernel, recurrent, bias[np.newaxis]])
        keras = dict(zip((INPUT, FORGET, CELL, OUTPUT), np.split(stacked, 4, axis=1), strict=True))
        self._gates = pad_columns(np.stack([keras[gate] for gate in range(4)]))
        self._norm: Norm | None = None
        if layer.layer_norm:
            self._norm = Norm(weights[f"norm{index}/gamma"], weights[f"norm{index}/beta"])
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


class Dense:
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
