"""The LSTM autoencoder: a window squeezed into one vector and unrolled again; what it cannot rebuild is strange.

The same by command:

    gaugecast autoencoder waves.csv --time-column none --window 20 --encoder 16 --decoder 16 --epochs 40 \
        --learning-rate 0.005 --early-stop 0 --validation 0 --train-rows 600
"""

import keras
import numpy as np

STEPS, TRAIN = 20, 600


def make_series() -> np.ndarray:
    """A wave of 800 rows; from row 700 on it stands still for 30."""
    series = np.sin(2 * np.pi * np.arange(800) / 20)
    series[700:730] = series[700]
    return series


def run(epochs: int = 40) -> float:
    """How much worse windows with the fault are rebuilt than those before it: ratio of mean errors."""
    keras.utils.set_random_seed(0)
    series = make_series()
    scaled = ((series - series[:TRAIN].mean()) / series[:TRAIN].std()).astype("float32")
    windows = np.stack([scaled[t - STEPS : t] for t in range(STEPS, 801)])[..., None]
    net = keras.Sequential(
        [
            keras.Input((STEPS, 1)),
            keras.layers.LSTM(16),  # many-to-one
            keras.layers.RepeatVector(STEPS),
            keras.layers.LSTM(16, return_sequences=True),  # one-to-many
            keras.layers.TimeDistributed(keras.layers.Dense(1)),
        ]
    )
    net.compile(keras.optimizers.Adam(0.005, global_clipnorm=1.0), "mse")
    fitted = windows[: TRAIN - STEPS]
    net.fit(fitted, fitted, epochs=epochs, batch_size=32, verbose=0)
    error = np.mean((net(windows).numpy() - windows) ** 2, axis=(1, 2))  # of the window that ends before row t
    return float(error[715 - STEPS : 730 - STEPS].mean() / error[TRAIN - STEPS : 700 - STEPS].mean())


if __name__ == "__main__":
    print(f"windows with the fault are rebuilt {run():.0f} times worse")
