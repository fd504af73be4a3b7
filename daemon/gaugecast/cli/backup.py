"""`gaugecast backup` and `gaugecast restore`: a consistent copy of the state directory, and back again."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from gaugecast.cli.figures import show_bytes, show_count
from gaugecast.cli.place import ConfigFile, read_settings
from gaugecast.config.find import find_config
from gaugecast.ledger import copying
from gaugecast.storage.backup import BackupReport, backup, backup_beside


def backup_command(
    target: Annotated[Path, typer.Argument(help="An empty or new directory; with --keep the one that holds them.")],
    config: ConfigFile = None,
    keep: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Put it below TARGET, named by the time, and keep the newest N."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts: what was copied, as JSON.")] = False,
) -> None:
    """Copy ledger, checkpoints, weights and the configuration file, verified, while the daemon runs.

    No password and no key is copied: the configuration names their files only. `gaugecast restore` takes it back.

        gaugecast backup /mnt/backups/gaugecast --keep 7
    """
    directory, file = read_settings(config).storage.directory, find_config(config, os.environ)
    if keep is None:
        place, report = target, backup(directory, target, copying, config=file)
    else:
        place, report = backup_beside(directory, target, copying, keep=keep, config=file)
    if as_json:
        typer.echo(json.dumps({"target": str(place), **asdict(report)}))
    else:
        typer.echo(f"{place}: {describe(report)}")


def describe(report: BackupReport) -> str:
    """What a backup has, in a line."""
    how = (
        f"recovers from the checkpoint after input {report.checkpoint_seq}"
        if report.checkpoint_seq is not None
        else "recovers by replay from the beginning"
    )
    inputs = f"inputs {report.first_seq} to {report.last_seq}"
    return f"{inputs}, {show_count(report.models, 'file')} of weights, {show_bytes(report.size_bytes)}; {how}"


def restore_command(
    source: Annotated[Path, typer.Argument(help="A folder that `gaugecast backup` made.")],
    config: ConfigFile = None,
    replace: Annotated[bool, typer.Option("--replace", help="Although there is a ledger; it is put aside.")] = False,
) -> None:
    """Put a backup in the place of the state directory, which no daemon may be using.

    The backup is verified first. Then what is said begins a new lineage: step numbers go back to those of the backup,
    and consumers that drop what they have seen by (stream, lineage, step) drop nothing that is new. Readings that came
    after the backup are lost, but for those that the broker still holds for the daemon.
    """
    from gaugecast.service.restoring import restore

    storage = read_settings(config).storage
    found = restore(source, storage, replace=replace)
    newest = datetime.fromtimestamp(found.newest_ns / 1e9, UTC)
    typer.echo(f"{storage.directory}: {describe(found.backup)}")
    typer.echo(f"newest input of {newest:%Y-%m-%d %H:%M:%S} UTC; lineage {found.lineage} begins")
    if found.aside is not None:
        typer.echo(f"what was there lies in {found.aside}; remove it when all is well")
    typer.echo("Next: start the daemon, then gaugecast status")
