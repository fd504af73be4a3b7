"""`gaugecast explain`: what was known of a stream at an instant, how strange that was, and why; and what if."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import Console, Group, RenderableType
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from gaugecast.cli.export import instant_s
from gaugecast.cli.figures import NOTHING, show_name, show_value
from gaugecast.cli.place import ConfigFile, fleet_called, read_settings
from gaugecast.cli.streams import FleetName
from gaugecast.config import load_settings, resolve_fleets

if TYPE_CHECKING:
    from gaugecast.console.explained import Looked, Moment
    from gaugecast.service.explaining import Explained, Instead

#: Steps that the terminal shows; a page has all.
MOST_SHOWN = 12


def explain_command(
    stream: Annotated[str, typer.Argument(help="Its id, as `gaugecast streams list` shows it.")],
    config: ConfigFile = None,
    at: Annotated[
        str, typer.Option(help="The last step is the one of this instant: 2026-01-02T03:04:05+01:00, or `2h` ago.")
    ] = "0s",
    fleet: FleetName = None,
    steps: Annotated[int, typer.Option(min=1, max=100_000, help="How many readings, the last ones up to then.")] = 120,
    other_config: Annotated[
        Path | None, typer.Option(help="What if this file's table of the fleet had been in force all along?")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="What if this model, such as a run directory, had been?")] = None,
    page: Annotated[Path | None, typer.Option("--page", "-o", help="Write a page of HTML here, with pictures.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts: all that was found, as one object.")] = False,
) -> None:
    """Replay one stream out of the ledger as it was known then: readings, forecasts, intervals, scores, the reason.

    Reads the ledger, whether the daemon runs or not, takes the stream through the same code again, and holds every
    message against what was published, byte for byte. What is tried beside it goes over the same readings from as far
    back as the ledger reaches; the daemon is not touched. Ends with 1 if a message differs.

        gaugecast explain hall/tank-1 --at 2026-01-02T03:04:05Z -o why.html
        gaugecast explain hall/tank-1 --at 2h --other-config tried.toml
    """
    from gaugecast.service.explaining import Asked, explain

    settings = read_settings(config)
    asked = Asked(stream, fleet, round(instant_s(at) * 1e9), steps)
    console = Console(stderr=as_json)
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("replaying", total=None)
        found = explain(
            settings.storage.directory, settings.loop, asked, _instead(other_config, model, fleet),
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )  # fmt: skip
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
    else:
        console.print(render_explained(found))
    if page is not None:
        from gaugecast.cli.explain_page import write_page

        write_page(found, page)
        console.print(f"page: {page}")
    if found.differing:
        raise typer.Exit(1)


def _instead(other_config: Path | None, model: Path | None, fleet: str | None) -> Instead | None:
    """What is tried beside."""
    if other_config is None and model is None:
        return None
    from gaugecast.model import load_model
    from gaugecast.service.explaining import Instead

    fleets = [] if other_config is None else resolve_fleets(load_settings(other_config, os.environ))
    return Instead(
        fleet_called(fleets, fleet) if fleets else None, None if model is None else load_model(model)
    )  # fmt: skip


def render_explained(found: Explained) -> RenderableType:
    """The last steps as a table, the detectors at the last of them, and the reason; pure."""
    parts: list[RenderableType] = [Text(head_of(found), style="bold")]
    parts += [steps_table(found.moments), *_at_the_end(found.moments)]
    if found.instead is not None:
        parts += [Text("\nWith what was tried", style="bold"), steps_table(found.instead), *_at_the_end(found.instead)]
    parts.append(Text(f"\n{compared_text(found)}", style="red" if found.differing else "dim"))
    return Group(*parts)


def head_of(found: Explained) -> str:
    """`tank-1, fleet tanks, at 2026-01-02 03:04:05 UTC`."""
    at = f", at {instant_text(found.moments[-1].at_s)} UTC" if found.moments else ""
    return f"{show_name(found.stream)}, fleet {show_name(found.fleet)}{at}"


def instant_text(at_s: float) -> str:
    """`2026-01-02 03:04:05`."""
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%d %H:%M:%S")


def compared_text(found: Explained) -> str:
    """How what was replayed goes with what was published."""
    if found.differing:
        return f"{found.differing} of {found.compared} messages differ from what was published"
    how = "within a tolerance, for another machine made some of them" if found.elsewhere else "byte for byte"
    return f"{found.compared} messages are what was published, {how}"


def cells_of(one: Looked) -> tuple[str, str, str, str]:
    """Observed, expected, interval and score as text."""
    band = NOTHING
    if one.lower is not None and one.upper is not None:
        band = "…".join(show_value(bound, one.observed) for bound in (one.lower, one.upper))
    score = NOTHING if one.score is None else f"{one.score:.2f}"
    return show_value(one.observed, one.observed), show_value(one.expected, one.observed), band, score


def steps_table(moments: list[Moment], most: int = MOST_SHOWN) -> Table:
    """A row for each feature of each of the last steps."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("time", "feature", "observed", "expected", "interval", "score", "anomaly"):
        table.add_column(title, justify="left" if title in ("time", "feature", "anomaly") else "right")
    for moment in moments[-most:]:
        for number, (name, one) in enumerate(moment.features.items()):
            standing = " ".join(filter(None, (moment.open, *moment.told))) if number == 0 else ""
            style = "red" if one.score is not None and one.score >= 1.0 else ""
            observed, expected, band, score = cells_of(one)
            table.add_row(
                instant_text(moment.at_s) if number == 0 else "", Text(show_name(name)), observed, expected, band,
                Text(score, style=style), Text(standing, style="yellow"),
            )  # fmt: skip
    return table


def _at_the_end(moments: list[Moment]) -> list[RenderableType]:
    if not moments:
        return [Text("no step was made of these readings", style="dim")]
    last = moments[-1]
    parts: list[RenderableType] = []
    judged = {name: one.detectors for name, one in last.features.items() if one.detectors}
    if judged:
        names = list(dict.fromkeys(name for each in judged.values() for name in each))
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        table.add_column("score of")
        for name in names:
            table.add_column(name, justify="right")
        for feature, scores in judged.items():
            table.add_row(Text(show_name(feature)), *(_score(scores.get(name)) for name in names))
        parts += [Text(""), table]
    parts += [Text(f"\n{last.reason or 'nothing is strange at the last of these steps'}")]
    return [*parts, *map(Text, last.crossings)]


def _score(value: float | None) -> Text:
    return Text(NOTHING if value is None else f"{value:.2f}", style="red" if value is not None and value >= 1 else "")
