"""Three readings in, the next one out: the classic first program, on a series of ten rows.

The same by command, from a CSV with a column `x`:

    gaugecast train ten.csv --time-column none --look-back 3 --units 50 --activation relu --scaling minmax \
        --epochs 300 --batch-size 6 --schedule constant --learning-rate 0.001 --early-stop 0 --validation 0 --test 0.1
"""

import keras
import numpy as np

STEPS = 3


def cut_windows(series: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Windows (n, 3, 1) and the reading after each (n, 1)."""
    x = np.stack([series[i : i + STEPS] for i in range(len(series) - STEPS)])
    return x[..., None], series[STEPS:, None]


def run(epochs: int = 300) -> float:
    """Train on 10…90, forecast what follows 70, 80, 90."""
    keras.utils.set_random_seed(0)
    low, width = 10.0, 80.0  # of the training part
    x, y = cut_windows((np.arange(10.0, 100.0, 10.0) - low) / width)
    net = keras.Sequential([keras.Input((STEPS, 1)), keras.layers.LSTM(50, activation="relu"), keras.layers.Dense(1)])
    net.compile(keras.optimizers.Adam(0.001), "mse")
    net.fit(x, y, epochs=epochs, batch_size=6, verbose=0)
    newest = (np.array([70.0, 80.0, 90.0]) - low) / width
    return float(net(newest[None, :, None])[0, 0]) * width + low


if __name__ == "__main__":
    print(f"after 70, 80, 90 comes {run():.1f}")
