"""Where history comes from: CSV and Parquet files, and the daemon's ledger. All are read slice by slice."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gaugecast.errors import ConfigError
from gaugecast.files import regular
from gaugecast.fleet import Feature, Fleet, fleet_name_of
from gaugecast.history import SEPARATORS, fleet_of_csv, parse_time
from gaugecast.learn.train.ledger_rows import ledger_slices
from gaugecast.learn.train.recording import Recording
from gaugecast.records import Float64, Int64

SLICE_ROWS = 20_000
SECOND_NS = 10**9
NO_TIME = "none"
_ABSENT = frozenset({"", "nan", "na", "null", "none", "-"})
_MOST_PER_FEATURE = 8


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a file mean what.

    Attributes:
        time: Name of the time column; empty = t, time, date, …; `none` = there is none, a row is a tick.
        stream: Name of the column that tells streams apart; empty = a file is one stream.
        features: Columns to forecast where no configuration says so; empty = all that hold numbers.
    """

    time: str = ""
    stream: str = ""
    features: tuple[str, ...] = ()


def fleet_of_file(path: Path, columns: Columns) -> Fleet:
    """A fleet for a file that no configuration knows.

    Raises:
        ConfigError: No column of numbers, or no time column where one is wanted.
    """
    if path.suffix == ".parquet":
        return _fleet_of_parquet(path, columns)
    with _open_text(path) as file:
        header = [name.strip() for name in next(csv.reader(file, delimiter=_separator(path)), [])]
    if _time_place(path, header, columns) is not None:
        return fleet_of_csv(path, features=columns.features, time_column=columns.time or None)
    names = columns.features or tuple(name for name in header if name != columns.stream)
    return untimed_fleet(path.stem, names)


def untimed_fleet(name: str, features: Sequence[str]) -> Fleet:
    """A fleet whose rows are ticks of a second."""
    return Fleet(
        name=fleet_name_of(name),
        subscribe=("csv/{stream}",),
        stream="{stream}",
        features=tuple(Feature(feature, path=(feature,)) for feature in features),
        period_ns=SECOND_NS,
        rows="per_feature" if len(features) <= _MOST_PER_FEATURE else "joint",
    )


def record(
    paths: Sequence[Path],
    fleet: Fleet,
    columns: Columns,
    directory: Path,
    *,
    bridge: int = 0,
    tick: Callable[[int], None] | None = None,
) -> Recording:
    """Read all `paths` into a recording under `directory`.

    Args:
        paths: Files, each a stream unless a column names it; a directory is a state directory with a ledger.
        fleet: Whose features are read.
        columns: Which columns mean what.
        directory: For the scratch files.
        bridge: As of `Recording`.
        tick: Called with the number of rows read so far.

    Raises:
        ConfigError: A file cannot be read, or lacks a column; or there is not a single row.
    """
    recording = Recording(directory, len(fleet.features), fleet.period_ns, bridge=bridge)
    lowest = np.array([feature.valid_min for feature in fleet.features])
    highest = np.array([feature.valid_max for feature in fleet.features])
    for path in paths:
        for stream, at_ns, values in _slices(path, fleet, columns):
            valid = (values >= lowest) & (values <= highest)
            recording.add(stream, at_ns, np.where(valid, values, np.nan))
            if tick is not None:
                tick(recording.total_rows)
    if not recording.total_rows:
        raise ConfigError(f"{', '.join(map(str, paths))}: expected at least one row with a number, found none")
    return recording


def _slices(path: Path, fleet: Fleet, columns: Columns) -> Iterator[tuple[str, Int64, Float64]]:
    if path.is_dir() or path.suffix == ".sqlite":
        return ledger_slices(path if path.is_dir() else path.parent, fleet)
    rows = _parquet_rows(path, fleet, columns) if path.suffix == ".parquet" else _csv_rows(path, fleet, columns)
    return _by_stream(rows, len(fleet.features))


def _by_stream(rows: Iterator[tuple[str, int, list[float]]], features: int) -> Iterator[tuple[str, Int64, Float64]]:
    while chunk := list(itertools.islice(rows, SLICE_ROWS)):
        names = dict.fromkeys(name for name, _, _ in chunk)
        for name in names:
            own = [row for row in chunk if row[0] == name] if len(names) > 1 else chunk
            yield (
                name,
                np.array([at for _, at, _ in own], np.int64),
                np.array([values for _, _, values in own], np.float64).reshape(len(own), features),
            )


def _csv_rows(path: Path, fleet: Fleet, columns: Columns) -> Iterator[tuple[str, int, list[float]]]:
    separator = _separator(path)
    with _open_text(path) as file:
        lines = csv.reader(file, delimiter=separator)
        header = [name.strip() for name in next(lines, [])]
        places = [_place(path, header, feature.name) for feature in fleet.features]
        when = _time_place(path, header, columns)
        who = _place(path, header, columns.stream) if columns.stream else None
        for number, cells in enumerate(lines, 2):
            if not cells:
                continue
            try:
                at_ns = parse_time(cells[when]) if when is not None else number * fleet.period_ns
                values = [_number(cells[i], separator) for i in places]
                name = path.stem if who is None else cells[who].strip()
            except (ValueError, IndexError) as exc:
                raise ConfigError(f"{path}, line {number}: {exc}") from exc
            yield name, at_ns, values


def _parquet_rows(path: Path, fleet: Fleet, columns: Columns) -> Iterator[tuple[str, int, list[float]]]:
    file = _open_parquet(path)
    header = list(file.schema_arrow.names)
    names = [feature.name for feature in fleet.features]
    places = [header[_place(path, header, name)] for name in names]
    when_place = _time_place(path, header, columns)
    when = None if when_place is None else header[when_place]
    wanted = [*places, *([when] if when else []), *([columns.stream] if columns.stream else [])]
    row = 0
    for batch in file.iter_batches(batch_size=SLICE_ROWS, columns=wanted):
        values = np.column_stack([_floats(batch.column(name)) for name in places])
        times = (
            np.arange(row, row + len(values)) * fleet.period_ns if when is None else _instants(path, batch.column(when))
        )
        streams = batch.column(columns.stream).to_pylist() if columns.stream else [path.stem] * len(values)
        row += len(values)
        yield from zip(map(str, streams), times.tolist(), values.tolist(), strict=True)


def _fleet_of_parquet(path: Path, columns: Columns) -> Fleet:
    file = _open_parquet(path)
    schema = file.schema_arrow
    numeric = [f.name for f in schema if str(f.type).startswith(("double", "float", "int", "uint", "halffloat"))]
    when_place = _time_place(path, list(schema.names), columns)
    when = None if when_place is None else schema.names[when_place]
    names = columns.features or tuple(n for n in numeric if n not in (when, columns.stream))
    fleet = untimed_fleet(path.stem, names)
    if when is None:
        return fleet
    first = next(file.iter_batches(batch_size=1000, columns=[when]), None)
    times = np.array([], np.int64) if first is None else _instants(path, first.column(when))
    rises = np.diff(times)
    rises = rises[rises > 0]
    if not len(rises):
        raise ConfigError(f"{path}: expected rows whose {when!r} rises, got {len(times)} rows")
    return replace(fleet, period_ns=int(np.median(rises)))


def _open_parquet(path: Path) -> Any:
    try:
        import pyarrow.parquet as parquet
    except ImportError as exc:
        raise ConfigError(f"{path}: Parquet needs pyarrow: pip install 'gaugecast[parquet]'") from exc
    try:
        return parquet.ParquetFile(regular(path))
    except Exception as exc:  # pyarrow raises many kinds for damaged files
        raise ConfigError(f"{path}: expected a Parquet file: {exc}") from exc


def _floats(column: Any) -> Float64:
    return np.asarray(column.to_numpy(zero_copy_only=False), np.float64)


def _instants(path: Path, column: Any) -> Int64:
    """Timestamps, ISO texts, or numbers as Unix seconds; ns."""
    kind = str(column.type)
    if kind.startswith("timestamp"):
        return np.asarray(column.cast("timestamp[ns]").to_numpy(zero_copy_only=False)).astype(np.int64)
    try:
        return np.array([parse_time(str(value)) for value in column.to_pylist()], np.int64)
    except ValueError as exc:
        raise ConfigError(f"{path}: expected times, got {exc}") from exc


def _open_text(path: Path) -> Any:
    try:
        return regular(path).open(newline="", encoding="utf-8-sig")
    except OSError as exc:
        raise ConfigError(f"{path}: expected a readable file: {exc.strerror}") from exc


def _separator(path: Path) -> str:
    with _open_text(path) as file:
        header = file.readline()
    return max(SEPARATORS, key=header.count)


def _place(path: Path, header: list[str], name: str) -> int:
    if name not in header:
        raise ConfigError(f"{path}: expected a column {name!r}, found {', '.join(header)}")
    return header.index(name)


def _time_place(path: Path, header: list[str], columns: Columns) -> int | None:
    if columns.time == NO_TIME:
        return None
    known = (columns.time,) if columns.time else ("t", "time", "date", "datetime", "timestamp", "at")
    for place, name in enumerate(header):
        if name == columns.time or (not columns.time and name.lower() in known):
            return place
    raise ConfigError(
        f"{path}: expected a time column ({', '.join(known)}), found {', '.join(header)}; "
        "name it with --time-column, or say --time-column none where a row is a tick"
    )


def _number(cell: str, separator: str) -> float:
    text = cell.strip()
    if text.lower() in _ABSENT:
        return float("nan")
    value = float(text if separator == "," else text.replace(",", "."))
    return value if abs(value) < float("inf") else float("nan")
