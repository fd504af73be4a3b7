"""Stateful, batch size 1: the series in order, the state carried from piece to piece, reset after each epoch.

The same by command:

    gaugecast train waves.csv --time-column none --units 16 --scaling standard --segment 25 --epochs 15 \
        --schedule constant --learning-rate 0.01 --early-stop 0 --validation 0 --test 0.25
"""

import keras
import numpy as np

SEGMENT, TRAIN = 25, 600


def make_series() -> np.ndarray:
    """Two waves, 800 rows."""
    t = np.arange(800)
    return 20.0 + 3.0 * np.sin(2 * np.pi * t / 25) + np.sin(2 * np.pi * t / 60)


def make_network() -> keras.Model:
    """One stream, any number of steps, the state kept between calls."""
    keras.utils.set_random_seed(0)
    layers = [keras.layers.LSTM(16, stateful=True, return_sequences=True), keras.layers.Dense(1)]
    return keras.Sequential([keras.Input(batch_shape=(1, None, 1)), *layers])


def run(net: keras.Model, epochs: int = 15) -> float:
    """Mean square error of next-step forecasts on the last 200 rows, in the series' unit."""
    series = make_series()
    mean, deviation = series[:TRAIN].mean(), series[:TRAIN].std()
    scaled = ((series - mean) / deviation).astype("float32")[None, :, None]
    net.compile(keras.optimizers.Adam(0.01, global_clipnorm=1.0), "mse")
    for _ in range(epochs):
        net.layers[0].reset_states()
        for start in range(0, TRAIN - 1, SEGMENT):
            stop = min(start + SEGMENT, TRAIN - 1)
            net.train_on_batch(scaled[:, start:stop], scaled[:, start + 1 : stop + 1])
    net.layers[0].reset_states()
    forecast = net(scaled[:, :-1]).numpy()[0, TRAIN - 1 :, 0] * deviation + mean
    return float(np.mean((forecast - series[TRAIN:]) ** 2))


if __name__ == "__main__":
    print(f"mean square error of the next step: {run(make_network()):.4f}")
