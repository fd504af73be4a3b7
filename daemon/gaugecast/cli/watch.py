"""`gaugecast watch`: the streams, live, with what was expected beside what came; as a screen, as lines, as JSON."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.live import Live

from gaugecast.cli.figures import NOTHING, show_name, show_value
from gaugecast.cli.foretold import crossing_words
from gaugecast.cli.keys import open_keys
from gaugecast.cli.place import ConfigFile, find_daemon
from gaugecast.cli.watch_screen import Trails, render_streams, rows_within, whole_streams
from gaugecast.control import StreamRow, StreamsAnswer, StreamsQuery, call
from gaugecast.errors import Unreachable, WrongUse

_ALL = 100_000  # streams that lines and JSON tell of
_KEYS = "n or space: next page · p: page before · q: leave"


def watch(
    config: ConfigFile = None,
    fleet: Annotated[str | None, typer.Option(help="Only streams of this fleet.")] = None,
    match: Annotated[str, typer.Option(help="Only streams whose id fits this shell pattern, such as 'hall/*'.")] = "*",
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Print one look and end.")] = False,
    plain: Annotated[
        bool, typer.Option("--plain", help="A line for each step, not a screen; so, too, where there is no terminal.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts: each step as one JSON object a line.")] = False,
) -> None:
    """Watch the streams live: observed, expected, residual, next, skill. Ctrl-C leaves; the daemon does not notice.

    `expected` is what had been forecast for the instant of `observed`, so that observed − expected is the residual;
    `next` is expected at the next step. The letter before a stream says what is to be known of its forecasts.
    """
    if plain and as_json:
        raise WrongUse("--plain and --json: choose one")
    socket, console = find_daemon(config).socket, Console()
    try:
        if plain or as_json or not (once or console.is_terminal):
            render = json_of if as_json else line_of
            query = StreamsQuery(fleet=fleet, match=match, limit=_ALL)
            for text in tell_steps(lambda: ask_streams(socket, query), render, None if once else every):
                typer.echo(text)
        elif once:
            answer, trails = ask_streams(socket, StreamsQuery(fleet=fleet, match=match)), Trails()
            trails.update(answer.rows)
            console.print(render_streams(answer, trails, width=console.width))
        else:
            _follow(console, socket, StreamsQuery(fleet=fleet, match=match, limit=console.height), every)
    except (KeyboardInterrupt, BrokenPipeError):
        return


def ask_streams(socket: Path, query: StreamsQuery, timeout_s: float = 5.0) -> StreamsAnswer:
    """Ask the daemon for rows.

    Raises:
        Unreachable, CommandRefused: As `control.call`.
    """
    return msgspec.convert(call(socket, query, timeout_s), StreamsAnswer)


# -- as lines


def tell_steps(
    ask: Callable[[], StreamsAnswer], render: Callable[[StreamRow], str], every_s: float | None
) -> Iterator[str]:
    """A text for each step of each feature, once; a daemon that restarts is waited for.

    Args:
        every_s: Between two looks; `None`: there is one.

    Raises:
        Unreachable: At the first look.
    """
    answer: StreamsAnswer | None = ask()
    told: dict[tuple[str, str, str], int] = {}
    while True:
        if answer is not None:
            yield from map(render, _new_ones(answer.rows, told))
        if every_s is None:
            return
        time.sleep(every_s)
        try:
            answer = ask()
        except Unreachable as exc:
            if answer is not None:  # said once
                typer.echo(f"no answer: {exc}", err=True)
            answer = None


def _new_ones(rows: Iterable[StreamRow], told: dict[tuple[str, str, str], int]) -> Iterator[StreamRow]:
    for row in rows:
        name = (row.fleet, row.stream, row.feature)
        if told.get(name) != row.step:
            told[name] = row.step
            yield row


def line_of(row: StreamRow) -> str:
    """`07:04:22 tanks hall/tank-1 pressure observed=1.500 expected=1.490 residual=+0.0100 … quality=sure`."""
    at = NOTHING if row.at_s is None else time.strftime("%H:%M:%S", time.localtime(row.at_s))
    size = None if row.observed is None else row.observed / 10
    skill = NOTHING if row.skill is None or not math.isfinite(row.skill) else f"{row.skill:.0%}"
    figures = {
        "observed": show_value(row.observed, row.observed),
        "expected": show_value(row.predicted, row.observed),
        "residual": show_value(row.residual, size, signed=True),
        "next": show_value(row.forecast, row.observed),
        "skill": skill,
        "quality": ",".join(row.quality) or "sure",
    }
    if row.lower is not None and row.upper is not None:
        figures["band"] = "…".join(show_value(bound, row.observed) for bound in (row.lower, row.upper))
    words = (f"{name}={figure}" for name, figure in figures.items())
    named = (show_name(text) for text in (row.fleet, row.stream, row.feature))
    told = [crossing_words(row, one) for one in row.crossings if one.open]
    return " ".join((at, *named, *words, *told))


def json_of(row: StreamRow) -> str:
    """One object; `predicted` is what is `expected` on the screen, as in the messages."""
    return msgspec.json.encode({**msgspec.to_builtins(row), "residual": row.residual}).decode()


# -- as a screen


def _follow(console: Console, socket: Path, query: StreamsQuery, every_s: float) -> None:
    """Look again and again; a daemon that restarts is waited for, one that never was there is not."""
    trails, gone = Trails(), ""
    shown = ask_streams(socket, query)
    with open_keys() as keys, Live(console=console, auto_refresh=False, screen=console.is_terminal) as live:
        while True:
            trails.update(shown.rows)
            width, height = console.width, console.height
            rows = rows_within(shown, width=width, height=height, gone=gone, keys=_KEYS)
            page = whole_streams(shown, rows)
            words = _KEYS if keys.there and page < shown.total else ""
            live.update(render_streams(shown, trails, width=width, height=height, gone=gone, keys=words), refresh=True)
            turned = turn_page(query, keys.wait(every_s), shown.total, page)
            if turned is None:
                return
            query = msgspec.structs.replace(turned, limit=height)
            try:
                shown, gone = ask_streams(socket, query), ""
            except Unreachable as exc:
                gone = str(exc)


def turn_page(query: StreamsQuery, key: str, total: int, page: int) -> StreamsQuery | None:
    """What is asked for after a key; `None`: enough.

    Args:
        page: How many streams were shown whole.
    """
    page = max(1, page)
    if key in ("q", "Q", "\x1b"):
        return None
    offset = query.offset
    if key in ("n", " ", "\x1b[6~", "\x1b[B"):
        offset = offset if offset + page >= total else offset + page  # the last page stays
    elif key in ("p", "\x1b[5~", "\x1b[A"):
        offset = max(0, offset - page)
    return msgspec.structs.replace(query, offset=offset)
