"""`gaugecast replay`: was every forecast what these inputs make? Or: what would it have said of this file?"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from gaugecast.cli.figures import show_skill
from gaugecast.cli.place import ConfigFile, fleet_called, read_settings
from gaugecast.config import resolve_fleets
from gaugecast.config.schema import Settings


def replay_command(
    config: ConfigFile = None,
    at: Annotated[int | None, typer.Option(help="Begin at the newest kept checkpoint up to this input.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Replay this file instead of the ledger.")] = None,
    fleet: Annotated[str | None, typer.Option(help="With --csv: the fleet whose features the columns are.")] = None,
    time_column: Annotated[str | None, typer.Option(help="With --csv: where the time is.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write every message here, one a line.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts: what was found, as one JSON object.")] = False,
) -> None:
    """Take inputs again through the code that the daemon runs.

    Of a ledger: recomputes every message and compares it with what was published, byte for byte; ends with 1 if
    any differs. Of a CSV: says what would have been forecast, and how well.
    """
    settings = read_settings(config)
    with (out or Path(os.devnull)).open("wb") as sink:
        if csv is not None:
            _replay_file(settings, csv, fleet, time_column, lambda body: _line(sink, body), as_json=as_json)
        else:
            _replay_ledger(settings, at, lambda body: _line(sink, body), as_json=as_json)


def _line(sink: object, body: bytes) -> None:
    sink.write(body + b"\n")  # type: ignore[attr-defined]


def _replay_ledger(settings: Settings, at: int | None, each: object, *, as_json: bool) -> None:
    from gaugecast.service.opening import look_up
    from gaugecast.service.replaying import replay_ledger

    console = Console(stderr=as_json)
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("replaying", total=None)
        report = replay_ledger(
            look_up(settings.storage),
            settings.loop,
            at=at,
            each=lambda output: each(output.body),  # type: ignore[operator]
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if as_json:
        typer.echo(msgspec.json.encode(report).decode())
        raise typer.Exit(1 if report.differing else 0)
    if report.differing:
        console.print(f"[red]{report.differing} of {report.outputs} messages differ[/red] from what was published")
        raise typer.Exit(1)
    how = "within a tolerance, for another machine made some of them," if report.elsewhere else "byte for byte"
    console.print(
        f"{report.outputs} messages reproduced {how} from {report.inputs} inputs after input {report.from_seq}"
    )


def _replay_file(
    settings: Settings, path: Path, name: str | None, time_column: str | None, each: object, *, as_json: bool
) -> None:
    from gaugecast.history import FileColumns, read_inputs
    from gaugecast.service.replaying import replay_inputs
    from gaugecast.service.reports import scores_of

    fleet = fleet_called(resolve_fleets(settings), name)
    batches = read_inputs(path, fleet, FileColumns(time_column or ""))
    part = replay_inputs(settings, fleet, batches, each=lambda output: each(output.body))  # type: ignore[operator]
    scores = scores_of(part)
    if as_json:
        version = None if part.in_force is None else part.in_force.version
        told = {"file": str(path), "fleet": fleet.name, "model": version, "forecasts": part.totals.forecasts}
        typer.echo(msgspec.json.encode({**told, "features": scores}).decode())
        return
    by = "the last value, for no model is in force" if part.in_force is None else f"model {part.in_force.version}"
    title = f"{path.name}: {part.totals.forecasts} forecasts by {by}"
    table = Table("feature", "mean |residual|", "skill", title=title)
    for feature, score in scores.items():
        error = "—" if score.absolute_error is None else f"{score.absolute_error:.4g} {score.unit}"
        table.add_row(feature, error, show_skill(score.skill))
    Console().print(table)
