"""Detectors fitted to files, each file to one of its own, and saved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gaugecast.config.autoencoding import Autoencoder
from gaugecast.errors import ConfigError
from gaugecast.history import FileColumns
from gaugecast.learn.autoencoder.detector import Calibration
from gaugecast.learn.autoencoder.networks import KerasAutoencoder
from gaugecast.learn.autoencoder.rows import FileRows, read_rows
from gaugecast.learn.autoencoder.saved import Origin, save_detector


@dataclass(frozen=True, slots=True)
class Fitted:
    """One file's detector.

    Attributes:
        directory: Where it was saved.
        rows: First rows of the file that it was fitted to.
    """

    name: str
    directory: Path
    rows: int
    calibration: Calibration


def fit_files(
    paths: Sequence[Path],
    settings: Autoencoder,
    columns: FileColumns,
    directory: Path,
    *,
    on_file: Callable[[Fitted], None] = lambda _: None,
    on_epoch: Callable[[int, int], None] = lambda *_: None,
) -> list[Fitted]:
    """Fit a detector to the first rows of each file, and save it.

    Args:
        paths: CSV or Parquet files, each one stream.
        settings: How.
        columns: Which columns mean what.
        directory: For one file's detector; for several, a folder of it each, named as the file.
        on_file: Called after each.
        on_epoch: Called after each epoch with the number of the file, from 0, and of the epoch, from 1.

    Raises:
        ConfigError: A file cannot be read, is too short for a window, or two have one name.
    """
    twice = [name for name, count in Counter(path.stem for path in paths).items() if count > 1]
    if twice:
        raise ConfigError(f"files: expected names that differ, found {twice[0]!r} more than once")
    shelf: dict[tuple[str, ...], KerasAutoencoder] = {}
    done = []
    for number, path in enumerate(paths):
        rows = read_rows(path, columns, ignore=settings.ignore)
        count = rows_to_learn(rows, settings, path)
        if rows.features not in shelf:
            shelf[rows.features] = KerasAutoencoder(settings, rows.features)
        networks = shelf[rows.features]
        detector = networks.fit(rows.values[:count], partial(on_epoch, number))
        place = directory / path.stem if len(paths) > 1 else directory
        save_detector(detector, Origin.of(rows, count), networks, place)
        done.append(Fitted(path.stem, place, count, detector.calibration))
        on_file(done[-1])
    return done


def rows_to_learn(rows: FileRows, settings: Autoencoder, path: Path) -> int:
    """How many of the first rows are taken as usual.

    Raises:
        ConfigError: Too few to train windows on.
    """
    total, wanted = len(rows.at), settings.train_rows
    count = round(wanted * total) if wanted <= 1 else min(round(wanted), total)
    least = settings.window + 2
    if count < least:
        raise ConfigError(
            f"{path}: too few rows: expected at least {least} to train windows of {settings.window} on, got {count}"
        )
    return count
