"""`gaugecast predict`: the forecasts of a file's rows, as a file."""

from __future__ import annotations

import csv
import datetime
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from gaugecast.cli.place import fleet_called
from gaugecast.cli.sources import FleetOption, StreamOption, TimeOption, fleet_of_model
from gaugecast.config import load_settings, resolve_fleets
from gaugecast.errors import ConfigError
from gaugecast.fleet import Fleet
from gaugecast.history import FileColumns, read_inputs
from gaugecast.model import Model, load_model
from gaugecast.pipeline.fits import check_fits

if TYPE_CHECKING:
    from gaugecast.learn.score.course import Course
    from gaugecast.records import Float64


def predict_command(
    file: Annotated[Path, typer.Argument(help="A CSV or Parquet file of readings.")],
    model: Annotated[
        Path | None, typer.Option(help="Weights: a run directory of `gaugecast train`. [default: those in force]")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Take the fleet, and the model in force, from here.")
    ] = None,
    fleet: FleetOption = None,
    horizon: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Steps ahead. [default: the fleet's, or the model's]")
    ] = None,
    time_column: TimeOption = "",
    stream_column: StreamOption = "",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write here. [default: the terminal]")] = None,
) -> None:
    """Forecast after each row of a file, and write the forecasts as CSV, a line a row.

    The rows go through the code that the daemon runs, from a cold start; weights stay as they are. Columns are
    stream, time, and `FEATURE+1` for what is expected a tick later, up to the horizon.

    Examples:

        gaugecast predict new.csv --model runs/tanks-2026 -o forecasts.csv
        gaugecast predict new.csv -c gaugecast.toml
    """
    from gaugecast.learn.backtest.lockstep import Lockstep
    from gaugecast.learn.backtest.run import without_waiting

    columns = FileColumns(time_column, stream_column)
    weights, found = _weights_and_fleet(file, columns, model, config, fleet)
    steps = horizon or max(found.horizon, weights.manifest.decode_steps)
    found = without_waiting(replace(found, horizon=steps))
    check_fits(weights, found)
    recorder = Lockstep(found, model=weights, learning=False).record(read_inputs(file, found, columns))
    with _sink(out) as sink:
        lines = csv.writer(sink, lineterminator="\n")
        names = [feature.name for feature in found.forecast_features]
        lines.writerow(("stream", "time", *(f"{name}+{h}" for h in range(1, steps + 1) for name in names)))
        for course, forecasts in zip(*recorder.courses(), strict=True):
            lines.writerows(_rows(course, forecasts))


def _weights_and_fleet(
    file: Path, columns: FileColumns, model: Path | None, config: Path | None, name: str | None
) -> tuple[Model, Fleet]:
    from gaugecast.service.replaying import model_in_force

    weights = None if model is None else load_model(model)
    if config is None:
        if weights is None:
            raise ConfigError("predict: expected --model RUN, or -c CONFIG with a model in force")
        return weights, fleet_of_model(file, columns, name, weights)
    settings = load_settings(config, os.environ)
    fleet = fleet_called(resolve_fleets(settings), name)
    weights = weights or model_in_force(settings.storage.directory, fleet)
    if weights is None:
        raise ConfigError(f"predict: no model is in force for fleet {fleet.name!r}; name one with --model")
    return weights, fleet


def _rows(course: Course, forecasts: Float64) -> Iterator[list[str]]:
    """Stream, time and forecasts (H · G) after each step; what there is no forecast of is empty."""
    for at_ns, made in zip(course.at.tolist(), forecasts, strict=True):
        when = datetime.datetime.fromtimestamp(at_ns // 10**9, datetime.UTC).replace(microsecond=at_ns % 10**9 // 1000)
        yield [
            course.stream,
            when.isoformat().replace("+00:00", "Z"),
            *("" if value != value else f"{value:.9g}" for value in made.ravel().tolist()),
        ]


@contextmanager
def _sink(path: Path | None) -> Iterator[TextIO]:
    if path is None:
        yield sys.stdout
        return
    with path.open("w", newline="", encoding="utf-8") as file:
        yield file
