"""`gaugecast cluster …`: partitions on several machines, by Ray."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from gaugecast.cli.figures import NOTHING, add_names, show_name
from gaugecast.cli.place import ConfigFiles
from gaugecast.cli.status_all import One, files_meant, render_all
from gaugecast.config import load_settings
from gaugecast.config.find import find_config
from gaugecast.errors import ConfigError
from gaugecast.logs import configure
from gaugecast.status import Status

if TYPE_CHECKING:
    from gaugecast.cluster.ray.parts import PartStatus

cluster_app = typer.Typer(no_args_is_help=True, help="Run, look at, drain and stop a cluster on Ray and PostgreSQL.")

Address = Annotated[
    str,
    typer.Option(help="`local`: begin Ray here; `auto`: the one on this machine; or HOST:PORT of its head."),
]


@cluster_app.command("run")
def run_cluster(
    config: ConfigFiles = None,
    address: Address = "local",
    partitions: Annotated[
        int, typer.Option(min=1, max=4096, help="How many; it stays so for the life of the ledgers.")
    ] = 2,
) -> None:
    """Forecast with several processes, on one machine or many, until SIGTERM; `[storage] postgres` has all state.

    Each configuration file is an ingest with a broker session of its own; topics of several must be disjoint, as those
    that `gaugecast split` writes. Streams are dealt out by their names; a partition is the core of `gaugecast run`.
    """
    _need_extra()
    from gaugecast.cluster.database import check_database
    from gaugecast.cluster.plan import Plan
    from gaugecast.cluster.ray import start

    files = files_meant(config or []) or [find_config(None, os.environ)]
    settings = [load_settings(file, os.environ) for file in files]
    if not settings[0].storage.postgres:
        raise ConfigError(
            f"{files[0]}: [storage] postgres: a cluster needs a database, such as postgresql://gaugecast@db/gaugecast"
        )
    configure("info", "auto")
    plan = Plan.of(settings, partitions)
    check_database(plan)
    start.run(plan, address)


@cluster_app.command("status")
def cluster_status(
    address: Address = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="For scripts: the answer as JSON.")] = False,
) -> None:
    """Tell how each part fares: where it runs, what it does.

    Ends with 1 unless all ingests hear and all partitions forecast.
    """
    parts = _connected(address).ask_status()
    told = partitions_told(parts)
    if as_json:
        typer.echo(msgspec.json.encode(parts).decode())
    else:
        Console().print(render_parts(parts, told))
    if not all(one.well for one in told) or not all(map(_hears, parts)):
        raise typer.Exit(1)


@cluster_app.command("drain")
def drain_node(
    node: Annotated[str, typer.Argument(help="Its id or the beginning of it, as `gaugecast cluster status` has it.")],
    address: Address = "auto",
) -> None:
    """Move all parts off a node (not off the last one), each with a warm successor; none comes back to it."""
    moved = _connected(address).drain(node)
    typer.echo(f"moved: {', '.join(moved)}" if moved else "nothing ran there")


@cluster_app.command("stop")
def stop_cluster(address: Address = "auto") -> None:
    """End a cluster in order: ingests, then partitions, each with a checkpoint."""
    _connected(address).stop()
    typer.echo("asked to stop")


def _need_extra() -> None:
    missing = [name for name in ("ray", "psycopg") if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"cluster: {' and '.join(missing)} not installed: pip install 'gaugecast[cluster]'")


def _connected(address: str) -> Any:
    _need_extra()
    from gaugecast.cluster.ray import start

    start.connect(address)
    return start


def partitions_told(parts: Sequence[PartStatus]) -> list[One]:
    """What the partitions say, as `gaugecast status` has it of several daemons."""
    return [
        One(part.name, None if part.told is None else msgspec.convert(part.told, Status), None)
        for part in parts
        if part.name.startswith("partition-")
    ]


def render_parts(parts: Sequence[PartStatus], told: Sequence[One]) -> RenderableType:
    """Where each part runs, and what the partitions do; pure."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    add_names(table, "part", [part.name for part in parts], style="bold")
    for title in ("node", "pid", "replaced"):
        table.add_column(title, no_wrap=True)
    table.add_column("does", overflow="fold")
    for part in parts:
        where = part.node[:12] or NOTHING, str(part.pid or NOTHING), str(max(0, part.replaced))
        table.add_row(Text(show_name(part.name)), *where, _does(part))
    return Group(table, "", render_all(told))


def _hears(part: PartStatus) -> bool:
    """Of other parts than ingests, which hear nothing, too."""
    return not part.name.startswith("ingest-") or bool((part.told or {}).get("connected"))


def _does(part: PartStatus) -> Text:
    """What a part says of itself in a few words; of partitions the table below says more."""
    told = part.told
    if told is None:
        return Text("does not answer", style="bold red")
    match part.name.partition("-")[0]:
        case "spare":
            return Text("stands by" if part.pid else "begins", style="dim")
        case "ingest" if not told.get("connected"):
            return Text(show_name(told.get("error") or "connects to its broker"), style="bold red")
        case "ingest":
            return Text(f"hears; {told['acked_total']:,} acked, {told['waiting']:,} wait", style="green")
        case "learner":
            return Text(f"learns; {told['handovers_total']:,} handed over, {told['lag_s']:.0f} s behind", style="green")
        case _:
            status = msgspec.convert(told, Status)
            return Text(str(status.doing), style="green" if status.ready else "bold red")
