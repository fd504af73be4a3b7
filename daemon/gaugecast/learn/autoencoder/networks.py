"""Encoder, decoder and both after each other as Keras models: what is fitted, and what goes into `.keras` files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gaugecast.config.autoencoding import Autoencoder
from gaugecast.learn.autoencoder.detector import Calibration, Detector, Rebuilder, cut_windows, weight_shapes
from gaugecast.learn.fit.backend import load_tensorflow
from gaugecast.records import Float32, Float64


class KerasAutoencoder:
    """Keras models that are fitted to one file after another, each time from the seed's first weights.

    Compiling takes Keras longer than fitting to 400 rows, so the compiled models stay. One thread's.
    """

    def __init__(self, settings: Autoencoder, features: tuple[str, ...]) -> None:
        _, keras = load_tensorflow()
        keras.utils.set_random_seed(settings.seed)
        self._keras, self._settings, self._features = keras, settings, features
        layers, width = keras.layers, len(features)
        top = len(settings.encoder) - 1
        self.encoder = keras.Sequential(
            [
                keras.Input((settings.window, width)),
                *(layers.LSTM(u, return_sequences=i < top) for i, u in enumerate(settings.encoder)),
            ],
            name="encoder",
        )
        self.decoder = keras.Sequential(
            [
                keras.Input((settings.encoder[-1],)),
                layers.RepeatVector(settings.window),
                *(layers.LSTM(u, return_sequences=True) for u in settings.decoder),
                layers.TimeDistributed(layers.Dense(width)),
            ],
            name="decoder",
        )
        entry = keras.Input((settings.window, width))
        self.whole = keras.Model(entry, self.decoder(self.encoder(entry)), name="autoencoder")
        loss = "mae" if settings.error == "absolute" else "mse"
        self.whole.compile(keras.optimizers.Adam(settings.learning_rate, global_clipnorm=1.0), loss)
        self.whole.optimizer.build(self.whole.trainable_variables)
        self.curves: dict[str, list[float]] = {}  # losses by epoch of the last fit
        self._begun = [variable.numpy() for variable in self._everything()]

    def fit(self, values: Float64, on_epoch: Callable[[int], None] = lambda _: None) -> Detector:
        """A detector fitted to usual rows.

        Args:
            values: (T, F), NaN = never seen so far; T at least the window and two.
            on_epoch: Told the number of each epoch that is over, from 1.
        """
        for variable, first in zip(self._everything(), self._begun, strict=True):
            variable.assign(first)
        self._keras.utils.set_random_seed(self._settings.seed)
        centre, spread = _scaling(values)
        windows = cut_windows(values, centre, spread, self._settings.window)
        self.curves = self._descend(windows, on_epoch)
        weights = self.weights()
        errors = Rebuilder(self._settings, len(self._features), weights).errors(windows)
        threshold = float(np.quantile(errors, self._settings.quantile)) * self._settings.margin
        calibration = Calibration(
            self._features, centre, spread, threshold, len(self.curves["training"]), float(errors.mean())
        )
        return Detector(self._settings, calibration, weights)

    def weights(self) -> dict[str, Float32]:
        """All weights as they stand, by the names of `weight_shapes`."""
        names = weight_shapes(self._settings, len(self._features))
        return {n: np.asarray(v.numpy(), np.float32) for n, v in zip(names, self._variables(), strict=True)}

    def _descend(self, windows: Float32, on_epoch: Callable[[int], None]) -> dict[str, list[float]]:
        """Fit to windows (N, W, F), the last share of them saying when to stop; the losses of each epoch."""
        settings, callbacks = self._settings, self._keras.callbacks
        held_out = round(settings.validation * len(windows))
        learned, judged = windows[: len(windows) - held_out], windows[len(windows) - held_out :]
        called = [callbacks.LambdaCallback(on_epoch_end=lambda epoch, _: on_epoch(epoch + 1))]
        if settings.early_stop:
            watched = "val_loss" if held_out else "loss"
            called.append(callbacks.EarlyStopping(watched, patience=settings.early_stop, restore_best_weights=True))
        history = self.whole.fit(
            learned, learned, epochs=settings.epochs, batch_size=settings.batch_size, verbose=0,
            validation_data=(judged, judged) if held_out else None, callbacks=called,
        )  # fmt: skip
        names = {"training": "loss", "validation": "val_loss"}
        return {name: list(map(float, history.history[key])) for name, key in names.items() if key in history.history}

    def _variables(self) -> list[Any]:
        return [*self.encoder.weights, *self.decoder.weights]

    def _everything(self) -> list[Any]:
        return [*self._variables(), *self.whole.optimizer.variables]


def _scaling(values: Float64) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of each column of (T, F), NaN left out; a constant's deviation is 1."""
    known = ~np.isnan(values)
    count = np.maximum(known.sum(axis=0), 1)
    centre = np.where(known, values, 0.0).sum(axis=0) / count
    deviation = np.sqrt(np.where(known, np.square(values - centre), 0.0).sum(axis=0) / count)
    moved = deviation > 1e-12 * np.maximum(np.abs(centre), 1.0)
    return tuple(centre.tolist()), tuple(np.where(moved, deviation, 1.0).tolist())
