"""Several steps ahead: adjust the state on what is known, then feed each forecast back as the next reading.

The same by command (and what the daemon does for `horizon` steps):

    gaugecast train sine.csv --time-column none --units 24 --scaling standard --segment 50 --epochs 40 --horizon 10 \
        --schedule constant --learning-rate 0.01 --early-stop 0 --validation 0 --test 0.25
"""

import keras
import numpy as np

SEGMENT, TRAIN, HORIZON = 50, 600, 10
ORIGINS = range(TRAIN, 800 - HORIZON, 20)  # rows after which is forecast


def make_series() -> np.ndarray:
    """A sine with a period of 25 rows, 800 rows."""
    return np.sin(2 * np.pi * np.arange(800) / 25)


def make_network() -> keras.Model:
    """One stream, any number of steps, the state kept between calls."""
    keras.utils.set_random_seed(0)
    layers = [keras.layers.LSTM(24, stateful=True, return_sequences=True), keras.layers.Dense(1)]
    return keras.Sequential([keras.Input(batch_shape=(1, None, 1)), *layers])


def run(net: keras.Model, epochs: int = 40) -> float:
    """Mean square error of the tenth step ahead, from origins in the last 200 rows, in squared deviations."""
    series = make_series()
    scaled = ((series - series[:TRAIN].mean()) / series[:TRAIN].std()).astype("float32")
    net.compile(keras.optimizers.Adam(0.01, global_clipnorm=1.0), "mse")
    for _ in range(epochs):
        net.layers[0].reset_states()
        for start in range(0, TRAIN - 1, SEGMENT):
            piece = scaled[None, start : min(start + SEGMENT, TRAIN - 1) + 1, None]
            net.train_on_batch(piece[:, :-1], piece[:, 1:])
    cell, known, errors = net.layers[0], 0, []
    cell.reset_states()
    for origin in ORIGINS:
        y = net(scaled[None, known : origin + 1, None]).numpy()[:, -1:]  # adjusts the state, forecasts the first step
        known = origin + 1
        kept = [state.numpy() for state in cell.states]
        for _ in range(HORIZON - 1):
            y = net(y).numpy()
        for state, value in zip(cell.states, kept, strict=True):
            state.assign(value)  # forecasts leave no trace
        errors.append((y[0, 0, 0] - scaled[origin + HORIZON]) ** 2)
    return float(np.mean(errors))


if __name__ == "__main__":
    print(f"mean square error {HORIZON} steps ahead: {run(make_network()):.4f} squared deviations")
