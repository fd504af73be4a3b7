"""The daemon that tutorials show: a stateful Keras LSTM in `on_message`, the state of each stream put in and taken out.

`predict` is called as they call it; with `compiled` as a third word a `tf.function` with the state as an argument.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

from bench.peers.paho_client import serve

UNITS = 64
_FEATURES = ("pressure", "temperature")
#: (features, (h, c)) to (forecast, (h, c)).
Step = Callable[[Any, Any], tuple[Any, Any]]


def predict_step() -> Step:
    """`model.predict` on a stateful model."""
    lstm = keras.layers.LSTM(UNITS, stateful=True)
    model = keras.Sequential([keras.Input(batch_shape=(1, 1, len(_FEATURES))), lstm, keras.layers.Dense(2)])
    model.predict(np.zeros((1, 1, 2), np.float32), verbose=0)

    def step(x: Any, state: Any) -> tuple[Any, Any]:
        for variable, value in zip(lstm.states, state, strict=True):
            variable.assign(value)
        y = model.predict(x[None, None], verbose=0)
        return y[0], tuple(variable.numpy() for variable in lstm.states)

    return step


def compiled_step() -> Step:
    """The same network as one compiled step."""
    cell, dense = keras.layers.LSTMCell(UNITS), keras.layers.Dense(2)
    cell.build((1, len(_FEATURES)))
    dense.build((1, UNITS))
    of_state = tf.TensorSpec((1, UNITS), tf.float32)

    @tf.function(input_signature=[tf.TensorSpec((1, len(_FEATURES)), tf.float32), of_state, of_state])  # type: ignore[untyped-decorator]
    def compiled(x: Any, h: Any, c: Any) -> Any:
        output, (h, c) = cell(x, [h, c])
        return dense(output), h, c

    compiled(np.zeros((1, 2), np.float32), np.zeros((1, UNITS), np.float32), np.zeros((1, UNITS), np.float32))

    def step(x: Any, state: Any) -> tuple[Any, Any]:
        y, *after = compiled(x[None], *state)
        return y.numpy()[0], after

    return step


def main() -> None:
    """Forecast until killed."""
    step = compiled_step() if sys.argv[3:] == ["compiled"] else predict_step()
    states: dict[str, Any] = {}
    zeros = (np.zeros((1, UNITS), np.float32),) * 2

    def answer(topic: str, payload: bytes) -> str:
        reading = json.loads(payload)
        x = np.array([reading[name] for name in _FEATURES], np.float32)
        y, states[topic] = step(x, states.get(topic, zeros))
        predicted = {name: float(value) for name, value in zip(_FEATURES, y, strict=True)}
        return json.dumps({"at": reading["t"], "predicted": predicted})

    serve(answer)


if __name__ == "__main__":
    main()
