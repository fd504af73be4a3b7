"""`gaugecast backup`: a consistent copy of the state directory while the daemon runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gaugecast.cli.figures import show_bytes
from gaugecast.cli.place import ConfigFile, read_settings
from gaugecast.ledger import copying
from gaugecast.storage.backup import backup


def backup_command(
    target: Annotated[Path, typer.Argument(help="An empty or new directory.")],
    config: ConfigFile = None,
) -> None:
    """Copy ledger, checkpoints and weights, verified, while the daemon runs. Restore: copy it back, then start."""
    settings = read_settings(config)
    report = backup(settings.storage.directory, target, copying)
    typer.echo(
        f"{target}: inputs {report.first_seq} to {report.last_seq}, {report.models} models, "
        f"{show_bytes(report.size_bytes)}; "
        + (
            f"recovers from the checkpoint after input {report.checkpoint_seq}"
            if report.checkpoint_seq is not None
            else "recovers by replay from the beginning"
        )
    )
