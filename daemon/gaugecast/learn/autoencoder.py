"""The LSTM autoencoder as a detector: windows are squeezed into one vector and rebuilt; a large error is an alarm.

Encoder (many-to-one), RepeatVector, decoder (one-to-many), fitted to its own input on rows that are taken as usual.
The weights stay as they are afterwards: a detector that goes on learning learns the fault. Protocol of SKAB: each
file on its own, its first 400 rows train, the rest is judged; F1 and rates over the rows of all files together.
Source: Malhotra et al. 2016, "LSTM-based Encoder-Decoder for Multi-sensor Anomaly Detection".
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gaugecast.config.autoencoding import Autoencoder
from gaugecast.errors import ConfigError
from gaugecast.fleet import Feature
from gaugecast.learn.backend import load_tensorflow
from gaugecast.learn.train.prepared import hold
from gaugecast.learn.train.sources import Columns, fleet_of_file, record
from gaugecast.records import Bool, Float32, Float64, Int64


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows by what was said of them and what they were."""

    hit: int = 0
    false_alarm: int = 0
    missed: int = 0
    quiet: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(a + b for a, b in zip(asdict(self).values(), asdict(other).values(), strict=True)))

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 where nothing was hit."""
        return 2 * self.hit / max(2 * self.hit + self.false_alarm + self.missed, 1)

    @property
    def false_alarm_share(self) -> float:
        """False alarms, as a share of the usual rows."""
        return self.false_alarm / max(self.false_alarm + self.quiet, 1)

    @property
    def missed_share(self) -> float:
        """Rows that were missed, as a share of the labelled ones."""
        return self.missed / max(self.missed + self.hit, 1)


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """One file.

    Attributes:
        at: Event times of its rows, ns (T,).
        error: Mean square error of the window that ends at each row (T,), NaN before the first whole one.
        threshold: Errors above it are alarms.
        learned: Rows that the network was fitted on.
        labels: Whether something was wrong at each row (T,), or `None`.
    """

    name: str
    at: Int64
    error: Float64
    threshold: float
    learned: int
    labels: Bool | None

    @property
    def alarms(self) -> Bool:
        """Rows with an alarm (T,)."""
        return np.nan_to_num(self.error, nan=-1.0) > self.threshold

    @property
    def counts(self) -> Counts:
        """Of the rows after the training part."""
        if self.labels is None:
            return Counts()
        said, wrong = self.alarms[self.learned :], self.labels[self.learned :]
        return Counts(
            int((said & wrong).sum()),
            int((said & ~wrong).sum()),
            int((~said & wrong).sum()),
            int((~said & ~wrong).sum()),
        )


class Detector:
    """Encoder and decoder of one file, with the scaling of its training part."""

    def __init__(self, settings: Autoencoder, features: int) -> None:
        _, keras = load_tensorflow()
        keras.utils.set_random_seed(settings.seed)
        self._keras, self._settings = keras, settings
        layers = keras.layers
        top = len(settings.encoder) - 1
        self.encoder = keras.Sequential(
            [
                keras.Input((settings.window, features)),
                *(layers.LSTM(u, return_sequences=i < top) for i, u in enumerate(settings.encoder)),
            ],
            name="encoder",
        )
        self.decoder = keras.Sequential(
            [
                keras.Input((settings.encoder[-1],)),
                layers.RepeatVector(settings.window),
                *(layers.LSTM(u, return_sequences=True) for u in settings.decoder),
                layers.TimeDistributed(layers.Dense(features)),
            ],
            name="decoder",
        )
        entry = keras.Input((settings.window, features))
        self.network = keras.Model(entry, self.decoder(self.encoder(entry)), name="autoencoder")
        self._mean, self._spread = np.zeros(features), np.ones(features)

    def fit(self, values: Float64) -> float:
        """Fit to usual rows (T, F); the threshold of the errors of their windows."""
        settings, keras = self._settings, self._keras
        self._mean, deviation = values.mean(axis=0), values.std(axis=0)
        self._spread = np.where(deviation > 0, deviation, 1.0)
        windows = self._windows(values)
        held_out = round(settings.validation * len(windows))
        learned, judged = windows[: len(windows) - held_out], windows[len(windows) - held_out :]
        self.network.compile(keras.optimizers.Adam(settings.learning_rate, global_clipnorm=1.0), "mse")
        stop = keras.callbacks.EarlyStopping(
            monitor="val_loss" if held_out else "loss", patience=settings.early_stop, restore_best_weights=True
        )
        self.network.fit(
            learned, learned, epochs=settings.epochs, batch_size=settings.batch_size, verbose=0,
            validation_data=(judged, judged) if held_out else None, callbacks=[stop] if settings.early_stop else [],
        )  # fmt: skip
        return float(np.quantile(self._errors(windows), settings.quantile)) * settings.margin

    def errors(self, values: Float64) -> Float64:
        """Mean square error of the window that ends at each row (T,); NaN before the first whole one."""
        out = np.full(len(values), np.nan)
        out[self._settings.window - 1 :] = self._errors(self._windows(values))
        return out

    def save(self, directory: Path) -> None:
        """Write encoder, decoder and both together as `.keras` files, and the scaling beside them."""
        directory.mkdir(parents=True, exist_ok=True)
        for name, net in (("encoder", self.encoder), ("decoder", self.decoder), ("autoencoder", self.network)):
            net.save(directory / f"{name}.keras")
        np.savez(directory / "scaling.npz", centre=self._mean, spread=self._spread)

    def _windows(self, values: Float64) -> Float32:
        scaled = ((values - self._mean) / self._spread).astype(np.float32)
        view = np.lib.stride_tricks.sliding_window_view(scaled, self._settings.window, axis=0)
        return np.ascontiguousarray(view.swapaxes(1, 2))

    def _errors(self, windows: Float32) -> Float64:
        parts = np.array_split(windows, max(len(windows) // 2048, 1))
        rebuilt = np.concatenate([np.asarray(self.network(part, training=False)) for part in parts])
        return np.asarray(np.mean(np.square(rebuilt - windows), axis=(1, 2), dtype=np.float64))


def judge_files(
    paths: Sequence[Path],
    settings: Autoencoder,
    columns: Columns,
    *,
    directory: Path | None = None,
    on_file: Callable[[Judgement], None] | None = None,
) -> list[Judgement]:
    """Fit and judge each file on its own.

    Args:
        paths: CSV or Parquet files with the same columns.
        settings: How.
        columns: Which columns mean what.
        directory: Where each file's networks are saved; `None` = nowhere.
        on_file: Called after each.

    Raises:
        ConfigError: A file cannot be read, or is too short for a window.
    """
    judged = []
    for path in paths:
        at, values, labels = _read(path, settings, columns)
        wanted = settings.train_rows
        learned = round(wanted * len(values)) if wanted < 1 else min(round(wanted), len(values))
        if learned < settings.window + 2:
            raise ConfigError(
                f"{path}: too few rows: expected at least {settings.window + 2} to train windows of "
                f"{settings.window} on, got {learned}"
            )
        detector = Detector(settings, values.shape[1])
        threshold = detector.fit(values[:learned])
        judged.append(Judgement(path.stem, at, detector.errors(values), threshold, learned, labels))
        if directory is not None:
            detector.save(directory / path.stem)
        if on_file is not None:
            on_file(judged[-1])
    return judged


def _read(path: Path, settings: Autoencoder, columns: Columns) -> tuple[Int64, Float64, Bool | None]:
    """Times (T,), values (T, F), absent ones held, and labels (T,) of one file."""
    fleet = fleet_of_file(path, columns)
    fed = [f for f in fleet.features if f.name not in (settings.label, *settings.ignore)]
    extra = [Feature(settings.label, path=(settings.label,))] if settings.label else []
    scratch = Path(tempfile.mkdtemp(prefix="gaugecast-rows-"))
    try:
        recording = record([path], replace(fleet, features=(*fed, *extra)), columns, scratch)
        (stream, *_) = recording.streams
        at, rows = recording.read(stream, 0, recording.rows(stream))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    values = np.nan_to_num(hold(rows[:, : len(fed)], np.full(len(fed), np.nan)))
    return at, values, rows[:, -1] > 0.5 if extra else None


def total_counts(judged: Sequence[Judgement]) -> Counts:
    """Over the rows of all files together (micro)."""
    return sum((one.counts for one in judged), Counts())


def draw_errors(plt: Any, judged: Sequence[Judgement]) -> Any:
    """A panel a file: error and threshold over time, what was labelled shaded, what was learned marked."""
    figure, axes = plt.subplots(len(judged), 1, figsize=(9, 0.4 + 1.5 * len(judged)), squeeze=False)
    for one, panel in zip(judged, axes[:, 0], strict=True):
        when = one.at.astype("datetime64[ns]")
        panel.plot(when, one.error, color="#0b6e99", linewidth=0.9, label="reconstruction error")
        panel.axhline(one.threshold, color="#c2571a", linewidth=1, linestyle="--", label="threshold")
        panel.axvline(when[min(one.learned, len(when) - 1)], color="#8c8c8c", linewidth=1, label="training part ends")
        if one.labels is not None:
            ceiling = (0, 1)
            panel.fill_between(
                when, *ceiling, where=one.labels, transform=panel.get_xaxis_transform(), color="#c2571a", alpha=0.15,
                linewidth=0, label="labelled",
            )  # fmt: skip
        panel.set_yscale("log")
        panel.set_title(one.name)
        panel.xaxis.set_major_formatter(plt.matplotlib.dates.ConciseDateFormatter(panel.xaxis.get_major_locator()))
    axes[0, 0].legend(frameon=False, ncols=4, loc="lower right", bbox_to_anchor=(1, 1.02))
    return figure
