"""Several steps ahead: adjust the state on what is known, then feed each forecast back as the next reading.

The same by command (and what the daemon does for `horizon` steps):

    gaugecast train sine.csv --time-column none --units 24 --scaling standard --segment 50 --epochs 40 --horizon 10 \
        --schedule constant --learning-rate 0.01 --early-stop 0 --validation 0 --test 0.25
"""

import keras
import numpy as np

SEGMENT, TRAIN, HORIZON = 50, 600, 10


def make_series() -> np.ndarray:
    """A sine with a period of 25 rows, 800 rows."""
    return np.sin(2 * np.pi * np.arange(800) / 25)


def run(epochs: int = 40) -> float:
    """Mean square error of the tenth step ahead, from origins in the last 200 rows, in squared deviations."""
    keras.utils.set_random_seed(0)
    series = make_series()
    mean, deviation = series[:TRAIN].mean(), series[:TRAIN].std()
    scaled = ((series - mean) / deviation).astype("float32")
    cell = keras.layers.LSTM(24, stateful=True, return_sequences=True)
    head = keras.layers.Dense(1)
    net = keras.Sequential([keras.Input(batch_shape=(1, None, 1)), cell, head])
    net.compile(keras.optimizers.Adam(0.01, global_clipnorm=1.0), "mse")
    for _ in range(epochs):
        cell.reset_states()
        for start in range(0, TRAIN - SEGMENT, SEGMENT):
            piece = scaled[None, start : start + SEGMENT + 1, None]
            net.train_on_batch(piece[:, :-1], piece[:, 1:])
    errors = []
    for origin in range(TRAIN, 800 - HORIZON, 20):
        cell.reset_states()
        y = net(scaled[None, : origin + 1, None]).numpy()[0, -1, 0]  # adjusts the state, forecasts the first step
        for _ in range(HORIZON - 1):
            y = net(np.full((1, 1, 1), y, "float32")).numpy()[0, -1, 0]
        errors.append((y - scaled[origin + HORIZON]) ** 2)
    return float(np.mean(errors))


if __name__ == "__main__":
    print(f"mean square error {HORIZON} steps ahead: {run():.4f} squared deviations")
