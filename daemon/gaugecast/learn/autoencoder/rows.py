"""Rows of one file as a detector takes them: values held where absent, and labels apart from them."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gaugecast.errors import ConfigError
from gaugecast.fleet import Feature
from gaugecast.history import FileColumns, fleet_of_file
from gaugecast.learn.history.recording import hold
from gaugecast.learn.history.sources import record
from gaugecast.records import Bool, Float64, Int64


@dataclass(frozen=True, slots=True, eq=False)
class FileRows:
    """One file's rows, in their order; missing ticks are not filled.

    Attributes:
        name: The file's, without its ending.
        at: Event times, ns (T,).
        features: Names of the F columns.
        values: (T, F), the newest one seen where absent, NaN before.
        labels: Whether something was wrong at each row (T,), or `None`.
    """

    name: str
    at: Int64
    features: tuple[str, ...]
    values: Float64
    labels: Bool | None

    def digest(self, count: int) -> str:
        """SHA-256 of times and values of the first `count` rows."""
        taken = (np.ascontiguousarray(part[:count]).tobytes() for part in (self.at, self.values))
        return hashlib.sha256(b"".join(taken)).hexdigest()


def read_rows(path: Path, columns: FileColumns, *, ignore: Collection[str] = (), label: str = "") -> FileRows:
    """Read a CSV or Parquet file.

    Args:
        path: The file, one stream.
        columns: Which columns mean what.
        ignore: Columns that are not fed.
        label: Column that is 1 where something was wrong; empty = none.

    Raises:
        ConfigError: It cannot be read, lacks a column, or no column is left to feed.
    """
    if not path.is_file():
        raise ConfigError(f"{path}: expected a CSV or Parquet file")
    fleet = fleet_of_file(path, columns)
    fed = tuple(f for f in fleet.features if f.name != label and f.name not in ignore)
    if not fed:
        raise ConfigError(f"{path}: expected a column of numbers to feed beside {', '.join(filter(None, ignore))}")
    extra = (Feature(label, path=(label,)),) if label else ()
    with tempfile.TemporaryDirectory(prefix="gaugecast-rows-") as scratch:
        recording = record([path], replace(fleet, features=(*fed, *extra)), columns, Path(scratch))
        (stream, *_) = recording.streams
        at, read = recording.read(stream, 0, recording.rows(stream))
    values = hold(read[:, : len(fed)], np.full(len(fed), np.nan))
    return FileRows(path.stem, at, tuple(f.name for f in fed), values, read[:, -1] > 0.5 if extra else None)
