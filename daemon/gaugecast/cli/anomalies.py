"""`gaugecast events`: what is wrong with which streams now, since when, and why."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from gaugecast.cli.figures import show_age, show_name
from gaugecast.cli.foretold import anomaly_words
from gaugecast.cli.place import ConfigFile, find_daemon
from gaugecast.cli.streams import FleetName, fleet_of
from gaugecast.cli.watch import ask_streams
from gaugecast.control import Acknowledge, AnomalyRow, StreamRow, StreamsQuery, call

_PAGE = 500
_STYLES = {"critical": "red", "warning": "yellow"}

events_app = typer.Typer(invoke_without_command=True)


@events_app.callback()
def events_command(
    context: typer.Context,
    config: ConfigFile = None,
    fleet: Annotated[str | None, typer.Option(help="Only streams of this fleet.")] = None,
    match: Annotated[str, typer.Option(help="Only streams whose id fits this shell pattern, such as 'hall/*'.")] = "*",
    as_json: Annotated[bool, typer.Option("--json", help="For scripts: an object a stream.")] = False,
) -> None:
    """Anomalies that are open now, the strangest first: since when, how strange, which feature, and what of it.

    Only of fleets with a table [fleet.NAME.anomaly]. Each is told on a topic of its own, too.
    """
    if context.invoked_subcommand is not None:
        return
    rows = open_events(find_daemon(config).socket, StreamsQuery(fleet=fleet, match=match, limit=_PAGE))
    if as_json:
        found = [{"fleet": row.fleet, "stream": row.stream, **msgspec.to_builtins(row.anomaly)} for row in rows]
        typer.echo(msgspec.json.encode(found).decode())
        return
    Console().print(render_events(rows, time.time()))


@events_app.command("acknowledge")
def acknowledge_command(
    stream: Annotated[str, typer.Argument(help="Its id, as `gaugecast events` shows it.")],
    config: ConfigFile = None,
    fleet: FleetName = None,
) -> None:
    """Say that somebody knows of a stream's anomaly: it is told once more, as acknowledged, and goes on as before.

    For less noise of what is to come, `gaugecast silence`.
    """
    place = find_daemon(config)
    call(place.socket, Acknowledge(fleet=fleet_of(place.socket, stream, fleet), stream=stream))
    typer.echo(f"the anomaly of {stream} is acknowledged")


def open_events(socket: Path, query: StreamsQuery) -> list[StreamRow]:
    """A row of each stream with an open event, the strangest first."""
    found: dict[tuple[str, str], StreamRow] = {}
    offset, total = 0, 1
    while offset < total:
        answer = ask_streams(socket, msgspec.structs.replace(query, offset=offset))
        total, offset = answer.total, offset + query.limit
        found |= {(row.fleet, row.stream): row for row in answer.rows if row.anomaly is not None}
    return sorted(found.values(), key=lambda row: (-_peak(row), row.fleet, row.stream))


def _standing(one: AnomalyRow) -> str:
    return f"{one.severity}, acknowledged" if one.acknowledged else one.severity


def _peak(row: StreamRow) -> float:
    return 0.0 if row.anomaly is None else row.anomaly.peak


def render_events(rows: Sequence[StreamRow], now_s: float) -> RenderableType:
    """A line an event; pure."""
    if not rows:
        return Text("nothing is wrong")
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("fleet", "stream", "since", "score", "peak", "severity", "what"):
        table.add_column(title, justify="right" if title in ("since", "score", "peak") else "left", overflow="fold")
    for row in rows:
        one = row.anomaly
        if one is not None:
            table.add_row(
                Text(show_name(row.fleet), style="dim"), Text(show_name(row.stream), style="bold"),
                show_age(now_s - one.began_s), f"{one.score:.2f}", f"{one.peak:.2f}",
                Text(_standing(one), style=_STYLES.get(one.severity, "dim")), Text(anomaly_words(row)),
            )  # fmt: skip
    return table
