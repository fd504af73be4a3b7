"""Encoder and decoder in NumPy, what they were fitted to, and the errors and alarms that they give for rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gaugecast.config.autoencoding import Autoencoder
from gaugecast.forecast.anomaly.autoencoder import Rebuilder as Stacks
from gaugecast.model import Layer, Manifest, Model, Recipe
from gaugecast.records import Bool, Float32, Float64


@dataclass(frozen=True, slots=True)
class Calibration:
    """What usual rows looked like.

    Attributes:
        features: Columns that are fed, F of them.
        centre, spread: Mean and deviation of each over the training part, F numbers.
        threshold: Errors above it are unusual.
        epochs_run: Passes over the training part.
        loss: Mean error of the training part's windows.
    """

    features: tuple[str, ...]
    centre: tuple[float, ...]
    spread: tuple[float, ...]
    threshold: float
    epochs_run: int
    loss: float


class Detector:
    """Says which rows are unusual. T rows, F features, windows of W rows; errors are in deviations. One thread's.

    Attributes:
        weights: By the names of `weight_shapes`.
    """

    def __init__(self, settings: Autoencoder, calibration: Calibration, weights: Mapping[str, Float32]) -> None:
        self.settings, self.calibration, self.weights = settings, calibration, dict(weights)
        self._rebuild = Rebuilder(settings, len(calibration.features), weights)

    def errors(self, values: Float64) -> Float64:
        """Error of the window that ends at each row (T,); NaN before the first whole one."""
        out = np.full(len(values), np.nan)
        calibration, window = self.calibration, self.settings.window
        if len(values) >= window:
            windows = cut_windows(values, calibration.centre, calibration.spread, window)
            out[window - 1 :] = self._rebuild.errors(windows)
        return out

    def rebuilt(self, values: Float64) -> Float64:
        """Each row as the window that ends there rebuilds it (T, F), in the sensors' units; NaN before the first."""
        out = np.full(values.shape, np.nan)
        found, window = self.calibration, self.settings.window
        if len(values) >= window:
            windows = cut_windows(values, found.centre, found.spread, window)
            last = self._rebuild.rebuild(windows)[:, -1]
            out[window - 1 :] = last * np.array(found.spread) + np.array(found.centre)
        return out

    def alarms(self, error: Float64) -> Bool:
        """Rows at which the last windows, as many as are held, were all unusual (T,): nothing later bears on it."""
        over = np.nan_to_num(error, nan=-1.0) > self.calibration.threshold
        rows = np.arange(len(over))
        newest_usual = np.maximum.accumulate(np.where(over, -1, rows))
        return np.asarray(over & (rows - newest_usual >= self.settings.windows_held))


class Rebuilder:
    """The network of a detector, and its errors."""

    def __init__(self, settings: Autoencoder, features: int, weights: Mapping[str, Float32]) -> None:
        self._squared = settings.error == "squared"
        encoder = _stack("encoder", settings.encoder, features, 0, weights)
        self._net = Stacks(encoder, _stack("decoder", settings.decoder, settings.encoder[-1], features, weights))

    def rebuild(self, windows: Float32) -> Float32:
        """What is left of windows (N, W, F) after encoder and decoder, the same shape."""
        return self._net.rebuild(windows)

    def errors(self, windows: Float32) -> Float64:
        """Mean absolute or mean square error of each window (N,)."""
        missed = (self.rebuild(windows) - windows).astype(np.float64)
        size = np.square(missed) if self._squared else np.abs(missed)
        return np.asarray(size.mean(axis=(1, 2)))


def weight_shapes(settings: Autoencoder, features: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of all weights, in the order in which Keras has them."""
    encoder = _manifest(settings.encoder, features, 0).weight_shapes()
    decoder = _manifest(settings.decoder, settings.encoder[-1], features).weight_shapes()
    return {f"encoder/{n}": s for n, s in encoder.items()} | {f"decoder/{n}": s for n, s in decoder.items()}


def cut_windows(values: Float64, centre: Sequence[float], spread: Sequence[float], window: int) -> Float32:
    """Each `window` successive rows of (T, F), scaled: (T − W + 1, W, F); what was never seen lies at the centre."""
    scaled = np.nan_to_num((values - np.asarray(centre)) / np.asarray(spread)).astype(np.float32)
    view = np.lib.stride_tricks.sliding_window_view(scaled, window, axis=0)
    return np.ascontiguousarray(view.swapaxes(1, 2))


def _stack(name: str, units: Sequence[int], inputs: int, outputs: int, weights: Mapping[str, Float32]) -> Model:
    manifest = _manifest(units, inputs, outputs)
    return Model(manifest, {n: weights[f"{name}/{n}"] for n in manifest.weight_shapes()})


def _manifest(units: Sequence[int], inputs: int, outputs: int) -> Manifest:
    """LSTM layers, and a Dense layer where there are `outputs`; what a manifest says of fleets has no meaning here."""
    return Manifest(
        fleet="autoencoder", features=(("window", "input"),), period_s=1.0, rows="joint",
        recipe=Recipe(half_life_steps=1.0), layers=tuple(Layer(u) for u in units), input_size=inputs,
        output_size=outputs or units[-1], head="dense" if outputs else "none",
    )  # fmt: skip
