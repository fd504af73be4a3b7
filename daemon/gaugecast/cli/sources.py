"""What the commands that train have in common: which history, which of its columns, which fleet, which settings."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from pydantic import ValidationError

from gaugecast.cli.options import parse_options, split_names
from gaugecast.cli.place import fleet_called
from gaugecast.config import load_settings, resolve_fleets
from gaugecast.config.explain import explain
from gaugecast.config.table import Table
from gaugecast.config.toml_text import read_toml
from gaugecast.config.training import Train
from gaugecast.errors import ConfigError
from gaugecast.fleet import Fleet
from gaugecast.history import FileColumns, fleet_of_file
from gaugecast.model import Model

if TYPE_CHECKING:
    from gaugecast.learn.train.task import Task

Settings = TypeVar("Settings", bound=Table)

History = Annotated[
    list[Path], typer.Argument(help="CSV or Parquet files, each a stream; or a state directory with a ledger.")
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Configuration: its fleet says features and period, its table the rest."),
]
FleetOption = Annotated[str | None, typer.Option("--fleet", help="Which of the configuration's fleets.")]
FeaturesOption = Annotated[
    str, typer.Option("--features", help="Columns to forecast, comma between. [default: all numeric]")
]
TimeOption = Annotated[
    str,
    typer.Option("--time-column", help="Where the time is; `none` = a row is a tick. [default: t, time, date, …]"),
]
StreamOption = Annotated[str, typer.Option("--stream-column", help="Column that tells the streams of a file apart.")]
ScratchOption = Annotated[
    Path | None, typer.Option("--scratch", help="Directory for the arrays meanwhile. [default: the system's]")
]


def read_task(
    history: list[Path],
    options: dict[str, Any],
    *,
    config: Path | None,
    fleet: str | None,
    features: str,
    time_column: str,
    stream_column: str,
    scratch: Path | None,
    begin: Path | None = None,
) -> Task:
    """What is to be trained, on what: the options as they were given, and the configuration beneath them.

    Raises:
        ConfigError: As `read_table`.
    """
    from gaugecast.learn.train.begin import settings_of_run
    from gaugecast.learn.train.task import Task

    settings, known = read_table(
        config, "train", Train, options, fleet, base=None if begin is None else settings_of_run(begin)
    )
    columns = FileColumns(time_column, stream_column, split_names(features))
    return Task(tuple(history), settings, known, columns, scratch, begin)


def read_table(
    config: Path | None,
    name: str,
    table: type[Settings],
    options: dict[str, Any],
    fleet: str | None,
    *,
    base: dict[str, Any] | None = None,
) -> tuple[Settings, Fleet | None]:
    """A table of settings from file and options, and the fleet if the file has one.

    The file may be the daemon's, or hold nothing but training tables. Beneath both lies `base`.

    Raises:
        ConfigError: The file or an option is wrong; the message names it.
    """
    given, known = _read_file(config, name, fleet) if config is not None else ({}, None)
    if fleet is not None and known is None:
        raise ConfigError(f"--fleet {fleet}: expected a configuration (-c) with [fleet.{fleet}]")
    try:
        return table.model_validate({**(base or {}), **given, **parse_options(table, options)}), known
    except ValidationError as exc:
        text = explain(exc, table, f"[{name}]", {})
        for key in options:
            text = text.replace(f"[{name}]: {key}: ", f"--{key.replace('_', '-')}: ")
        text = text.replace(f"[{name}]: the table: ", "")
        if config is None:  # who has typed options is spoken to of options
            text = re.sub(r"`([a-z0-9_]+)`", lambda found: _as_option(found[1], table), text)
        raise ConfigError(text) from exc


def _as_option(word: str, table: type[Table]) -> str:
    return f"--{word.replace('_', '-')}" if word in table.model_fields else f"`{word}`"


def _read_file(config: Path, name: str, fleet: str | None) -> tuple[dict[str, Any], Fleet | None]:
    """The table as it stands in the file, and the fleet."""
    raw = read_toml(config)
    if "fleet" not in raw:
        return dict(raw.get(name, {})), None
    settings = load_settings(config, os.environ)
    return getattr(settings, name).model_dump(exclude_unset=True), fleet_called(resolve_fleets(settings), fleet)


def fleet_of_model(file: Path, columns: FileColumns, name: str | None, model: Model | None) -> Fleet:
    """A fleet of a file that no configuration knows: of the model's columns, in its order, where there is one.

    Raises:
        ConfigError: As `fleet_of_file`.
    """
    if model is None:
        fleet = fleet_of_file(file, columns)
        return fleet if name is None else replace(fleet, name=name)
    manifest = model.manifest
    fleet = fleet_of_file(file, replace(columns, features=columns.features or tuple(n for n, _ in manifest.features)))
    roles = dict(manifest.features)
    features = tuple(replace(f, role=roles.get(f.name, f.role)) for f in fleet.features)
    return replace(fleet, name=name or manifest.fleet, features=features, rows=manifest.rows)
