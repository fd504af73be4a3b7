"""`gaugecast check`: is the configuration right, and does the broker send what it expects?"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from gaugecast.cli.check_screen import ListeningPlan, plan_to_json, render_plan, render_survey, survey_to_json
from gaugecast.cli.check_state import check_state
from gaugecast.cli.learned import find_put_away
from gaugecast.cli.place import ConfigFile
from gaugecast.cli.survey import Survey
from gaugecast.config import Settings, load_settings, resolve_fleets
from gaugecast.config.exposure import warn_of_exposure
from gaugecast.config.find import find_config
from gaugecast.config.schema import Mqtt
from gaugecast.errors import ConfigError, Unreachable
from gaugecast.fleet import Fleet
from gaugecast.mqtt import Link
from gaugecast.mqtt.credentials import make_tls_context
from gaugecast.payloads import Decoder
from gaugecast.service.reload import WAY_BACK
from gaugecast.topics import Pattern
from gaugecast.topics.system import SYS_DROPPED, SYS_VERSION

POLL_S = 0.2


def check_command(
    config: ConfigFile = None,
    online: Annotated[bool, typer.Option("--online", help="Connect, listen, and say what would be forecast.")] = False,
    seconds: Annotated[float, typer.Option(min=0.5, max=3600, help="How long to listen.")] = 10.0,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts: plan and survey as one JSON object.")] = False,
) -> None:
    """Say whether the configuration is right; ends with 78 if it is not.

    With --online it also listens to the broker as a client of its own, so that the daemon may run meanwhile, and tells
    which streams would be forecast, what would be refused and why, and which of the broker's limits are too small.
    """
    plan = check_offline(find_config(config, os.environ), os.environ)
    console = Console(soft_wrap=True, quiet=as_json)
    console.print(render_plan(plan))
    survey = check_online(plan.settings, plan.fleets, seconds) if online else None
    if survey is not None:
        console.print(render_survey(survey, seconds))
    if as_json:
        heard = None if survey is None else survey_to_json(survey, seconds)
        typer.echo(json.dumps({**plan_to_json(plan), "survey": heard}, ensure_ascii=False))


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
    nearest = next(place for place in (directory, *directory.absolute().parents) if os.path.lexists(place))
    if nearest.exists() and not nearest.is_dir():
        raise ConfigError(f"{path}: [storage] directory: expected a directory, {nearest} is a file; name another")
    if os.access(nearest, os.W_OK | os.X_OK):
        return []
    return [f"[storage] directory: {nearest} cannot be written by this user; the daemon's must"]


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


def check_online(
    settings: Settings,
    fleets: Sequence[Fleet],
    seconds: float,
    *,
    clock_ns: Callable[[], int] = time.time_ns,
    monotonic: Callable[[], float] = time.monotonic,
) -> Survey:
    """Listen for some seconds with a session of our own, and sum up what came. The daemon may run beside it.

    Raises:
        Unreachable: No connection within the time; the message says why.
        ConfigError: Password or certificates cannot be read.
    """
    survey = Survey(fleets, settings.loop)
    decoder = Decoder(fleets, settings.loop)
    link = Link(visitor_of(settings.mqtt), _filters(fleets, settings.mqtt), retained=(SYS_VERSION, SYS_DROPPED))
    until = monotonic() + seconds
    connected = published = False
    try:
        while (left := until - monotonic()) > 0:
            messages = link.poll(settings.loop.batch_messages, min(left, POLL_S))
            connected = connected or link.subscriber.connected
            published = published or link.sender.connected
            link.subscriber.ack(messages)
            readings = [message for message in messages if not message.topic.startswith("$SYS/")]
            now_ns = clock_ns()
            survey.add(decoder.decode(readings, now_ns), readings, now_ns)
            survey.note_broker([message for message in messages if message.topic.startswith("$SYS/")])
        heard, mute = link.subscriber, link.sender.last_error
        fault = heard.last_error
        faults = (heard.deaf, heard.lowered) if heard.connected else (fault,)  # `$SYS` not every account may read
    finally:
        link.close(0.2)
    if not connected:
        raise Unreachable(f"no connection with {settings.mqtt.host}:{settings.mqtt.port}: {fault or 'no answer'}")
    survey.faults += [text for text in faults if text is not None]
    if not published:
        other = settings.mqtt.publishing
        survey.faults.append(f"no connection to publish with {other.host}:{other.port}: {mute or 'no answer'}")
    return survey


def visitor_of(mqtt: Mqtt) -> Mqtt:
    """Clients of its own, so that the daemon's connections, session and status are left alone.

    Its session ends with it. MQTT 3.1.1 cannot say that, so there its id is always the same: one session stays at
    the broker, and not one a check.
    """
    own = f"-check-{os.getpid()}" if mqtt.protocol == "5" else "-check"
    publish = mqtt.publish.model_copy(update={"client_id": f"{mqtt.publishing.client_id}{own}"})
    return mqtt.model_copy(
        update={
            "client_id": f"{mqtt.client_id}{own}",
            "publish": publish,
            "session_expiry_s": 0,
            "status_topic": f"{mqtt.own_status_topic}/check",
        }
    )


def _filters(fleets: Sequence[Fleet], mqtt: Mqtt) -> list[tuple[str, int]]:
    """What the fleets read, and what the broker says of itself; at QoS 0 nothing is queued for a session that stays."""
    ours = [
        (Pattern.parse(text).filter, fleet.input_qos if mqtt.protocol == "5" else 0)
        for fleet in fleets
        for text in fleet.subscribe
    ]
    return [*ours, (SYS_VERSION, 0), (SYS_DROPPED, 0)]
