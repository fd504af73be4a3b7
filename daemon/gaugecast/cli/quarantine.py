"""`gaugecast quarantine`: the newest refused readings, with why, and the first bytes of what came."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, tzinfo
from typing import Annotated, Any

import typer
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from gaugecast.cli.figures import show_bytes_of, show_name
from gaugecast.cli.place import ConfigFile, read_settings
from gaugecast.errors import ConfigError
from gaugecast.ledger.rows import Quarantined
from gaugecast.records import REJECT_REASONS, Refused
from gaugecast.service.opening import look_up, open_past

_SHOWN = 100  # characters of a payload on the screen; --json has all that was kept


def quarantine_command(
    config: ConfigFile = None,
    most: Annotated[int, typer.Option("--most", "-n", min=1, help="How many of the newest.")] = 20,
    reason: Annotated[str | None, typer.Option(help="Only those refused for this reason.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="For scripts: one JSON object a line, newest first, payload in Base64.")
    ] = False,
) -> None:
    """List the newest readings that were refused, each with the reason and what came.

    Reads the state directory, whether the daemon runs or not. docs/messages.md explains the reasons;
    `quarantine_rows` in `[storage]` says how many are kept.
    """
    if reason is not None and reason not in REJECT_REASONS:
        raise ConfigError(f"--reason: one of {', '.join(REJECT_REASONS)} expected, got {reason!r}")
    settings = read_settings(config)
    with closing(open_past(look_up(settings.storage))) as ledger:
        rows = ledger.quarantined(most, reason=reason)
    if as_json:
        for row in rows:
            typer.echo(json.dumps(to_json(row), ensure_ascii=False))
    else:
        Console().print(render_quarantine(rows, datetime.now().astimezone().tzinfo))


def to_json(row: Quarantined) -> dict[str, Any]:
    """One refused reading for a script; `payload_base64` is exact, at most the first 256 bytes."""
    at = datetime.fromtimestamp(row.received_at_ns / 1e9, UTC)
    return {
        "number": row.number,
        "received_at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "fleet": row.fleet or None,
        "stream": row.stream or None,
        "topic": row.topic or None,
        "reason": row.reason,
        "detail": row.detail,
        "payload": show_bytes_of(row.head),
        "payload_base64": base64.b64encode(row.head).decode(),
    }


def render_quarantine(rows: Sequence[Quarantined], zone: tzinfo | None) -> RenderableType:
    """A table, newest first, times in `zone`; pure."""
    if not rows:
        return Text("nothing in quarantine")
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("refused at", no_wrap=True)
    table.add_column("reason", no_wrap=True, style="yellow")
    table.add_column("what came", overflow="fold")
    for row in rows:
        at = datetime.fromtimestamp(row.received_at_ns / 1e9, zone)
        table.add_row(f"{at:%Y-%m-%d %H:%M:%S}", row.reason, render_refused(row))
    return table


def render_refused(row: Quarantined | Refused) -> RenderableType:
    """Where it came from, what was wrong, its first bytes, each on its line; nothing that is not known."""
    stream = " ".join(filter(None, (row.fleet, row.stream)))
    where = Text(show_name(row.topic), style="bold")
    if stream:
        where.append(f"{'  ' if row.topic else ''}{show_name(stream)}", style="dim" if row.topic else "bold")
    payload = show_bytes_of(row.head)
    lines = [where, Text(show_name(row.detail)), Text(_cut(payload), style="dim")]
    return Group(*(line for line in lines if line.plain))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
