"""`gaugecast history load`: the past of streams that are new here, so that they do not begin cold."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from gaugecast.cli.figures import show_count
from gaugecast.cli.place import ConfigFile, fleet_called, read_settings
from gaugecast.config import Settings, resolve_fleets
from gaugecast.control import SOCKET_NAME, StatusQuery, call
from gaugecast.errors import Unreachable, WrongUse
from gaugecast.fleet import Fleet

if TYPE_CHECKING:
    from gaugecast.service.loading import Chunk

history_app = typer.Typer(no_args_is_help=True, help="Load the past of streams that are new here.")


@history_app.command("load")
def load_command(
    sources: Annotated[
        list[str], typer.Argument(help="CSV, Parquet, line protocol (.lp), Prometheus' JSON, or its address (http).")
    ],
    config: ConfigFile = None,
    fleet: Annotated[str | None, typer.Option(help="Whose streams; not needed where there is one fleet.")] = None,
    stream: Annotated[
        str, typer.Option(help="The stream's id: text with {column}, {label} or {tag}. [default: as the fleet has it]")
    ] = "",
    feature: Annotated[str, typer.Option(help="Which feature a query's series are. [default: their name]")] = "",
    time_column: Annotated[str, typer.Option(help="Of a table. [default: t, time, date, …]")] = "",
    time_format: Annotated[str, typer.Option(help="Of a table's times, as strptime has it.")] = "",
    timezone: Annotated[str, typer.Option(help="Of a table's times that say none.")] = "UTC",
    unit: Annotated[str, typer.Option(help="Of line protocol's times: s, ms, us or ns.")] = "ns",
) -> None:
    """Load history, so that the first live forecast comes from a warm state and, with a learner, a learned model.

    Goes into the ledger by the way that readings go, through the daemon if it runs and with it stopped alike; nothing
    of it is published, and it does not count as received. Only for streams that have no steps of their own yet, and
    values must be as the fleet has them, `scale` and `offset` applied. What a fleet learns from it is kept.

        gaugecast history load tank7.csv --stream north/tank-7
        gaugecast history load all.csv --stream '{tank}' --timezone Europe/Berlin
        gaugecast history load power.lp --stream '{host}/{device}'
        gaugecast history load --feature pressure --stream '{site}/{tank}' \\
            'http://localhost:9090/api/v1/query_range?query=p&start=…&step=60'
    """
    from gaugecast.history import FileColumns
    from gaugecast.service.loading import chunks_of
    from gaugecast.service.past_sources import Wanted, read_past

    settings = read_settings(config)
    chosen = fleet_called(resolve_fleets(settings), fleet)
    if unit not in ("s", "ms", "us", "ns"):
        raise WrongUse(f"--unit: expected s, ms, us or ns, got {unit!r}")
    columns = FileColumns(time_column, time_format=time_format, timezone=timezone)
    wanted = Wanted(stream, feature, columns, unit)
    slices = (rows for source in sources for rows in read_past(source, chosen, wanted))
    chunks = list(chunks_of(slices))
    rows = sum(len(chunk.at_ns) for chunk in chunks)
    if not rows:
        raise WrongUse(f"{', '.join(sources)}: expected rows of {', '.join(f.name for f in chosen.features)}, got none")
    origin = ", ".join(sources)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("loading", total=rows)
        how = _load(settings, chosen, chunks, origin, lambda done: bar.update(task, advance=done))
    streams = len({chunk.stream for chunk in chunks})
    typer.echo(f"loaded {show_count(rows, 'row')} of {show_count(streams, 'stream')} into fleet {chosen.name}, {how}")


def _load(settings: Settings, fleet: Fleet, chunks: Sequence[Chunk], origin: str, done: Callable[[int], object]) -> str:
    """Through the daemon, or where none answers, without one; how it went."""
    from gaugecast.service.loading import core_without_broker, order_of, request_of, take_orders

    socket = settings.storage.directory / SOCKET_NAME
    if os.path.lexists(socket) and _runs(settings):
        for chunk in chunks:
            call(socket, request_of(fleet, chunk, origin), timeout_s=60.0)
            done(len(chunk.at_ns))
        return "through the daemon that runs"
    with core_without_broker(settings) as core:
        for chunk in chunks:
            core.order(order_of(core, fleet.name, chunk, origin))
            take_orders(core)
            done(len(chunk.at_ns))
    return "for the next start of the daemon"


def _runs(settings: Settings) -> bool:
    try:
        call(settings.storage.directory / SOCKET_NAME, StatusQuery(), timeout_s=10.0)
    except Unreachable:
        return False
    return True
