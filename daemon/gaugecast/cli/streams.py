"""`gaugecast streams …`: which streams there are, one of them with its past, and what an operator does with them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from gaugecast.cli.figures import NOTHING, add_names, show_age, show_count, show_name, show_skill, show_value
from gaugecast.cli.place import ConfigFile, find_daemon
from gaugecast.cli.plot import plot_lines
from gaugecast.cli.watch import ask_streams
from gaugecast.control import Forget, Rename, Reset, StreamRow, StreamsQuery, call
from gaugecast.errors import WrongUse

if TYPE_CHECKING:
    from gaugecast.cli.stream_past import Past

streams_app = typer.Typer(no_args_is_help=True, help="List, show, rename, reset and forget streams.")

FleetName = Annotated[str | None, typer.Option("--fleet", help="Which fleet; not needed where one has such a stream.")]
_MOST = 200
#: Columns that the figures beside a name take, and that a name has at least.
_FIGURES, _LEAST_NAME = 46, 14


@streams_app.command("list")
def list_streams(
    config: ConfigFile = None,
    fleet: Annotated[str | None, typer.Option(help="Only streams of this fleet.")] = None,
    match: Annotated[str, typer.Option(help="Only streams whose id fits this shell pattern, such as 'hall/*'.")] = "*",
    most: Annotated[int, typer.Option("--most", "-n", min=1, help="How many.")] = _MOST,
    skip: Annotated[int, typer.Option(min=0, help="Leave out so many before.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts: a row for each feature.")] = False,
) -> None:
    """Streams that are active: when each spoke last, its step, its skill, what is to be known of its forecasts.

    A stream that has been silent for `park_after` is put aside in the ledger, and is not listed.
    """
    query = StreamsQuery(fleet=fleet, match=match, limit=most, offset=skip)
    answer = ask_streams(find_daemon(config).socket, query)
    if as_json:
        typer.echo(msgspec.json.encode(answer.rows).decode())
        return
    console = Console()
    console.print(render_list(answer.rows, time.time(), width=console.width))
    shown = len({(row.fleet, row.stream) for row in answer.rows})
    if shown < answer.total:
        typer.echo(f"{shown} of {show_count(answer.total, 'stream')}; go on with --skip {skip + shown}")


def render_list(rows: Sequence[StreamRow], now_s: float, *, width: int) -> RenderableType:
    """A line a stream, under its fleet where there are several; pure."""
    if not rows:
        return Text("no such stream is active")
    by_fleet: dict[str, dict[str, list[StreamRow]]] = {}
    for row in rows:
        by_fleet.setdefault(row.fleet, {}).setdefault(row.stream, []).append(row)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    indent = "  " if len(by_fleet) > 1 else ""
    names = [*by_fleet, *(indent + stream for own in by_fleet.values() for stream in own)]
    add_names(table, "stream", names, most=max(_LEAST_NAME, width - _FIGURES), style="bold")
    for title in ("steps", "last reading", "skill"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("quality")
    for fleet, streams in by_fleet.items():
        if indent:
            table.add_row(Text(show_name(fleet), style="not bold dim"))
        for stream, own in streams.items():
            table.add_row(Text(indent + show_name(stream)), *_figures(own, now_s))
    return table


def _figures(own: Sequence[StreamRow], now_s: float) -> list[RenderableType]:
    """Of one stream, from the rows of its features."""
    first, skills = own[0], [row.skill for row in own if row.skill is not None]
    return [
        f"{first.step:,}",
        NOTHING if first.at_s is None else f"{show_age(now_s - first.at_s)} ago",
        show_skill(sum(skills) / len(skills) if skills else None),
        Text(", ".join(first.quality) or "sure", style="yellow" if first.quality else "green"),
    ]


@streams_app.command("show")
def show_stream(
    stream: Annotated[str, typer.Argument(help="Its id, as `gaugecast streams list` shows it.")],
    config: ConfigFile = None,
    fleet: FleetName = None,
    steps: Annotated[int, typer.Option(min=2, max=100_000, help="How far back the pictures go.")] = 120,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts: its rows, and its past by feature.")] = False,
) -> None:
    """One stream: what is known of it now, and pictures of what was observed beside what had been expected of it."""
    place = find_daemon(config)
    rows = _rows_of(
        ask_streams(place.socket, StreamsQuery(fleet=fleet, match=_literally(stream), limit=1000)).rows, stream
    )
    from gaugecast.cli.stream_past import read_past  # the ledger, and NumPy

    past = read_past(place.directory, rows, steps)
    if as_json:
        typer.echo(msgspec.json.encode({"now": rows, "past": past}).decode())
        return
    console = Console()
    console.print(render_stream(rows, past, width=console.width))


def _rows_of(rows: Sequence[StreamRow], stream: str) -> list[StreamRow]:
    """The rows of the one stream that is meant.

    Raises:
        WrongUse: There is none, or there are several.
    """
    fleets = sorted({row.fleet for row in rows})
    if not fleets:
        raise WrongUse(f"no stream {stream!r} is active; `gaugecast streams list` shows those that are")
    if len(fleets) > 1:
        raise WrongUse(f"{stream!r} is a stream of {' and '.join(fleets)}; say which with --fleet")
    return list(rows)


def _literally(stream: str) -> str:
    """A shell pattern that fits this id alone."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in stream)


def render_stream(rows: Sequence[StreamRow], past: Sequence[Past], *, width: int) -> RenderableType:
    """Its state, then a picture a feature; pure."""
    first = rows[0]
    head = Text(show_name(first.stream), style="bold")
    head.append(
        f"   fleet {first.fleet} · step {first.step:,} · {', '.join(first.quality) or 'sure'}", style="not bold dim"
    )
    parts: list[RenderableType] = [head]
    for row, lines in zip(rows, past, strict=True):
        figures = Text(f"\n{show_name(row.feature)}  ", style="bold")
        figures.append(
            f"observed {show_value(row.observed, row.observed)} {show_name(row.unit)}".rstrip(), style="not bold"
        )
        figures.append(f" · expected {show_value(row.predicted, row.observed)}", style="not bold cyan")
        figures.append(f" · next {show_value(row.forecast, row.observed)} · skill ", style="not bold")
        parts += [figures.append_text(show_skill(row.skill)), plot_lines(lines.observed, lines.expected, width=width)]
    parts.append(Text("\n⠿ observed", style="blue").append("   ⠿ expected of it one step before", style="cyan"))
    return Group(*parts)


@streams_app.command("rename")
def rename_stream(
    stream: Annotated[str, typer.Argument(help="Its id until now.")],
    to: Annotated[str, typer.Argument(help="Its id from here on: the one that its readings will have.")],
    config: ConfigFile = None,
    fleet: FleetName = None,
) -> None:
    """Let a stream go on under another id, with its state, statistics and step numbers.

    For a sensor whose topic changes: rename the stream, then the topic. What the ledger has of it stays under the old
    id. Readings under the old id would begin a new stream.
    """
    place = find_daemon(config)
    call(place.socket, Rename(fleet=fleet_of(place.socket, stream, fleet), stream=stream, to=to))
    typer.echo(f"{stream} goes on as {to}")


@streams_app.command("forget")
def forget_stream(
    stream: Annotated[str, typer.Argument(help="Its id.")],
    config: ConfigFile = None,
    fleet: FleetName = None,
) -> None:
    """Let go of a stream whose sensor is gone: it is no longer stale, has no series, and alerts of it end.

    Its readings and forecasts stay in the ledger. If it speaks again it begins anew, but goes on counting its steps.
    """
    place = find_daemon(config)
    call(place.socket, Forget(fleet=fleet_of(place.socket, stream, fleet), stream=stream))
    typer.echo(f"{stream} is forgotten")


@streams_app.command("reset")
def reset_stream(
    stream: Annotated[str, typer.Argument(help="Its id.")],
    config: ConfigFile = None,
    fleet: FleetName = None,
) -> None:
    """Begin a stream's state anew, as after a long gap: its statistics and step numbers stay."""
    place = find_daemon(config)
    call(place.socket, Reset(fleet=fleet_of(place.socket, stream, fleet), stream=stream))
    typer.echo(f"{stream} begins anew")


def fleet_of(socket: Path, stream: str, fleet: str | None) -> str:
    """The fleet that is named, or the only one that has such a stream.

    Raises:
        WrongUse: There is none, or there are several.
    """
    if fleet is not None:
        return fleet
    answer = ask_streams(socket, StreamsQuery(match=_literally(stream), limit=1000))
    if not answer.rows and len(fleets := [name for name, _, _ in answer.status.at_work()]) == 1:
        return fleets[0]  # it may be parked
    return _rows_of(answer.rows, stream)[0].fleet
