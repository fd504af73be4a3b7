"""History from files: rows of a CSV as the inputs that the daemon would have had."""

from __future__ import annotations

import csv
import datetime
import math
import statistics
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from itertools import islice, pairwise
from pathlib import Path
from typing import NamedTuple

from gaugecast.errors import ConfigError
from gaugecast.files import regular
from gaugecast.fleet import Feature, Fleet, fleet_name_of
from gaugecast.records import FIRST_NS, LAST_NS, Input

SEPARATORS = ",;\t|"
_CHUNK = 1000
_SURVEYED = 200  # rows from which columns and period are inferred
_TIME_NAMES = ("t", "time", "date", "datetime", "timestamp", "at")
_MOST_PER_FEATURE = 8  # as the configuration's default for `rows`
_WIDEST = Decimal(10) ** 20  # seconds beyond any year that is taken; bounds the digits of the int made of it
_ABSENT = ("", "nan", "na", "null", "none", "-")


class _Table(NamedTuple):
    """An open file: its header, and its rows with their line numbers."""

    columns: list[str]
    separator: str
    rows: Iterator[tuple[int, list[str]]]


def read_csv(path: Path, fleet: Fleet, *, stream: str = "csv", time_column: str | None = None) -> Iterator[list[Input]]:
    """Readings of one stream from a CSV with a header, in batches.

    Columns are the fleet's features by name; the time column is `time_column`, or one called t, time, date,
    datetime, timestamp or at: ISO 8601 (naive = UTC) or Unix seconds. The separator is whichever of `,` `;` tab `|`
    the header has most of; decimals may have a comma where that is not the separator. Empty cells, and values
    outside a feature's `valid` range, are absent features; a row with nothing in it is left out. After a row with
    absent features comes a timer input, as the daemon's loop would have it after `grace`.

    Raises:
        ConfigError: No such file, a feature without a column, no time column, or a cell that is no number.
    """
    with _open_table(path) as table:
        when = table.columns.index(_time_column(path, table.columns, time_column))
        places = _places(path, table.columns, fleet)
        pack = struct.Struct(f"<{len(fleet.features)}d").pack
        batch: list[Input] = []
        received_ns = 0
        for number, cells in table.rows:
            try:
                values = [
                    _valid(_number(cells[i], table.separator), f) for i, f in zip(places, fleet.features, strict=True)
                ]
                at_ns = parse_time(cells[when])
                if not FIRST_NS <= at_ns <= LAST_NS:
                    raise ValueError(f"expected a time between the years 1830 and 2110, got {cells[when]!r}")
            except (ValueError, IndexError) as exc:
                raise ConfigError(f"{path}, line {number}: {exc}") from exc
            absent = sum(map(math.isnan, values))
            if absent == len(values):
                continue
            received_ns = max(received_ns, at_ns)
            batch.append(Input.reading(fleet.name, stream, at_ns, received_ns, pack(*values)))
            if absent:
                received_ns += fleet.grace_ns
                batch.append(Input.timer(received_ns))
            if len(batch) >= _CHUNK:
                yield batch
                batch = []
        if batch:
            yield batch


def fleet_of_csv(
    path: Path, *, features: Sequence[str] = (), time_column: str | None = None, horizon: int = 1
) -> Fleet:
    """A fleet for a file that no configuration knows: its numeric columns, and the usual distance of its rows.

    Args:
        path: A CSV as `read_csv` takes it.
        features: Columns to forecast; empty = all that hold numbers.
        time_column: As in `read_csv`.
        horizon: Ticks ahead.

    Raises:
        ConfigError: As `read_csv`; or no column holds numbers, or the times do not rise.
    """
    with _open_table(path) as table:
        time_name = _time_column(path, table.columns, time_column)
        missing = [name for name in features if name not in table.columns]
        if missing:
            raise ConfigError(f"{path}: columns {', '.join(missing)} expected, got {', '.join(table.columns)}")
        rows = list(islice(table.rows, _SURVEYED))
        named = list(features) or [
            name
            for i, name in enumerate(table.columns)
            if name != time_name and name and _holds_numbers([cells[i : i + 1] for _, cells in rows], table.separator)
        ]
        if not named:
            raise ConfigError(f"{path}: at least one column of numbers expected, got {', '.join(table.columns)}")
        period_ns = _period(path, rows, table.columns.index(time_name))
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


def parse_time(text: str) -> int:
    """Nanoseconds of an ISO 8601 time (naive = UTC) or of Unix seconds.

    Raises:
        ValueError: It is neither.
    """
    try:
        return int(min(max(Decimal(text.strip()), -_WIDEST), _WIDEST) * 10**9)  # a float would round nanoseconds
    except (ArithmeticError, ValueError):
        at = datetime.datetime.fromisoformat(text.strip())
        at = at.replace(tzinfo=datetime.UTC) if at.tzinfo is None else at
        since = at - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
        return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000


@contextmanager
def _open_table(path: Path) -> Iterator[_Table]:
    try:
        file = regular(path).open(newline="", encoding="utf-8-sig")
    except OSError as exc:
        raise ConfigError(f"{path}: a readable CSV file expected: {exc.strerror}") from exc
    with file:
        header = _readline(path, file.readline)
        separator = max(SEPARATORS, key=header.count)
        file.seek(0)
        lines = csv.reader(file, delimiter=separator)
        columns = [name.strip() for name in next(lines, [])]
        yield _Table(columns, separator, _numbered(path, lines))


def _readline(path: Path, read: Callable[[], str]) -> str:
    try:
        return read()
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path}: UTF-8 text expected: {exc}") from exc


def _numbered(path: Path, lines: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    """The rows that hold anything, with their place in the file."""
    try:
        for number, cells in enumerate(lines, 2):
            if cells:
                yield number, cells
    except (csv.Error, UnicodeDecodeError) as exc:
        raise ConfigError(f"{path}: a CSV in UTF-8 expected: {exc}") from exc


def _places(path: Path, columns: list[str], fleet: Fleet) -> list[int]:
    missing = [f.name for f in fleet.features if f.name not in columns]
    if missing:
        raise ConfigError(f"{path}: columns {', '.join(missing)} expected (features), got {', '.join(columns)}")
    return [columns.index(f.name) for f in fleet.features]


def _time_column(path: Path, columns: list[str], wanted: str | None) -> str:
    names = (wanted,) if wanted else _TIME_NAMES
    found = [c for c in columns if c == wanted or (wanted is None and c.lower() in names)]
    if not found:
        raise ConfigError(f"{path}: a time column ({', '.join(names)}) expected, got {', '.join(columns)}")
    return found[0]


def _period(path: Path, rows: list[tuple[int, list[str]]], when: int) -> int:
    """The median distance of two rows, to the millisecond."""
    try:
        times = [parse_time(cells[when]) for _, cells in rows]
    except (ValueError, IndexError) as exc:
        raise ConfigError(f"{path}: times expected in ISO 8601 or Unix seconds: {exc}") from exc
    rises = [b - a for a, b in pairwise(times) if b > a]
    period_ns = round(statistics.median(rises) / 1e6) * 10**6 if rises else 0
    if period_ns <= 0:
        raise ConfigError(f"{path}: rows whose times rise by at least 1 ms expected, got {len(rows)} rows")
    return period_ns


def _holds_numbers(cells: list[list[str]], separator: str) -> bool:
    """Whether all cells of a column are numbers or empty, and not all empty."""
    try:
        numbers = [_number(text, separator) for cell in cells for text in cell]
    except ValueError:
        return False
    return any(map(math.isfinite, numbers))


def _number(cell: str, separator: str) -> float:
    """The cell as a finite number; NaN where it says nothing.

    Raises:
        ValueError: It says something else.
    """
    text = cell.strip()
    if text.lower() in _ABSENT:
        return math.nan
    value = float(text if separator == "," else text.replace(",", "."))
    return value if math.isfinite(value) else math.nan


def _valid(value: float, feature: Feature) -> float:
    return value if feature.valid_min <= value <= feature.valid_max else math.nan
