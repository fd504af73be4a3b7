"""`gaugecast models list`: which weights are stored, their roles and makers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from gaugecast.cli.figures import add_names, show_name, show_skill
from gaugecast.fleet import Fleet
from gaugecast.storage.models import ModelStore

#: What a running daemon has in which role, with what skill, by fleet and version.
RolesBy = Mapping[tuple[str, str], tuple[str, float | None]]


def rows_of(store: ModelStore, fleet: Fleet, roles: RolesBy, *, newest: int | None) -> list[dict[str, Any]]:
    """What is told of each version, oldest first: of the newest, and of those with a role.

    Args:
        newest: How many; `None` = all.
    """
    versions = store.versions(fleet.name)
    cut = 0 if newest is None else max(0, len(versions) - newest)
    chosen = [v for v in versions[:cut] if (fleet.name, v) in roles] + versions[cut:]
    return [_row(store, fleet, version, roles) for version in chosen]


def _row(store: ModelStore, fleet: Fleet, version: str, roles: RolesBy) -> dict[str, Any]:
    role, skill = roles.get((fleet.name, version), (None, None))
    made_by, units = store.origin(fleet.name, version)
    return {
        "fleet": fleet.name, "version": version, "role": role, "skill": skill, "made_by": made_by, "units": units
    }  # fmt: skip


def render_models(rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    """A line a version; pure."""
    if not rows:
        return Text("no weights are stored")
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    add_names(table, "fleet", [row["fleet"] for row in rows], style="dim")
    add_names(table, "version", [row["version"] for row in rows], style="bold")
    table.add_column("role", no_wrap=True)
    table.add_column("skill", justify="right", no_wrap=True)
    for title in ("made by", "units"):
        table.add_column(title, overflow="fold")
    for row in rows:
        skill = show_skill(row["skill"]) if row["role"] else Text()
        texts = (row["role"] or "", skill, show_name(row["made_by"]), row["units"])
        table.add_row(Text(row["fleet"]), Text(row["version"]), *(Text(t) if isinstance(t, str) else t for t in texts))
    return table
