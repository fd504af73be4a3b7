"""`gaugecast state`: what a stream's network remembers, in numbers and as a picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.console import Console

from gaugecast.cli.figures import figure_grid, sparkline, wide_console
from gaugecast.cli.place import ConfigFile, read_settings
from gaugecast.errors import ConfigError
from gaugecast.model.layers import STATE_PARTS

if TYPE_CHECKING:
    from gaugecast.forecast.expert import Expert
    from gaugecast.records import Float32

_WIDTH = 64


def state_command(
    stream: Annotated[str, typer.Argument(help="The stream's id.")],
    config: ConfigFile = None,
    fleet: Annotated[str | None, typer.Option(help="Its fleet, where several have a stream of that id.")] = None,
    json_out: Annotated[bool, typer.Option("--json", help="All numbers, as JSON.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Draw it here, as PNG.")] = None,
) -> None:
    """Show the hidden state that a stream's network carries now: h and, of an LSTM, c of each layer.

    It is computed from the newest checkpoint and the ledger's inputs since, beside a daemon that runs or does not.
    """
    from gaugecast.service.replaying import expert_of

    settings = read_settings(config)
    found = expert_of(settings.storage.directory, settings.loop, stream, fleet=fleet)
    if found is None:
        raise ConfigError(f"state: expected a stream with a model in force, found none called {stream!r}")
    expert, slot = found
    parts = parts_of(expert, slot)
    if json_out:
        typer.echo(json.dumps({name: [round(float(v), 6) for v in values] for name, values in parts.items()}, indent=1))
    else:
        _show(wide_console(), stream, expert, parts)
    if plot is not None:
        from gaugecast.learn.pages import drawing

        plt = drawing.load_pyplot()
        drawing.save(plt, drawing.draw_state(plt, parts, title=f"stream {stream}"), plot)
        typer.echo(f"picture: {plot}", err=True)


def parts_of(expert: Expert, slot: int) -> dict[str, Float32]:
    """The state by row, layer and part: `pressure, LSTM 1, h` (U,)."""
    rows = expert.columns["state"][slot]
    layout = expert.layout
    names = [expert.fleet.features[i].name for i in layout.forecast] if layout.per_feature else ["all features"]
    found: dict[str, Float32] = {}
    for name, row in zip(names, rows, strict=True):
        at = 0
        for number, layer in enumerate(expert.model.manifest.layers, 1):
            for part in STATE_PARTS[layer.cell]:
                found[f"{name}, {layer.cell.upper()} {number}, {part}"] = row[at : at + layer.units]
                at += layer.units
    return found


def _show(console: Console, stream: str, expert: Expert, parts: dict[str, Float32]) -> None:
    grid = figure_grid(
        "state", "least", "mean size", "most", "units, least to most", title=f"{stream}, {expert.version}"
    )
    for name, values in parts.items():
        low, high = float(values.min()), float(values.max())
        shown = sparkline(values[:_WIDTH].tolist(), low, high) + ("…" if len(values) > _WIDTH else "")
        grid.add_row(name, f"{low:.3f}", f"{float(np.abs(values).mean()):.3f}", f"{high:.3f}", shown)
    console.print(grid)
