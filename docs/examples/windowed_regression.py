"""Three readings in, the next one out: the classic first program, on a series of ten rows.

The same by command, from a CSV with a column `x`:

    gaugecast train ten.csv --time-column none --look-back 3 --units 50 --activation relu --scaling minmax \
        --epochs 300 --batch-size 6 --schedule constant --learning-rate 0.001 --clip-norm 0 --early-stop 0 \
        --validation 0 --test 0.1
"""

import keras
import numpy as np

STEPS = 3
SERIES = np.arange(10.0, 101.0, 10.0)  # the last row is held out


def make_network() -> keras.Model:
    """Many-to-one."""
    keras.utils.set_random_seed(0)
    layers = [keras.layers.LSTM(50, activation="relu"), keras.layers.Dense(1)]
    return keras.Sequential([keras.Input((STEPS, 1)), *layers])


def run(net: keras.Model, epochs: int = 300) -> float:
    """Train on 10…90, forecast what follows 70, 80, 90."""
    low, width = 10.0, 80.0  # of the training part
    scaled = (SERIES[:9] - low) / width
    windows = np.lib.stride_tricks.sliding_window_view(scaled, STEPS)[..., None]
    net.compile(keras.optimizers.Adam(0.001), "mse")
    net.fit(windows[:-1], scaled[STEPS:, None], epochs=epochs, batch_size=6, verbose=0)
    return float(net(windows[-1:])[0, 0]) * width + low


if __name__ == "__main__":
    print(f"after 70, 80, 90 comes {run(make_network()):.1f}")
