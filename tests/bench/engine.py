"""The engine's step beside a compiled Keras step, and beside what the processor's matrix product can do at best."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.results import Result
from bench.scale import Scale
from gaugecast.engine import NumpyEngine
from gaugecast.testing import random_model

UNITS, FEATURES = 64, 2
ROWS = (1, 32, 1024)
SIDE = 1024  # of the square matrices whose product is the peak


def measure(scale: Scale) -> list[Result]:
    """LSTM(64) of two features at some batches: rows a second, one thread each; and the share of sgemm's peak."""
    engine = NumpyEngine(random_model(units=(UNITS,)))
    window_s = scale.seconds(0.6)
    results = []
    for rows in ROWS:
        ours, keras = _our_step(engine, rows), _keras_step(engine.input_size, rows)
        paces = [(rows * rate(ours, window_s), rows * rate(keras, window_s)) for _ in range(scale.rounds)]
        note = f"LSTM({UNITS}) and Dense, {rows:,} rows a step, one thread; the peer is Keras' cell in a `tf.function`"
        results.append(Result(f"engine_{rows}_rows_vs_keras", "rows/s", *_columns(paces), note=note))
    step, product = _our_step(engine, ROWS[-1]), _product()
    flops = 2 * ROWS[-1] * ((engine.input_size + UNITS) * 4 * UNITS + UNITS * engine.output_size)
    peaks = [
        (1e-9 * flops * rate(step, window_s), 1e-9 * 2 * SIDE**3 * rate(product, window_s)) for _ in range(scale.rounds)
    ]
    note = f"a step of {ROWS[-1]:,} rows, gates and copies included; the peer is `sgemm` of {SIDE}×{SIDE}, one thread"
    return [*results, Result("engine_vs_sgemm", "GFLOP/s", *_columns(peaks), note=note)]


def rate(work: Callable[[], object], window_s: float) -> float:
    """How often a second, on average over the window."""
    work()
    count, began = 0, time.perf_counter()
    while (took_s := time.perf_counter() - began) < window_s:
        work()
        count += 1
    return count / took_s


def _columns(pairs: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [ours for ours, _ in pairs], [peer for _, peer in pairs]


def _our_step(engine: NumpyEngine, rows: int) -> Callable[[], object]:
    x = np.random.default_rng(0).standard_normal((rows, engine.input_size)).astype(np.float32)
    state = engine.initial_state(rows)
    return lambda: engine.step(x, state)


def _keras_step(inputs: int, rows: int) -> Callable[[], object]:
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    cell, dense = keras.layers.LSTMCell(UNITS), keras.layers.Dense(1)
    cell.build((rows, inputs))
    dense.build((rows, UNITS))
    of_state = tf.TensorSpec((rows, UNITS), tf.float32)

    @tf.function(input_signature=[tf.TensorSpec((rows, inputs), tf.float32), of_state, of_state])  # type: ignore[untyped-decorator]
    def step(x: Any, h: Any, c: Any) -> Any:
        output, (h, c) = cell(x, [h, c])
        return dense(output), h, c

    x, zeros = tf.zeros((rows, inputs)), tf.zeros((rows, UNITS))
    return lambda: step(x, zeros, zeros)


def _product() -> Callable[[], object]:
    a = np.random.default_rng(0).standard_normal((SIDE, SIDE)).astype(np.float32)
    out = np.empty_like(a)
    return lambda: np.matmul(a, a, out=out)
