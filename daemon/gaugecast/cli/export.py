"""`gaugecast export`: what was observed, expected and forecast, by time and stream, as a table for other programs."""

from __future__ import annotations

import csv
import fnmatch
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress

from gaugecast.cli.place import ConfigFile, read_settings
from gaugecast.config.duration import parse_duration_ns
from gaugecast.errors import ConfigError, WrongUse
from gaugecast.records import Output

COLUMNS = (
    "time", "fleet", "stream", "feature", "observed", "expected", "residual", "forecast", "forecast_for", "quality",
    "model", "lineage", "step",
)  # fmt: skip
_NUMBERS = ("observed", "expected", "residual", "forecast")
_BATCH = 50_000  # rows of a Parquet row group

Row = tuple[Any, ...]


def export_command(
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="A .csv or .parquet file. [default: CSV to standard output]")
    ] = None,
    config: ConfigFile = None,
    fleet: Annotated[str | None, typer.Option(help="Only streams of this fleet.")] = None,
    match: Annotated[str, typer.Option(help="Only streams whose id fits this shell pattern, such as 'hall/*'.")] = "*",
    since: Annotated[
        str | None, typer.Option("--from", help="From this instant on: 2026-01-02T03:04:05+01:00, or `7d` ago.")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", help="Up to this instant, itself left out.")] = None,
) -> None:
    """Write observed, expected, residual, forecast and quality of each step, a row a feature, as CSV or Parquet.

    Reads the ledger, whether the daemon runs or not, as far back as `replay` goes, and takes it through the same code
    again: the rows say what was published. Parquet needs the extra `parquet`.

        gaugecast export --from 7d -o week.parquet
    """
    settings = read_settings(config)
    low, high = (None if text is None else instant_s(text) for text in (since, until))
    from gaugecast.service.opening import look_up
    from gaugecast.service.replaying import replay_ledger  # NumPy and all: not for --help

    with _sink(out) as write, Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading the ledger", total=None)

        def each(output: Output) -> None:
            if output.forecast and fleet in (None, output.fleet) and fnmatch.fnmatchcase(output.stream, match):
                for row in rows_of(msgspec.json.decode(output.body)):
                    if (low is None or row[0] >= low) and (high is None or row[0] < high):
                        write(row)

        replay_ledger(
            look_up(settings.storage),
            settings.loop,
            each=each,
            progress=lambda done, of: bar.update(task, completed=done, total=of),
        )


def rows_of(message: dict[str, Any]) -> Iterator[Row]:
    """A row for each feature of one message, in the order of `COLUMNS`; times are Unix seconds."""
    for feature, forecast in message["forecast"].items():
        yield (
            message["at"], message["fleet"], message["stream"], feature, message["observed"][feature],
            message["predicted"][feature], message["residual"][feature], forecast, message["for"],
            " ".join(message["quality"]), message["model"], message.get("lineage"), message["step"],
        )  # fmt: skip


@contextmanager
def _sink(out: Path | None) -> Iterator[Callable[[Row], None]]:
    """Where rows go, by the file's name.

    Raises:
        WrongUse: It ends in neither .csv nor .parquet.
        ConfigError: It cannot be written, or the extra is not installed.
    """
    if out is not None and out.suffix == ".parquet":
        with _parquet(out) as write:
            yield write
        return
    if out is not None and out.suffix != ".csv":
        raise WrongUse(f"--out {out}: expected a name that ends in .csv or .parquet")
    try:
        file = sys.stdout if out is None else out.open("w", newline="", encoding="utf-8")
    except OSError as exc:
        raise ConfigError(f"--out {out}: cannot be written: {exc.strerror}") from exc
    try:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        yield lambda row: writer.writerow((iso_text(row[0]), *row[1:8], iso_text(row[8]), *row[9:]))
    finally:
        if out is not None:
            file.close()


@contextmanager
def _parquet(out: Path) -> Iterator[Callable[[Row], None]]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as exc:
        raise ConfigError(f"--out {out}: Parquet needs pyarrow: pip install 'gaugecast[parquet]'") from exc
    kinds = {"time": pa.timestamp("us", "UTC"), "forecast_for": pa.timestamp("us", "UTC"), "step": pa.int64()}
    kinds |= dict.fromkeys(_NUMBERS, pa.float64())
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])
    waiting: list[Row] = []
    with pq.ParquetWriter(out, schema) as writer:

        def flush() -> None:
            columns = dict(zip(COLUMNS, zip(*waiting, strict=True), strict=True)) if waiting else {}
            for name in ("time", "forecast_for"):
                columns[name] = tuple(round(at * 1e6) for at in columns.get(name, ()))
            if waiting:
                writer.write_table(
                    pa.table({name: pa.array(columns[name], schema.field(name).type) for name in COLUMNS})
                )
            waiting.clear()

        def write(row: Row) -> None:
            waiting.append(row)
            if len(waiting) >= _BATCH:
                flush()

        yield write
        flush()


def iso_text(at_s: float) -> str:
    """`2026-01-02T03:04:05.000000Z`."""
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def instant_s(text: str) -> float:
    """Unix seconds of an instant, or of so long ago.

    Raises:
        WrongUse: It is neither.
    """
    try:
        return datetime.now(UTC).timestamp() - parse_duration_ns(text) / 1e9
    except ConfigError:
        pass
    try:
        return datetime.fromisoformat(text).astimezone().timestamp()
    except ValueError as exc:
        raise WrongUse(f"expected an instant such as 2026-01-02T03:04:05+01:00, or `7d` ago, got {text!r}") from exc
