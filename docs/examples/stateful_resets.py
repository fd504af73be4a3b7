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


def run(epochs: int = 15) -> float:
    """Mean square error of next-step forecasts on the last 200 rows, in the series' unit."""
    keras.utils.set_random_seed(0)
    series = make_series()
    mean, deviation = series[:TRAIN].mean(), series[:TRAIN].std()
    scaled = ((series - mean) / deviation).astype("float32")[None, :, None]
    layers = [keras.layers.LSTM(16, stateful=True, return_sequences=True), keras.layers.Dense(1)]
    net = keras.Sequential([keras.Input(batch_shape=(1, SEGMENT, 1)), *layers])
    net.compile(keras.optimizers.Adam(0.01, global_clipnorm=1.0), "mse")
    for _ in range(epochs):
        layers[0].reset_states()
        for start in range(0, TRAIN - SEGMENT, SEGMENT):
            stop = start + SEGMENT
            net.train_on_batch(scaled[:, start:stop], scaled[:, start + 1 : stop + 1])
    layers[0].reset_states()
    pieces = [net(scaled[:, s : s + SEGMENT]).numpy()[0, :, 0] for s in range(0, 800 - SEGMENT + 1, SEGMENT)]
    forecast = np.concatenate(pieces)[TRAIN - 1 : -1] * deviation + mean
    return float(np.mean((forecast - series[TRAIN:]) ** 2))


if __name__ == "__main__":
    print(f"mean square error of the next step: {run():.4f}")
