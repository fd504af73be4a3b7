"""Any CSV over MQTT, row by row, at a chosen speed: recorded plants as if they were live."""

from __future__ import annotations

import csv
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

from gaugecast_sim.link import PublishLink
from gaugecast_sim.samples import unix_seconds

SEPARATORS = ",;\t|"
EARLIEST_S = 0.001  # sleeps shorter than this cost more than they keep


class ReplayError(Exception):
    """The file cannot be replayed as asked; the message says what was expected and what came."""


class Row(NamedTuple):
    """One line of the file.

    Attributes:
        values: By column; cells that are empty, not numbers or not finite are left out.
        texts: All cells as they stand, for names in the topic.
    """

    at_ns: int
    values: dict[str, float]
    texts: dict[str, str]


class ReplayReport(NamedTuple):
    """What a replay did: rows read, messages confirmed (QoS 1: PUBACKs), cells left out, and how long it took."""

    rows: int
    confirmed: int
    absent_cells: int
    seconds: float


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """Which rows of which file go where, as what, how fast.

    Attributes:
        topic: May name columns: `plant/{site}/telemetry`.
        columns: Those to send; empty = all but the time column.
        time_column: Empty = the first.
        time_format: `auto` (ISO 8601, or a number of Unix seconds), `ms` (Unix milliseconds), or a strptime pattern.
            Times without offset are UTC.
        rows_per_s: Even pace; `None` = as fast as the broker confirms.
        speed: Multiple of real time, by the file's own times; excludes `rows_per_s`.
        send_time: Event time in the payload as Unix seconds (`epoch`), ISO 8601 (`iso`), or not at all (`none`).
    """

    path: Path
    topic: str
    columns: tuple[str, ...] = ()
    time_column: str = ""
    time_format: str = "auto"
    separator: str = ""
    decimal: str = "."
    rows_per_s: float | None = None
    speed: float | None = None
    first_row: int = 0
    rows: int | None = None
    qos: int = 1
    window: int = 200
    send_time: Literal["epoch", "iso", "none"] = "epoch"
    time_field: str = "t"


def data_folder() -> Path:
    """Where data sets lie: the folder that `GAUGECAST_DATA` names, else `data` in the working directory."""
    return Path(os.environ.get("GAUGECAST_DATA") or "data")


def find_csv(name: str | Path) -> Path:
    """A path as given, else the same below the data folder.

    Raises:
        ReplayError: it is in neither place.
    """
    for path in (Path(name), data_folder() / name):
        if path.is_file():
            return path
    raise ReplayError(f"expected a file {name} here or in {data_folder()}/ (GAUGECAST_DATA names it), found none")


def guess_separator(header: str) -> str:
    """The candidate that the header line has most of; a comma if it has none."""
    return max(SEPARATORS, key=header.count)


def parse_time(text: str, time_format: str = "auto") -> int:
    """Unix ns UTC of a cell; without offset it is UTC.

    Raises:
        ValueError: not a time of that format.
    """
    try:
        if time_format in ("auto", "ms"):  # Decimal: a float would round nanoseconds
            return int(Decimal(text.strip()) * (1_000_000 if time_format == "ms" else 1_000_000_000))
    except (ArithmeticError, ValueError) as exc:
        if time_format == "ms":
            raise ValueError(f"expected Unix milliseconds, got {text!r}") from exc
    if time_format == "auto":
        moment = datetime.fromisoformat(text.strip())
    else:
        moment = datetime.strptime(text.strip(), time_format)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    whole = moment.replace(microsecond=0)
    return int(whole.timestamp()) * 1_000_000_000 + moment.microsecond * 1000


def parse_number(text: str, decimal: str = ".") -> float | None:
    """The cell as a finite number, or `None`."""
    try:
        value = float(text.replace(decimal, ".") if decimal != "." else text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def read_rows(plan: ReplayPlan) -> Iterator[Row]:
    """The rows that the plan asks for.

    Raises:
        ReplayError: a named column is missing, or a time cannot be read; the message names the line.
    """
    with plan.path.open(encoding="utf-8-sig", newline="") as lines:
        separator = plan.separator or guess_separator(lines.readline())
        lines.seek(0)
        reader = csv.DictReader(lines, delimiter=separator)
        names = list(reader.fieldnames or ())
        time_column = plan.time_column or (names[0] if names else "")
        columns = plan.columns or tuple(name for name in names if name != time_column)
        missing = [name for name in (time_column, *columns) if name not in names]
        if missing:
            raise ReplayError(f"{plan.path}: expected columns {missing}, found {names} (separator {separator!r})")
        end = None if plan.rows is None else plan.first_row + plan.rows
        for cells in islice(reader, plan.first_row, end):
            try:
                at_ns = parse_time(cells[time_column] or "", plan.time_format)
            except ValueError as exc:
                raise ReplayError(f"{plan.path}, line {reader.line_num}: {exc}") from exc
            texts = {name: cells[name] or "" for name in names}
            numbers = {name: parse_number(texts[name], plan.decimal) for name in columns}
            yield Row(at_ns, {name: value for name, value in numbers.items() if value is not None}, texts)


def encode(row: Row, plan: ReplayPlan) -> tuple[str, bytes]:
    """Topic and JSON payload of a row: the event time first, then the values in the order of the columns.

    Raises:
        ReplayError: the topic names a column that the file does not have.
    """
    try:
        topic = plan.topic.format_map(row.texts)
    except KeyError as exc:
        raise ReplayError(f"expected a column {exc} for the topic {plan.topic!r}, found {list(row.texts)}") from exc
    fields = []
    if plan.send_time == "epoch":
        fields.append(f'"{plan.time_field}": {unix_seconds(row.at_ns)}')
    elif plan.send_time == "iso":
        stamp = datetime.fromtimestamp(row.at_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        fields.append(f'"{plan.time_field}": "{stamp}.{row.at_ns // 1_000_000 % 1000:03d}Z"')
    fields += [f'"{name}": {value!r}' for name, value in row.values.items()]
    return topic, ("{" + ", ".join(fields) + "}").encode()


def replay(plan: ReplayPlan, link: PublishLink) -> ReplayReport:
    """Publish the plan's rows at its pace, and wait until the broker has confirmed them.

    Raises:
        ReplayError: see `read_rows` and `encode`.
        link.LinkError: the broker is gone, or does not confirm.
    """
    if plan.rows_per_s is not None and plan.speed is not None:
        raise ReplayError("expected rows_per_s or speed, got both")
    begun = time.monotonic()
    confirmed_before = link.confirmed
    count = absent = 0
    first_ns: int | None = None
    for row in read_rows(plan):
        first_ns = row.at_ns if first_ns is None else first_ns
        _sleep_until(begun + _due_s(plan, count, row.at_ns - first_ns))
        topic, payload = encode(row, plan)
        link.publish(topic, payload, qos=plan.qos)
        count += 1
        absent += len(plan.columns or row.texts) - (not plan.columns) - len(row.values)
    confirmed = link.drain() - confirmed_before
    return ReplayReport(count, confirmed, absent, time.monotonic() - begun)


def _due_s(plan: ReplayPlan, count: int, elapsed_ns: int) -> float:
    """Seconds after the start at which a row is due."""
    if plan.rows_per_s is not None:
        return count / plan.rows_per_s
    return elapsed_ns / 1e9 / plan.speed if plan.speed is not None else 0.0


def _sleep_until(moment: float) -> None:
    left = moment - time.monotonic()
    if left > EARLIEST_S:
        time.sleep(left)
