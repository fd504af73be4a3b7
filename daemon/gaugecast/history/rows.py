"""Rows of a file as the inputs that the daemon would have had, or as arrays; and the fleet that its columns make."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gaugecast.errors import ConfigError
from gaugecast.fleet import Feature, Fleet, fleet_name_of
from gaugecast.history.table import FileChunk, FileTable, clock_of_text, open_table
from gaugecast.records import FIRST_NS, LAST_NS, Bool, Float64, Input, Int64

SECOND_NS = 10**9
#: As the name of the time column: there is none, a row is a tick.
NO_TIME = "none"
TIME_NAMES = ("t", "time", "date", "datetime", "timestamp", "at")
#: Columns that say what was wrong, not what was measured: of a file that no configuration knows they are no features.
LABEL_NAMES = ("anomaly", "changepoint", "label", "is_anomaly", "outlier")
_CHUNK = 20_000
_INPUTS = 1000
_SURVEYED = 200  # rows from which columns and period are inferred
_MOST_PER_FEATURE = 8  # as the configuration's default for `rows`


@dataclass(frozen=True, slots=True)
class FileColumns:
    """Which columns of a file mean what.

    Attributes:
        time: Name of the time column; empty = one called t, time, date, …; `none` = there is none, a row is a tick.
        stream: Name of the column that tells streams apart; empty = a file is one stream, called as the file.
        features: Columns to forecast where no configuration says so; empty = all that hold numbers, but no labels.
        time_format: `strptime` format of the times; empty = ISO 8601 or Unix seconds.
        timezone: Of times that say none.
    """

    time: str = ""
    stream: str = ""
    features: tuple[str, ...] = ()
    time_format: str = ""
    timezone: str = "UTC"


AS_FOUND = FileColumns()


class StreamRows(NamedTuple):
    """Successive rows of one stream: event times (n,), ns, and values (n, F), NaN = absent."""

    stream: str
    at: Int64
    values: Float64


def read_slices(path: Path, fleet: Fleet, columns: FileColumns = AS_FOUND) -> Iterator[StreamRows]:
    """The rows of a file by stream, those of one stream in their order.

    The time is ISO 8601 (naive = UTC) or Unix seconds, or as `columns` says. Empty cells, and values outside a
    feature's `valid` range, are absent features; a row with nothing in it is left out.

    Raises:
        ConfigError: No such file, a feature without a column, no time column, or a cell that is no number.
    """
    for names, at, values in _read(path, fleet, columns):
        if names is None:
            yield StreamRows(path.stem, at, values)
            continue
        named = np.array(names)
        for name in dict.fromkeys(names):
            own = named == name
            yield StreamRows(name, at[own], values[own])


def read_inputs(
    path: Path,
    fleet: Fleet,
    columns: FileColumns = AS_FOUND,
) -> Iterator[list[Input]]:
    """The rows of a file as readings in their order, in batches.

    After a row with absent features comes a timer input, as the daemon's loop would have it after `grace`.

    Raises:
        ConfigError: As `read_slices`.
    """
    received_ns = 0
    batch: list[Input] = []
    for names, at, values in _read(path, fleet, columns):
        packed = np.ascontiguousarray(values, "<f8")
        absent: list[bool] = np.asarray(np.isnan(values).any(axis=1)).tolist()
        for row, at_ns in enumerate(at.tolist()):
            received_ns = max(received_ns, at_ns)
            stream = path.stem if names is None else names[row]
            batch.append(Input.reading(fleet.name, stream, at_ns, received_ns, packed[row].tobytes()))
            if absent[row]:
                received_ns += fleet.grace_ns
                batch.append(Input.timer(received_ns))
            if len(batch) >= _INPUTS:
                yield batch
                batch = []
    if batch:
        yield batch


def fleet_of_file(path: Path, columns: FileColumns = AS_FOUND, *, horizon: int = 1) -> Fleet:
    """A fleet for a file that no configuration knows: its columns of numbers, and the usual distance of its rows.

    Raises:
        ConfigError: As `read_slices`; or no column holds numbers, or the times do not rise.
    """
    with open_table(path) as table:
        when = _time_column(path, table, columns)
        _check_columns(path, table, (*columns.features, *filter(None, [columns.stream])))
        first = next(table.chunks(_SURVEYED), None)
        named = columns.features or tuple(
            name
            for name in table.columns
            if name not in ("", when, columns.stream) and name.lower() not in LABEL_NAMES and _has_numbers(first, name)
        )
        if not named:
            raise ConfigError(f"{path}: expected at least one column of numbers, got {', '.join(table.columns)}")
        period_ns = SECOND_NS if when is None else _period(path, first, when, columns)
    return Fleet(
        name=fleet_name_of(path.stem),
        subscribe=("csv/{stream}",),
        stream="{stream}",
        features=tuple(Feature(name, path=(name,)) for name in named),
        period_ns=period_ns,
        time_path=("t",),
        grace_ns=period_ns // 2,
        horizon=horizon,
        rows="per_feature" if len(named) <= _MOST_PER_FEATURE else "joint",
    )


def left_out(path: Path, fleet: Fleet, columns: FileColumns) -> tuple[list[str], list[str]]:
    """Columns that the fleet does not have: those that look like labels, and those whose words could name streams."""
    with open_table(path) as table:
        known = {f.name for f in fleet.features} | {columns.stream, _time_column(path, table, columns) or ""}
        rest = [name for name in table.columns if name and name not in known]
        first = next(table.chunks(_SURVEYED), None)
        words = [
            name for name in rest if first is not None and not _has_numbers(first, name) and any(first.texts(name))
        ]
    return [name for name in rest if name.lower() in LABEL_NAMES], words


def _read(path: Path, fleet: Fleet, columns: FileColumns) -> Iterator[tuple[list[str] | None, Int64, Float64]]:
    """Names of the streams (`None` = the file is one), event times (n,) and values (n, F), a chunk at a time."""
    features = [feature.name for feature in fleet.features]
    lowest, highest = (np.array([getattr(f, key) for f in fleet.features]) for key in ("valid_min", "valid_max"))
    with open_table(path) as table:
        _check_columns(path, table, (*features, *filter(None, [columns.stream])))
        when = _time_column(path, table, columns)
        for chunk in table.chunks(_CHUNK):
            values = np.column_stack([chunk.numbers(name) for name in features])
            values = np.where((values >= lowest) & (values <= highest), values, np.nan)
            at = chunk.lines * fleet.period_ns if when is None else _checked_times(path, chunk, when, columns)
            said: Bool = np.asarray(np.isfinite(values).any(axis=1))
            names = chunk.texts(columns.stream) if columns.stream else None
            if names is not None:
                names = [name.strip() for name, kept in zip(names, said.tolist(), strict=True) if kept]
            yield names, at[said], values[said]


def _checked_times(path: Path, chunk: FileChunk, when: str, columns: FileColumns) -> Int64:
    at = chunk.times(when, clock_of_text(columns.time_format, columns.timezone))
    wrong = np.flatnonzero((at < FIRST_NS) | (at > LAST_NS))
    if len(wrong):
        text, line = chunk.texts(when)[wrong[0]], chunk.lines[wrong[0]]
        raise ConfigError(f"{path}, line {line}: expected a time between the years 1830 and 2110, got {text!r}")
    return at


def _check_columns(path: Path, table: FileTable, names: Sequence[str]) -> None:
    missing = [name for name in names if name not in table.columns]
    if missing:
        what = "a column" if len(missing) == 1 else "columns"
        raise ConfigError(f"{path}: expected {what} {', '.join(map(repr, missing))}, found {', '.join(table.columns)}")


def _time_column(path: Path, table: FileTable, columns: FileColumns) -> str | None:
    if columns.time == NO_TIME:
        return None
    known = (columns.time,) if columns.time else TIME_NAMES
    for name in table.columns:
        if name == columns.time or (not columns.time and name.lower() in known):
            return name
    raise ConfigError(
        f"{path}: expected a time column ({', '.join(known)}), found {', '.join(table.columns)}; "
        "name it with --time-column, or say --time-column none where a row is a tick"
    )


def _has_numbers(chunk: FileChunk | None, name: str) -> bool:
    """Whether all cells of a column are numbers or empty, and not all empty."""
    try:
        return chunk is not None and bool(np.isfinite(chunk.numbers(name)).any())
    except ConfigError:
        return False


def _period(path: Path, chunk: FileChunk | None, when: str, columns: FileColumns) -> int:
    """The median distance of two rows, to the millisecond."""
    times = np.array([], np.int64) if chunk is None else _checked_times(path, chunk, when, columns)
    rises = np.diff(times)
    rises = rises[rises > 0]
    period_ns = round(float(np.median(rises)) / 1e6) * 10**6 if len(rises) else 0
    if period_ns <= 0:
        raise ConfigError(f"{path}: expected rows whose times rise by at least 1 ms, got {len(times)} rows")
    return period_ns
