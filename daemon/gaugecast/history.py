"""History from files: rows of a CSV as the inputs that the daemon would have had."""

from __future__ import annotations

import csv
import datetime
import struct
from collections.abc import Iterator
from pathlib import Path

from gaugecast.errors import ConfigError
from gaugecast.fleet import Fleet
from gaugecast.records import Input, Kind

_CHUNK = 1000
_TIME_NAMES = ("t", "time", "date", "datetime", "timestamp", "at")


def read_csv(path: Path, fleet: Fleet, *, stream: str = "csv", time_column: str | None = None) -> Iterator[list[Input]]:
    """Readings of one stream from a CSV with a header, in batches.

    Columns are the fleet's features by name; the time column is `time_column`, or one called t, time, date,
    datetime, timestamp or at: ISO 8601 (naive = UTC) or Unix seconds. Empty cells are absent features.

    Raises:
        ConfigError: No such file, a feature without a column, no time column, or a cell that is no number.
    """
    try:
        file = path.open(newline="", encoding="utf-8-sig")
    except OSError as exc:
        raise ConfigError(f"{path}: a readable CSV file expected: {exc.strerror}") from exc
    with file:
        sample = file.readline()
        file.seek(0)
        delimiter = max(",;\t", key=sample.count)
        rows = csv.DictReader(file, delimiter=delimiter)
        columns = list(rows.fieldnames or ())
        when = _time_column(path, columns, time_column)
        missing = [f.name for f in fleet.features if f.name not in columns]
        if missing:
            raise ConfigError(f"{path}: columns {', '.join(missing)} expected (features), got {', '.join(columns)}")
        pack = struct.Struct(f"<{len(fleet.features)}d").pack
        batch: list[Input] = []
        for number, row in enumerate(rows, 2):
            try:
                values = pack(*(_number(row[f.name]) for f in fleet.features))
                at_ns = parse_time(row[when])
            except (ValueError, TypeError) as exc:
                raise ConfigError(f"{path}, line {number}: {exc}") from exc
            batch.append(Input(Kind.READING, fleet.name, stream, at_ns, at_ns, values, at_ns, 0, False, ""))
            if len(batch) == _CHUNK:
                yield batch
                batch = []
        if batch:
            yield batch


def parse_time(text: str) -> int:
    """Nanoseconds of an ISO 8601 time (naive = UTC) or of Unix seconds.

    Raises:
        ValueError: It is neither.
    """
    try:
        return round(float(text) * 1e6) * 1000
    except ValueError:
        at = datetime.datetime.fromisoformat(text.strip())
        at = at.replace(tzinfo=datetime.UTC) if at.tzinfo is None else at
        since = at - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
        return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000


def _time_column(path: Path, columns: list[str], wanted: str | None) -> str:
    names = (wanted,) if wanted else _TIME_NAMES
    found = [c for c in columns if c.lower() in names or c == wanted]
    if not found:
        raise ConfigError(f"{path}: a time column ({', '.join(names)}) expected, got {', '.join(columns)}")
    return found[0]


def _number(cell: str | None) -> float:
    return float("nan") if cell is None or cell.strip() == "" else float(cell)
