"""`gaugecast silence`: for a while nobody is to be called because of a stream."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated

import msgspec
import typer
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from gaugecast.cli.figures import NOTHING, show_age, show_name
from gaugecast.cli.place import ConfigFile, find_daemon
from gaugecast.cli.streams import FleetName, fleet_of
from gaugecast.cli.watch import ask_streams
from gaugecast.config.duration import parse_duration_ns
from gaugecast.control import Silence, StreamRow, StreamsQuery, call
from gaugecast.errors import WrongUse

_ALL = 100_000


def silence_command(
    stream: Annotated[str | None, typer.Argument(help="Its id. [default: list those that are silenced]")] = None,
    config: ConfigFile = None,
    fleet: FleetName = None,
    for_: Annotated[str, typer.Option("--for", help="How long from now, such as 30m, 2h, 1d.")] = "",
    undo: Annotated[bool, typer.Option("--undo", help="No longer.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts: of the list, an object a stream.")] = False,
) -> None:
    """Want no noise of a stream for a while: what is wrong with it is told with the severity `silenced`.

    Scores, events and their reasons go on, into the ledger and onto its topic; alerts, Home Assistant and whoever looks
    for `warning` and `critical` hear nothing. What is still open when the time is over is told anew.

        gaugecast silence hall/tank-1 --for 2h
        gaugecast silence hall/tank-1 --undo
    """
    place = find_daemon(config)
    if stream is None:
        if for_ or undo:
            raise WrongUse("silence: expected a stream, such as `gaugecast silence hall/tank-1 --for 2h`")
        rows = silenced_rows(ask_streams(place.socket, StreamsQuery(fleet=fleet, limit=_ALL)).rows)
        told = [{"fleet": row.fleet, "stream": row.stream, "until_s": row.silenced_until_s} for row in rows]
        if as_json:
            typer.echo(msgspec.json.encode(told).decode())
        else:
            Console().print(render_silenced(rows, time.time()))
        return
    if bool(for_) == undo:
        raise WrongUse("silence: expected --for, such as --for 2h, or --undo")
    seconds = parse_duration_ns(for_) / 1e9 if for_ else 0.0
    if for_ and not seconds:
        raise WrongUse(f"silence --for: a duration above 0 expected, got {for_}; --undo ends it")
    call(place.socket, Silence(fleet=fleet_of(place.socket, stream, fleet), stream=stream, for_s=seconds))
    typer.echo(f"{stream} is silenced for {show_age(seconds)}" if seconds else f"{stream} is no longer silenced")


def silenced_rows(rows: Sequence[StreamRow]) -> list[StreamRow]:
    """A row of each stream that is silenced."""
    return list({(row.fleet, row.stream): row for row in rows if row.silenced_until_s is not None}.values())


def render_silenced(rows: Sequence[StreamRow], now_s: float) -> RenderableType:
    """A line a stream; pure."""
    if not rows:
        return Text("no stream is silenced")
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("fleet", "stream", "for", "anomaly"):
        table.add_column(title, justify="right" if title == "for" else "left", overflow="fold")
    for row in rows:
        table.add_row(
            Text(show_name(row.fleet), style="dim"), Text(show_name(row.stream), style="bold"),
            show_age((row.silenced_until_s or now_s) - now_s),
            NOTHING if row.anomaly is None else f"open, peak {row.anomaly.peak:.2f}",
        )  # fmt: skip
    return table
