"""The engine for what the NumPy engine lacks: GRU and simple recurrent layers, Dense stacks, further activations.

A `tf.function` steps a block of rows whose size never varies, so that TensorFlow always takes the same way through
its products; rows that are missing are zeros. There is one for few rows, and one for many where it is found to give
the same bits. A long batch is several calls, a sequence one call a step.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gaugecast.engine.rows import RowEngine
from gaugecast.engine.runtime import load_runtime
from gaugecast.engine.selftest import check_engine
from gaugecast.engine.tensorflow_network import Network
from gaugecast.errors import Defect
from gaugecast.model import Model
from gaugecast.records import Float32

#: Rows in the blocks of an engine, the best first; a block of one row cannot mix rows up on any machine.
BLOCKS = ((64, 256), (64,), (8,), (1,))


def make_tensorflow_engine(model: Model) -> TensorflowEngine:
    """The engine with the best blocks in which rows are found to be independent of each other on this machine.

    Raises:
        ModelError: There is no TensorFlow.
    """
    for blocks in BLOCKS[:-1]:
        engine = TensorflowEngine(model, blocks=blocks)
        try:
            check_engine(engine, rows=blocks[-1] + 9)
        except Defect:
            continue
        return engine
    return TensorflowEngine(model, blocks=BLOCKS[-1])


class TensorflowEngine(RowEngine):
    """An `Engine` on TensorFlow. One thread at a time may call it.

    Attributes:
        blocks: Rows in a block, rising.
    """

    def __init__(self, model: Model, *, blocks: tuple[int, ...] = BLOCKS[0]) -> None:
        super().__init__(model)
        self.blocks = blocks
        self._tf = tf = load_runtime()
        network = Network(tf, model)
        self._step_block = {}
        for rows in blocks:
            signature = [tf.TensorSpec((rows, size), tf.float32) for size in (self.input_size, self.state_size)]
            with tf.device("/CPU:0"):
                compiled = tf.function(network.step, input_signature=signature, autograph=False)
                self._step_block[rows] = compiled.get_concrete_function()

    def sequence(self, x: Float32, state: Float32) -> tuple[Float32, Float32]:
        """T steps: x (T, N, I), state (N, S) to (y (T, N, O), state' (N, S)); the bits of T single steps."""
        y, after = self._prepare(x, state)
        n = len(state)
        start = 0
        while start < n:
            size = next((size for size in self.blocks if size >= n - start), self.blocks[-1])
            rows = slice(start, min(start + size, n))
            self._run_block(size, x[:, rows], state[rows], y[:, rows], after[rows])
            start = rows.stop
        return y, after

    def _run_block(self, size: int, x: Float32, state: Float32, y: Float32, after: Float32) -> None:
        step, count = self._step_block[size], len(state)
        current = self._to_block(size, state)
        for x_t, y_t in zip(x, y, strict=True):
            outputs, current = step(self._to_block(size, x_t), current)
            y_t[...] = outputs.numpy()[:count]
        after[...] = current.numpy()[:count]

    def _to_block(self, size: int, rows: Float32) -> Any:
        """(n ≤ B, W) as a tensor (B, W), zeros below."""
        block = np.zeros((size, rows.shape[1]), dtype=np.float32)
        block[: len(rows)] = rows
        return self._tf.constant(block)
