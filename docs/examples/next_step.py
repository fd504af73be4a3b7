"""Many-to-many: at every step the next one of every feature, the series itself shifted by one as target.

The same by command:

    gaugecast train waves.csv --time-column none --look-back 20 --stride 20 --no-shuffle --target sequence \
        --units 16 --scaling minmax --epochs 30 --batch-size 8 --schedule constant --learning-rate 0.01 \
        --early-stop 0 --validation 0 --test 0.25
"""

import keras
import numpy as np

STEPS, TRAIN = 20, 600


def make_series() -> np.ndarray:
    """Two features that hang on each other, (800, 2)."""
    t = np.arange(800)
    return np.stack([5.0 + np.sin(2 * np.pi * t / 25), 50.0 + 4.0 * np.cos(2 * np.pi * t / 25)], axis=1)


def make_network() -> keras.Model:
    """Many-to-many: an output a step."""
    keras.utils.set_random_seed(0)
    layers = [keras.layers.LSTM(16, return_sequences=True), keras.layers.TimeDistributed(keras.layers.Dense(2))]
    return keras.Sequential([keras.Input((STEPS, 2)), *layers])


def run(net: keras.Model, epochs: int = 30) -> float:
    """Mean square error of the step after each window in the last 200 rows, in squared deviations."""
    series = make_series()
    low, high = series[:TRAIN].min(axis=0), series[:TRAIN].max(axis=0)
    scaled = ((series - low) / (high - low)).astype("float32")
    starts = range(0, TRAIN - STEPS, STEPS)
    x = np.stack([scaled[s : s + STEPS] for s in starts])
    y = np.stack([scaled[s + 1 : s + STEPS + 1] for s in starts])
    net.compile(keras.optimizers.Adam(0.01, global_clipnorm=1.0), "mse")
    net.fit(x, y, epochs=epochs, batch_size=8, shuffle=False, verbose=0)
    held_out = np.stack([scaled[t - STEPS : t] for t in range(TRAIN, 800)])
    forecast = net(held_out).numpy()[:, -1] * (high - low) + low
    return float(np.mean(((forecast - series[TRAIN:]) / series[:TRAIN].std(axis=0)) ** 2))


if __name__ == "__main__":
    print(f"mean square error of the next step: {run(make_network()):.5f} squared deviations")
