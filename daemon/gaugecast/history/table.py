"""A CSV or Parquet file as a table: named columns, whose cells are read a chunk of rows at a time."""

from __future__ import annotations

import csv
import datetime
import itertools
import zoneinfo
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from gaugecast.errors import ConfigError
from gaugecast.files import regular
from gaugecast.records import Float64, Int64

SEPARATORS = ",;\t|"
_WIDEST = Decimal(10) ** 20  # seconds beyond any year that is taken; bounds the digits of the int made of it
_ABSENT = frozenset({"", "nan", "na", "null", "none", "-"})
#: How the names of Parquet's types of numbers begin.
_NUMERIC = ("double", "float", "int", "uint", "halffloat", "decimal")
#: A text as an instant, ns. Raises ValueError: it is none.
ReadTime = Callable[[str], int]
_Cell = TypeVar("_Cell")


class FileChunk(Protocol):
    """Some successive rows. Cells that are not what is asked for raise `ConfigError` with file and line.

    Attributes:
        lines: Place of each row in the file (n,); rows that are empty are left out.
    """

    lines: Int64

    def numbers(self, column: str) -> Float64:
        """The cells as finite numbers (n,), NaN where they say nothing."""

    def times(self, column: str, read: ReadTime) -> Int64:
        """The cells as instants (n,), ns; `read` reads those that are texts."""

    def texts(self, column: str) -> list[str]:
        """The cells as they stand."""


class FileTable(Protocol):
    """An open file."""

    columns: list[str]

    def chunks(self, size: int) -> Iterator[FileChunk]:
        """Its rows from the first on, at most so many at a time."""


@contextmanager
def open_table(path: Path) -> Iterator[FileTable]:
    """Open a file by its ending: `.parquet`, or else a CSV in UTF-8 with a header.

    The separator is whichever of `,` `;` tab `|` the header has most of; decimals may have a comma where that is not
    the separator.

    Raises:
        ConfigError: It cannot be read, or is not what its ending says.
    """
    if path.suffix == ".parquet":
        yield _ParquetTable(path)
        return
    try:
        file = regular(path).open(newline="", encoding="utf-8-sig")
    except OSError as exc:
        raise ConfigError(f"{path}: expected a readable file: {exc.strerror}") from exc
    with file:
        yield _CsvTable(path, file)


def parse_time(text: str, zone: datetime.tzinfo = datetime.UTC) -> int:
    """Nanoseconds of an ISO 8601 time (of `zone` where it says none) or of Unix seconds.

    Raises:
        ValueError: It is neither.
    """
    try:
        return int(min(max(Decimal(text.strip()), -_WIDEST), _WIDEST) * 10**9)  # a float would round nanoseconds
    except (ArithmeticError, ValueError):
        return _ns_of(datetime.datetime.fromisoformat(text.strip()), zone)


def clock_of_text(form: str, timezone: str) -> ReadTime:
    """What reads times: by a `strptime` format, or as `parse_time`; those that say no zone are of `timezone`.

    Raises:
        ConfigError: There is no such zone.
    """
    try:
        zone = zoneinfo.ZoneInfo(timezone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise ConfigError(f"timezone: expected a name such as Europe/Berlin, got {timezone!r}") from exc

    def read(text: str) -> int:
        return _ns_of(datetime.datetime.strptime(text.strip(), form), zone)

    return read if form else lambda text: parse_time(text, zone)


def _ns_of(at: datetime.datetime, zone: datetime.tzinfo) -> int:
    at = at.replace(tzinfo=zone) if at.tzinfo is None else at
    since = at - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000


class _CsvTable:
    def __init__(self, path: Path, file: Any) -> None:
        self.path = path
        try:
            self._separator = max(SEPARATORS, key=file.readline().count)
            file.seek(0)
            self._lines = csv.reader(file, delimiter=self._separator)
            self.columns = [name.strip() for name in next(self._lines, [])]
        except (csv.Error, UnicodeDecodeError) as exc:
            raise ConfigError(f"{path}: expected a CSV in UTF-8: {exc}") from exc

    def chunks(self, size: int) -> Iterator[FileChunk]:
        numbered = ((number, cells) for number, cells in enumerate(self._lines, 2) if cells)
        try:
            while rows := list(itertools.islice(numbered, size)):
                yield _CsvChunk(self, [number for number, _ in rows], [cells for _, cells in rows], self._separator)
        except (csv.Error, UnicodeDecodeError) as exc:
            raise ConfigError(f"{self.path}: expected a CSV in UTF-8: {exc}") from exc


class _CsvChunk:
    def __init__(self, table: _CsvTable, lines: list[int], rows: list[list[str]], separator: str) -> None:
        self.lines: Int64 = np.array(lines, np.int64)
        self._table, self._rows, self._comma = table, rows, separator != ","

    def numbers(self, column: str) -> Float64:
        cells = self.texts(column)
        try:
            found = np.array(list(map(float, cells)))
        except ValueError:
            found = np.array(self._each(cells, self._number))
        return np.where(np.isfinite(found), found, np.nan)

    def times(self, column: str, read: ReadTime) -> Int64:
        return np.array([min(max(at, -(2**63)), 2**63 - 1) for at in self._each(self.texts(column), read)])

    def texts(self, column: str) -> list[str]:
        place = self._table.columns.index(column)
        try:
            return [row[place] for row in self._rows]
        except IndexError as exc:
            short = next(i for i, row in enumerate(self._rows) if len(row) <= place)
            cells, wanted = self._rows[short], len(self._table.columns)
            raise self._at_line(
                short,
                f"expected {wanted} cells, one for {column!r} among them, found {len(cells)}: "
                f"{' '.join(cells)[:80]!r}; is the line cut off?",
            ) from exc

    def _number(self, cell: str) -> float:
        text = cell.strip()
        if text.lower() in _ABSENT:
            return float("nan")
        return float(text.replace(",", ".") if self._comma else text)

    def _each(self, cells: Sequence[str], read: Callable[[str], _Cell]) -> list[_Cell]:
        found: list[_Cell] = []
        try:
            for cell in cells:
                found.append(read(cell))
        except ValueError as exc:
            raise self._at_line(len(found), str(exc)) from exc
        return found

    def _at_line(self, row: int, why: str) -> ConfigError:
        return ConfigError(f"{self._table.path}, line {self.lines[row]}: {why}")


class _ParquetTable:
    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            import pyarrow.parquet as parquet
        except ImportError as exc:
            raise ConfigError(f"{path}: Parquet needs pyarrow: pip install 'gaugecast[parquet]'") from exc
        try:
            self._file = parquet.ParquetFile(regular(path))
        except Exception as exc:  # pyarrow raises many kinds for damaged files
            raise ConfigError(f"{path}: expected a Parquet file: {exc}") from exc
        self.columns = list(self._file.schema_arrow.names)

    def chunks(self, size: int) -> Iterator[FileChunk]:
        row = 0
        for batch in self._file.iter_batches(batch_size=size):
            yield _ParquetChunk(self.path, row, batch)
            row += batch.num_rows


class _ParquetChunk:
    def __init__(self, path: Path, row: int, batch: Any) -> None:
        self.lines: Int64 = np.arange(row, row + batch.num_rows)
        self._path, self._batch = path, batch

    def numbers(self, column: str) -> Float64:
        cells = self._batch.column(column)
        if not str(cells.type).startswith(_NUMERIC):
            raise ConfigError(f"{self._path}: expected numbers in {column!r}, found {cells.type}")
        found = np.asarray(cells.to_numpy(zero_copy_only=False), np.float64)
        return np.where(np.isfinite(found), found, np.nan)

    def times(self, column: str, read: ReadTime) -> Int64:
        found = self._batch.column(column)
        if str(found.type).startswith("timestamp"):
            return np.asarray(found.cast("timestamp[ns]").to_numpy(zero_copy_only=False)).astype(np.int64)
        try:
            return np.array([read(str(value)) for value in found.to_pylist()], np.int64)
        except (ValueError, OverflowError) as exc:
            raise ConfigError(f"{self._path}: expected times in {column!r}, got {exc}") from exc

    def texts(self, column: str) -> list[str]:
        return [str(value) for value in self._batch.column(column).to_pylist()]
