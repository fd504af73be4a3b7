"""The LSTM autoencoder: a window squeezed into one vector and unrolled again; what it cannot rebuild is strange.

The same by command, `fault` being 1 while the wave stands still:

    gaugecast autoencoder waves.csv --time-column none --features x --window 20 --encoder 16 --decoder 16 \
        --error squared --epochs 40 --learning-rate 0.005 --early-stop 0 --validation 0 --train-rows 600 -o runs/waves
    gaugecast backtest waves.csv --time-column none --model runs/waves --label fault
"""

import keras
import numpy as np

STEPS, TRAIN = 20, 600


def make_series() -> np.ndarray:
    """A wave of 800 rows; from row 700 on it stands still for 30."""
    series = np.sin(2 * np.pi * np.arange(800) / 20)
    series[700:730] = series[700]
    return series


def make_network() -> keras.Model:
    """Many-to-one, repeat, one-to-many."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((STEPS, 1)),
            keras.layers.LSTM(16),
            keras.layers.RepeatVector(STEPS),
            keras.layers.LSTM(16, return_sequences=True),
            keras.layers.TimeDistributed(keras.layers.Dense(1)),
        ]
    )


def run(net: keras.Model, epochs: int = 40) -> np.ndarray:
    """Mean square error of the window that ends with each row, from row 19 on, in squared deviations."""
    series = make_series()
    scaled = ((series - series[:TRAIN].mean()) / series[:TRAIN].std()).astype("float32")
    windows = np.lib.stride_tricks.sliding_window_view(scaled, STEPS)[..., None]
    usual = windows[: TRAIN - STEPS + 1]
    net.compile(keras.optimizers.Adam(0.005, global_clipnorm=1.0), "mse")
    keras.utils.set_random_seed(0)  # of the order of the windows
    net.fit(usual, usual, epochs=epochs, batch_size=32, verbose=0)
    return np.mean((net(windows).numpy() - windows) ** 2, axis=(1, 2))


if __name__ == "__main__":
    errors = run(make_network())
    before, within = errors[TRAIN - STEPS : 700 - STEPS].mean(), errors[715 - STEPS : 730 - STEPS].mean()
    print(f"windows with the fault are rebuilt {within / before:.0f} times worse")
