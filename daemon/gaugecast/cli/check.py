"""`gaugecast check`: is the configuration right, and does the broker send what it expects?"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from gaugecast.cli.quarantine import render_refused
from gaugecast.cli.survey import Survey, show_period
from gaugecast.config import Settings, load_settings, resolve_fleets
from gaugecast.config.duration import duration_text
from gaugecast.config.schema import Http, Mqtt
from gaugecast.errors import ConfigError, Unreachable
from gaugecast.fleet import Fleet
from gaugecast.mqtt import Link
from gaugecast.payloads import Decoder
from gaugecast.topics import Pattern
from gaugecast.topics.system import SYS_DROPPED, SYS_VERSION

MOST_EXAMPLE_STREAMS = 5
POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class ListeningPlan:
    """What a configuration would run."""

    path: Path
    settings: Settings
    fleets: tuple[Fleet, ...]
    notes: tuple[str, ...]


def check_command(
    config: Annotated[Path, typer.Option("--config", "-c", help="The configuration file.")] = Path("gaugecast.toml"),
    online: Annotated[bool, typer.Option("--online", help="Connect, listen, and say what would be forecast.")] = False,
    seconds: Annotated[float, typer.Option(min=0.5, max=3600, help="How long to listen.")] = 10.0,
) -> None:
    """Say whether the configuration is right; ends with 78 if it is not.

    With --online it also listens to the broker as a client of its own, so that the daemon may run meanwhile, and tells
    which streams would be forecast, what would be refused and why, and which of the broker's limits are too small.
    """
    console = Console(soft_wrap=True)
    plan = check_offline(config, os.environ)
    console.print(render_plan(plan))
    if not online:
        return
    survey = check_online(plan.settings, plan.fleets, seconds)
    console.print(render_survey(survey, seconds))


def check_offline(path: Path, environ: Mapping[str, str]) -> ListeningPlan:
    """Read and check a configuration.

    Raises:
        ConfigError: With file, table, key, what was expected, what came, and the mend.
    """
    settings = load_settings(path, environ)
    fleets = resolve_fleets(settings)
    notes = [*_check_files(path, settings.mqtt), *_check_directory(settings.storage.directory)]
    return ListeningPlan(path, settings, fleets, tuple(notes))


def _check_directory(directory: Path) -> list[str]:
    """Note a state directory that this user could neither write nor make; the daemon's user may be another."""
    if str(directory).startswith("$"):
        return []
    nearest = next(place for place in (directory, *directory.absolute().parents) if os.path.lexists(place))
    if os.path.isdir(nearest) and os.access(nearest, os.W_OK | os.X_OK):
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
            raise ConfigError(f"{path}: {key}: expected a file, {str(file)!r} does not exist")
        elif not os.access(file, os.R_OK):
            notes.append(f"{key}: {file} cannot be read by this user; the daemon's must")
    for place, side in (("mqtt", mqtt), ("mqtt.publish", mqtt.publishing)):
        if side.password_file is not None and side.username is None:
            raise ConfigError(f"{path}: [{place}] password_file: set without `username`; a broker expects both")
    return notes


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
            "status_topic": f"{mqtt.status_topic}/check",
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


def render_plan(plan: ListeningPlan) -> RenderableType:
    """What would be run; pure."""
    mqtt = plan.settings.mqtt
    secure = "TLS, " if mqtt.tls is not None else ""
    rows = [
        ("configuration", f"{plan.path} is right"),
        ("broker", f"{mqtt.host}:{mqtt.port}, {secure}MQTT {mqtt.protocol}, client id {mqtt.client_id}"),
        ("publishing", _publishing_text(mqtt)),
        ("state", str(plan.settings.storage.directory)),
        ("metrics", _metrics_text(plan.settings.http)),
    ]
    for fleet in plan.fleets:
        rows += [
            ("", ""),
            (f"fleet {fleet.name}", "reads " + ", ".join(fleet.subscribe)),
            ("", f"stream {fleet.stream}, a step every {duration_text(fleet.period_ns)}"),
            ("", "features " + ", ".join(_feature_text(fleet))),
            ("", f"forecasts {_horizon_text(fleet)} to {fleet.output.replace('{fleet}', fleet.name)}"),
        ]
    rows += [("note", note) for note in plan.notes]
    lines = Table.grid(padding=(0, 2))
    for name, text in rows:
        lines.add_row(Text(name, style="dim"), Text(text))  # Text: no markup, units stand in brackets
    return lines


def _publishing_text(mqtt: Mqtt) -> str:
    other = mqtt.publishing
    where = "" if (other.host, other.port) == (mqtt.host, mqtt.port) else f"{other.host}:{other.port}, "
    secure = "TLS, " if where and other.tls is not None else ""
    return f"{where}{secure}client id {other.client_id}"


def _metrics_text(http: Http) -> str:
    return f"http://{http.host}:{http.port}/metrics" if http.port else f"on a free port of {http.host}"


def _feature_text(fleet: Fleet) -> list[str]:
    return [
        feature.name + (f" [{feature.unit}]" if feature.unit else "") + (" (input)" if feature.role == "input" else "")
        for feature in fleet.features
    ]


def _horizon_text(fleet: Fleet) -> str:
    return "the next step" if fleet.horizon == 1 else f"the next {fleet.horizon} steps"


def render_survey(survey: Survey, elapsed_s: float) -> RenderableType:
    """What was heard; pure."""
    parts: list[RenderableType] = [
        Text(f"\n{survey.messages_total} messages in {elapsed_s:.0f} s ({survey.messages_total / elapsed_s:.1f}/s)")
    ]
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for title in ("fleet", "streams", "for example", "feature", "readings", "every", "configured"):
        table.add_column(title, no_wrap=title != "for example", justify="right" if title == "readings" else "left")
    for name, seen in survey.fleets.items():
        examples = ", ".join(sorted(seen.streams)[:MOST_EXAMPLE_STREAMS])
        names = "\n".join(feature.name for feature in seen.fleet.features)
        readings = "\n".join(str(seen.readings[feature.name]) for feature in seen.fleet.features)
        period = "?" if seen.period_ns is None else show_period(seen.period_ns)
        row = (name, str(len(seen.streams)), examples, names, readings, period, show_period(seen.fleet.period_ns))
        table.add_row(*(Text(cell) for cell in row))
    parts.append(table)
    if survey.refused:
        refusals = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for title in ("refused", "reason", "for example"):
            refusals.add_column(title, no_wrap=title != "for example", overflow="fold")
        for (fleet, reason), count in survey.refused.most_common():
            refusals.add_row(Text(str(count)), Text(reason, "yellow"), render_refused(survey.examples[fleet, reason]))
        parts += [Text(), refusals]
    warnings = survey.faults + survey.warnings(elapsed_s)
    return Group(*parts, *(Text(f"\nwarning: {warning}", style="yellow") for warning in warnings))
