"""`gaugecast status`: what the running daemon says of itself, on one screen."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from gaugecast.cli.figures import (
    NOTHING,
    show_age,
    show_bytes,
    show_count,
    show_name,
    show_rate,
    show_skill,
    show_value,
)
from gaugecast.config.load import load_settings
from gaugecast.config.schema import Http
from gaugecast.control import SOCKET_NAME, FleetStatus, LearnerStatus, Status, StatusAnswer, call
from gaugecast.errors import Unreachable

#: A learner that is further behind than that is said in yellow; the alert waits for longer.
_BEHIND_S = 60.0


def status(
    config: Annotated[Path, typer.Option("--config", "-c", help="The daemon's configuration file.")] = Path(
        "gaugecast.toml"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="For scripts: the answer as JSON.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for an answer.")] = 5.0,
) -> None:
    """Tell how the running daemon fares: broker, rates, lag, models, skill. Ends with 1 if it does not forecast."""
    settings = load_settings(config, os.environ)
    answer = ask_status(settings.storage.directory / SOCKET_NAME, settings.http, timeout)
    if as_json:
        typer.echo(msgspec.json.encode(answer).decode())
    else:
        Console().print(render_status(answer))
    if not answer.ready:
        raise typer.Exit(1)


def ask_status(socket: Path, http: Http, timeout_s: float = 5.0) -> StatusAnswer:
    """Ask the control socket; where that cannot be reached (another user's daemon), ask /readyz.

    Raises:
        Unreachable: Neither answers; the message is the socket's.
    """
    try:
        return msgspec.convert(call(socket, Status(), timeout_s), StatusAnswer)
    except Unreachable as exc:
        answer = _ask_http(http, timeout_s) if http.port else None
        if answer is None:
            nor = f"; nor does http://{http.host}:{http.port}/readyz answer" if http.port else ""
            raise Unreachable(f"{exc}{nor}") from exc
        return answer


def _ask_http(http: Http, timeout_s: float) -> StatusAnswer | None:
    host = f"[{http.host}]" if ":" in http.host else http.host
    try:
        with urllib.request.urlopen(f"http://{host}:{http.port}/readyz", timeout=timeout_s) as answer:
            body = answer.read()
    except urllib.error.HTTPError as exc:
        body = exc.read()  # 503 is an answer too
    except (OSError, ValueError):
        return None
    try:
        facts: dict[str, Any] = json.loads(body)
        return msgspec.convert({"ready": facts["ok"], **facts}, StatusAnswer)
    except (ValueError, KeyError, TypeError, msgspec.ValidationError):
        return None  # something else listens there


def render_status(answer: StatusAnswer) -> RenderableType:
    """The whole screen; pure."""
    lines = Table.grid(padding=(0, 2))
    lines.add_column(style="dim")
    lines.add_column()
    for name, text in _facts(answer):
        lines.add_row(name, text)
    parts: list[RenderableType] = [render_headline(answer), "", lines]
    if answer.fleets:
        parts += ["", _fleet_table(answer.fleets)]
    return Group(*parts)


def render_headline(answer: StatusAnswer) -> Text:
    """`● forecasting  gaugecast 0.1.0 · pid 42 · up 3 h 12 min`, or why not."""
    if answer.ready:
        text = Text("● forecasting", style="bold green")
    else:
        text = Text(f"○ not ready: {show_name(answer.reason) or 'no reason given'}", style="bold red")
    about = [f"gaugecast {answer.version}".strip()]
    if answer.pid is not None:
        about.append(f"pid {answer.pid}")
    if answer.uptime_s is not None:
        about.append(f"up {show_age(answer.uptime_s)}")
    return text.append("   " + " · ".join(about), style="not bold dim")


def _facts(answer: StatusAnswer) -> list[tuple[str, Text]]:
    connected = ("connected", "green") if answer.connected else ("not connected", "red")
    lost = answer.session_lost_total
    facts = [
        (
            "broker",
            _join(
                (answer.broker or NOTHING, ""),
                connected,
                (f"{show_count(answer.reconnects_total, 'reconnect')}", ""),
                (f"session lost {lost}×", "yellow") if lost else None,
            ),
        ),
        (
            "readings",
            _join(
                (f"{answer.readings_total:,}", ""),
                (f"{show_rate(answer.readings_per_s)}/s", "bold"),
                (f"{answer.rejects_total:,} refused", "yellow" if answer.rejects_total else ""),
            ),
        ),
        (
            "forecasts",
            _join(
                (f"{answer.forecasts_total:,}", ""),
                (f"{show_rate(answer.forecasts_per_s)}/s", "bold"),
                None if answer.latency_s is None else (f"{answer.latency_s * 1e3:.1f} ms after the reading", ""),
                (f"{answer.lag:,} unconfirmed", "yellow" if answer.lag > 1000 else ""),
            ),
        ),
        ("kept", _kept(answer)),
    ]
    facts += [("learner", _learner(fleet.fleet, fleet.learner)) for fleet in answer.fleets if fleet.learner is not None]
    facts += [("not learned", Text(f"{fleet.fleet}: {fleet.spared}")) for fleet in answer.fleets if fleet.spared]
    if answer.degraded:
        facts.append(("degraded", Text(", ".join(answer.degraded), style="bold red")))
    if answer.metrics_url:
        facts.append(("metrics", Text(answer.metrics_url)))
    return facts


def _kept(answer: StatusAnswer) -> Text:
    age, size, rows = answer.checkpoint_age_s, answer.ledger_bytes, answer.quarantine_rows
    return _join(
        ("no checkpoint yet", "") if age is None else (f"checkpoint {show_age(age)} ago", ""),
        None if size is None else (f"ledger {show_bytes(size)}", ""),
        None if not rows else (f"{rows:,} in quarantine", "yellow"),
    )


def _learner(fleet: str, learner: LearnerStatus) -> Text:
    """Of one fleet; drifts, roll-backs and failures only where there were any."""
    rate, lag_s = learner.rate, learner.lag_s
    drifts, rollbacks, failures = learner.drift_total, learner.rollbacks_total, learner.failures_total
    return _join(
        (f"{fleet}: {show_count(learner.updates_total, 'update')}", ""),
        (f"{show_count(learner.handovers_total, 'hand-over')}", ""),
        None if rate is None else (f"rate {rate:.2g}", ""),
        None if not drifts else (show_count(drifts, "drift"), "yellow"),
        None if not rollbacks else (show_count(rollbacks, "roll-back"), "yellow"),
        None if lag_s is None or lag_s < 1 else (f"{show_age(lag_s)} behind", "yellow" if lag_s >= _BEHIND_S else ""),
        None if not failures else (show_count(failures, "failure"), "yellow"),
    )


def _join(*parts: tuple[str, str] | None) -> Text:
    return Text(" · ", style="dim").join(Text(text, style=style or "default") for text, style in filter(None, parts))


def _fleet_table(fleets: list[FleetStatus]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("fleet", "streams", "model", "feature"):
        table.add_column(name, no_wrap=True, overflow="ellipsis")
    table.add_column("skill", justify="right", no_wrap=True)
    table.add_column("|residual|", justify="right", no_wrap=True)
    for fleet in fleets:
        own = (Text(fleet.fleet, style="bold"), _streams(fleet), Text(fleet.model or "persistence"))
        for feature in fleet.features:
            error = show_value(feature.absolute_error, feature.absolute_error)
            table.add_row(*own, feature.feature, show_skill(feature.skill), f"{error} {feature.unit}".rstrip())
            own = (Text(), Text(), Text())
        if not fleet.features:
            table.add_row(*own)
    return table


def _streams(fleet: FleetStatus) -> Text:
    return _join(
        (f"{fleet.active:,}", ""),
        (f"{fleet.stale:,} stale", "yellow") if fleet.stale else None,
        (f"{fleet.parked:,} parked", "") if fleet.parked else None,
    )
