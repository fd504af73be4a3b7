"""`gaugecast check`: is the configuration right, and does the broker send what it expects?"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from gaugecast.cli.check_online import check_online, time_to_listen
from gaugecast.cli.check_screen import ListeningPlan, plan_to_json, render_plan, render_survey, survey_to_json
from gaugecast.cli.check_state import check_state
from gaugecast.cli.learned import find_put_away
from gaugecast.cli.place import ConfigFile, is_ours, nearest_of
from gaugecast.config import load_settings, resolve_fleets
from gaugecast.config.exposure import warn_of_exposure
from gaugecast.config.find import find_config
from gaugecast.config.schema import Mqtt
from gaugecast.errors import ConfigError, ExitCode
from gaugecast.mqtt.credentials import make_tls_context
from gaugecast.service.reload import WAY_BACK


def check_command(
    config: ConfigFile = None,
    online: Annotated[bool, typer.Option("--online", help="Connect, listen, and say what would be forecast.")] = False,
    seconds: Annotated[
        float | None,
        typer.Option(min=0.5, max=86_400, help="How long to listen. [default: two periods, at most 900]"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts: plan and survey as one JSON object.")] = False,
) -> None:
    """Say whether the configuration is right; ends with 78 if it is not.

    With --online it also listens to the broker as a client of its own, so that the daemon may run meanwhile, and tells
    which streams would be forecast, what would be refused and why, and which of the broker's limits are too small; it
    tries whether forecasts may be published, and leaves nothing on the broker. Where a fleet hears nothing, it says
    what there is; where a feature never comes, what the payloads have. Ends with 1 if a fleet would forecast nothing.
    """
    plan = check_offline(find_config(config, os.environ), os.environ)
    console = Console(soft_wrap=True, quiet=as_json)
    console.print(render_plan(plan))
    survey, told = None, None
    if online:
        longest = seconds or time_to_listen(plan.fleets)
        console.print(f"\nlistening, {longest:.0f} s at most …", style="dim")
        survey = check_online(plan.settings, plan.fleets, longest, early=seconds is None)
        console.print(render_survey(survey, survey.listened_s))
        told = survey_to_json(survey, survey.listened_s)
    if as_json:
        typer.echo(json.dumps({**plan_to_json(plan), "survey": told}, ensure_ascii=False))
    if survey is not None and not survey.would_forecast:
        raise typer.Exit(int(ExitCode.NO))


def check_offline(path: Path, environ: Mapping[str, str]) -> ListeningPlan:
    """Read and check a configuration.

    Raises:
        ConfigError: With file, table, key, what was expected, what came, and the mend.
    """
    settings = load_settings(path, environ)
    fleets = resolve_fleets(settings)
    check_state(fleets, settings.loop)
    notes = [*_check_files(path, settings.mqtt), *_check_directory(path, settings.storage.directory)]
    notes += [f"this puts away {gone}; {WAY_BACK}" for gone in find_put_away(settings.storage.directory, fleets)]
    return ListeningPlan(path, settings, fleets, tuple(notes), tuple(warn_of_exposure(settings)))


def _check_directory(path: Path, directory: Path) -> list[str]:
    """Note a state directory that this user could neither write nor make; the daemon's user may be another."""
    if str(directory).startswith("$"):
        return []
    nearest = nearest_of(directory)
    if nearest.exists() and not nearest.is_dir():
        raise ConfigError(f"{path}: [storage] directory: expected a directory, {nearest} is a file; name another")
    if is_ours(directory):
        return []
    return [f"[storage] directory: {nearest} cannot be written by this user; the daemon's must, or name another"]


def _check_files(path: Path, mqtt: Mqtt) -> list[str]:
    """Complain of secrets and certificates that are not there; note those that only systemd can provide."""
    named: dict[str, Path | None] = {}
    for place, table in (("mqtt", mqtt), ("mqtt.publish", mqtt.publish)):
        named[f"[{place}] password_file"] = table.password_file
        if table.tls is not None:
            named |= {f"[{place}.tls] {key}": getattr(table.tls, key) for key in ("ca", "certificate", "key")}
    notes: list[str] = []
    for key, file in named.items():
        if file is None:
            continue
        if str(file).startswith("$"):
            notes.append(f"{key}: {file} is known only within the systemd unit (LoadCredential=)")
        elif _is_absent(file):
            raise ConfigError(
                f"{path}: {key}: expected a file, {str(file)!r} does not exist; write it, or name another"
            )
        elif os.path.isdir(file):
            raise ConfigError(f"{path}: {key}: expected a file, {str(file)!r} is a directory")
        elif not os.access(file, os.R_OK):
            notes.append(f"{key}: {file} cannot be read by this user; the daemon's must")
    for place, side in (("mqtt", mqtt), ("mqtt.publish", mqtt.publishing)):
        if side.password_file is not None and side.username is None:
            raise ConfigError(f"{path}: [{place}] password_file: set without `username`; a broker expects both")
    if not notes:
        _check_tls(path, mqtt)
    return notes


def _check_tls(path: Path, mqtt: Mqtt) -> None:
    """Load what TLS would need."""
    try:
        make_tls_context(mqtt.tls)
        make_tls_context(mqtt.publishing.tls, "mqtt.publish")
    except ConfigError as exc:
        raise ConfigError(f"{path}: {exc}") from exc


def _is_absent(file: Path) -> bool:
    """Whether it is surely not there; of what lies in a closed directory nothing is known."""
    try:
        return not file.exists()
    except PermissionError:
        return False
