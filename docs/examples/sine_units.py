"""How many units for a sine? 16, 32 and 64, look-back 10, scored on rows that were held out.

The same by command:

    gaugecast tune sine.csv --time-column none --sampler grid --units 16,32,64 --look-back 10 --scaling minmax \
        --epochs 6 --learning-rate 0.01 --schedule constant --early-stop 0 --validation 0.2 --test 0
"""

import keras
import numpy as np

STEPS, TRAIN = 10, 800


def run(epochs: int = 6, choices: tuple[int, ...] = (16, 32, 64)) -> dict[int, float]:
    """Mean square error on the last 200 rows by units, in squared deviations."""
    series = np.sin(np.arange(0, 100, 0.1))
    low, high = series[:TRAIN].min(), series[:TRAIN].max()
    scaled = ((series - low) / (high - low)).astype("float32")
    windows = np.stack([scaled[t - STEPS : t] for t in range(STEPS, 1000)])[..., None]
    targets = scaled[STEPS:, None]
    found = {}
    for units in choices:
        keras.utils.set_random_seed(0)
        net = keras.Sequential([keras.Input((STEPS, 1)), keras.layers.LSTM(units), keras.layers.Dense(1)])
        net.compile(keras.optimizers.Adam(0.01, global_clipnorm=1.0), "mse")
        net.fit(windows[: TRAIN - STEPS], targets[: TRAIN - STEPS], epochs=epochs, batch_size=32, verbose=0)
        error = (net(windows[TRAIN - STEPS :]).numpy() - targets[TRAIN - STEPS :]) * (high - low)
        found[units] = float(np.mean((error / series[:TRAIN].std()) ** 2))
    return found


if __name__ == "__main__":
    for units, error in run().items():
        print(f"{units} units: {error:.6f}")
