"""How many units for a sine? 16, 32 and 64, look-back 10, scored on rows that were held out.

The same by command:

    gaugecast tune sine.csv --time-column none --sampler grid --units 16,32,64 --look-back 10 --no-shuffle \
        --scaling minmax --epochs 6 --learning-rate 0.01 --schedule constant --early-stop 0 --validation 0.2 --test 0
"""

import keras
import numpy as np

STEPS, TRAIN = 10, 800


def make_series() -> np.ndarray:
    """0…100 by 0.1."""
    return np.sin(np.arange(0, 100, 0.1))


def make_network(units: int) -> keras.Model:
    """Many-to-one."""
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((STEPS, 1)), keras.layers.LSTM(units), keras.layers.Dense(1)])


def run(net: keras.Model, epochs: int = 6) -> float:
    """Mean square error on the last 200 rows, in squared deviations."""
    series = make_series()
    low, high = series[:TRAIN].min(), series[:TRAIN].max()
    scaled = ((series - low) / (high - low)).astype("float32")
    windows = np.stack([scaled[t - STEPS : t] for t in range(STEPS, 1000)])[..., None]
    targets = scaled[STEPS:, None]
    learned = TRAIN - STEPS
    net.compile(keras.optimizers.Adam(0.01, global_clipnorm=1.0), "mse")
    net.fit(windows[:learned], targets[:learned], epochs=epochs, batch_size=32, shuffle=False, verbose=0)
    error = (net(windows[learned:]).numpy() - targets[learned:]) * (high - low)
    return float(np.mean((error / series[:TRAIN].std()) ** 2))


if __name__ == "__main__":
    for units in (16, 32, 64):
        print(f"{units} units: {run(make_network(units)):.6f}")
