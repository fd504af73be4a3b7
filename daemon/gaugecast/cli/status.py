"""`gaugecast status`: what the running daemon says of itself, on one screen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from gaugecast.cli.figures import (
    NOTHING,
    add_names,
    show_age,
    show_bytes,
    show_count,
    show_name,
    show_passed_over,
    show_rate,
    show_skill,
    show_value,
)
from gaugecast.cli.foretold import coverage_lines, expert_lines, threshold_lines
from gaugecast.cli.place import ConfigFiles, find_daemon
from gaugecast.cli.status_all import One, all_to_json, files_meant, render_all
from gaugecast.config.schema import Http
from gaugecast.control import StatusQuery, call
from gaugecast.errors import ConfigError, Unreachable
from gaugecast.lessons import skill_means
from gaugecast.status import FleetStatus, LearnerStatus, PublishingStatus, Status, StorageStatus, StreamCounts

#: A learner that is further behind than that is said in yellow; the alert waits for longer.
_BEHIND_S = 60.0


def status(
    config: ConfigFiles = None,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts: the answer as JSON.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for an answer.")] = 5.0,
) -> None:
    """Tell how the running daemon fares: broker, rates, lag, models, skill. Ends with 1 if it does not forecast.

    A file that has been broken since the daemon read it is no hindrance: what is wrong with it is told, too. Several
    files, a directory of them or a pattern such as 'part-*.toml': a line for each daemon, and all of them together.
    """
    files = files_meant(config or [])
    if len(files) > 1:
        _status_of_all(files, as_json=as_json, timeout_s=timeout)
        return
    place = find_daemon(files[0] if files else None)
    try:
        answer = ask_status(place.socket, place.http, timeout)
    except Unreachable:
        if place.fault is not None:
            raise place.fault from None
        raise
    if as_json:
        told = {**msgspec.to_builtins(answer), "config_fault": None if place.fault is None else str(place.fault)}
        typer.echo(msgspec.json.encode(told).decode())
    else:
        Console().print(render_status(answer))
    if place.fault is not None:
        warn_of_file(place.fault)
    if not answer.ready:
        raise typer.Exit(1)


def _status_of_all(files: Sequence[Path], *, as_json: bool, timeout_s: float) -> None:
    told = [_ask_one(file, timeout_s) for file in files]
    if as_json:
        typer.echo(msgspec.json.encode(all_to_json(told)).decode())
    else:
        Console().print(render_all(told))
    if not all(one.well for one in told):
        raise typer.Exit(1)


def _ask_one(file: Path, timeout_s: float) -> One:
    try:
        place = find_daemon(file)
        answer = ask_status(place.socket, place.http, timeout_s)
    except (Unreachable, ConfigError) as exc:
        return One(file.stem, None, str(exc))
    return One(file.stem, answer, None if place.fault is None else str(place.fault))


def warn_of_file(fault: ConfigError) -> None:
    """Say on stderr that the daemon runs, but could not start again."""
    typer.echo(f"warning: the daemon runs with the configuration that it read; by now it is wrong:\n{fault}", err=True)


def ask_status(socket: Path, http: Http, timeout_s: float = 5.0) -> Status:
    """Ask the control socket; where that cannot be reached (another user's daemon), ask /readyz.

    Raises:
        Unreachable: Neither answers; the message is the socket's.
    """
    try:
        return msgspec.convert(call(socket, StatusQuery(), timeout_s), Status)
    except Unreachable as exc:
        answer = _ask_http(http, timeout_s) if http.port else None
        if answer is None:
            nor = f"; nor does http://{http.host}:{http.port}/readyz answer" if http.port else ""
            raise Unreachable(f"{exc}{nor}") from exc
        return answer


def _ask_http(http: Http, timeout_s: float) -> Status | None:
    import urllib.error  # half of what this command takes to import, and seldom needed
    import urllib.request

    host = f"[{http.host}]" if ":" in http.host else http.host
    try:
        with urllib.request.urlopen(f"http://{host}:{http.port}/readyz", timeout=timeout_s) as answer:
            body = answer.read()
    except urllib.error.HTTPError as exc:
        body = exc.read()  # 503 is an answer too
    except (OSError, ValueError):
        return None
    try:
        facts: dict[str, Any] = msgspec.json.decode(body, type=dict[str, Any])
        return msgspec.convert(facts, Status) if "doing" in facts else None
    except msgspec.MsgspecError:
        return None  # something else listens there


def render_status(answer: Status) -> RenderableType:
    """The whole screen; pure."""
    lines = Table.grid(padding=(0, 2))
    lines.add_column(style="dim")
    lines.add_column()
    for name, text in _facts(answer):
        lines.add_row(name, text)
    parts: list[RenderableType] = [render_headline(answer), "", lines]
    fleets = list(answer.at_work())
    if fleets:
        parts += [
            "",
            _fleet_table(fleets),
            Text(f"skill as published: {skill_means(answer.skill_half_life)}", style="dim"),
        ]
        parts += [Text(line, style="dim") for name, fleet, _ in fleets for line in expert_lines(name, fleet)]
        parts += [Text(line, style="dim") for name, fleet, _ in fleets for line in coverage_lines(name, fleet)]
        parts += [Text(line) for name, fleet, _ in fleets for line in threshold_lines(name, fleet)]
    return Group(*parts)


def render_headline(answer: Status) -> Text:
    """`● forecasting   gaugecast 0.1.0 · pid 42 · up 3 h 12 min`; or what it does instead, and why, above the rest."""
    what = show_name(str(answer.doing))
    text = Text(f"● {what}", style="bold green") if answer.ready else Text(f"○ {what}", style="bold red")
    about = [f"gaugecast {answer.version}".strip()]
    if answer.pid is not None:
        about.append(f"pid {answer.pid}")
    if answer.uptime_s is not None:
        about.append(f"up {show_age(answer.uptime_s)}")
    return text.append(("   " if answer.ready else "\n  ") + " · ".join(about), style="not bold dim")


def _facts(answer: Status) -> Iterator[tuple[str, Text]]:
    yield "broker", _broker(answer)
    well = answer.publishing.connected and answer.publishing.unkept is None
    if not well or answer.publishing.address != answer.broker.address:
        yield "publishing", _publishing(answer.publishing)
    yield "readings", _readings(answer)
    yield "forecasts", _forecasts(answer)
    if refused := answer.publishing.refused_rows:
        yield "refused", Text(f"{show_count(refused, 'forecast')} by the broker; offered again later", style="yellow")
    yield "kept", _kept(answer.storage)
    yield "learning", Text(str(answer.learning), style="yellow" if answer.learning.why else "")
    for name, fleet in answer.fleets.items():
        if passed_over := show_passed_over(fleet.counts):
            yield "passed over", Text(f"{name}: {passed_over}", style="yellow")
        if fleet.absent:
            yield "absent", Text(f"{name}: {show_name(fleet.absent)}", style="yellow")
        if fleet.learner is not None:
            yield "learner", _learner(name, fleet.learner, fleet.rollbacks_total)
        if fleet.lesson:
            yield "", Text(f"{name}: {fleet.lesson}")
    if answer.degraded:
        yield "degraded", Text(", ".join(answer.degraded), style="bold red")
    for name, trouble in (
        ("damaged", answer.storage.damage),
        ("not known", answer.storage.fault),
        ("reload", answer.reload_refused),
    ):
        if trouble is not None:
            yield name, Text(show_name(trouble), style="yellow")
    yield from (("model", Text(show_name(text), style="yellow")) for text in answer.put_away)
    for warning in answer.warnings:
        yield "warning", Text(show_name(warning), style="yellow")
    if answer.metrics_url:
        yield "metrics", Text(answer.metrics_url)


def _broker(answer: Status) -> Text:
    broker = answer.broker
    return _join(
        (broker.address or NOTHING, ""),
        ("connected", "green") if broker.connected else ("not connected", "red"),
        (show_count(broker.reconnects_total, "reconnect"), ""),
        (f"session lost {broker.session_lost_total}×", "yellow") if broker.session_lost_total else None,
        None if broker.lowered is None else (show_name(broker.lowered), "yellow"),
    )


def _publishing(publishing: PublishingStatus) -> Text:
    """The other connection, where it is not simply there, too."""
    return _join(
        (publishing.address or NOTHING, ""),
        ("connected", "green") if publishing.connected else ("not connected", "red"),
        (show_count(publishing.reconnects_total, "reconnect"), ""),
        None if publishing.unkept is None else (show_name(publishing.unkept), "yellow"),
    )


def _readings(answer: Status) -> Text:
    total = answer.total
    return _join(
        (f"{total.received:,}", ""),
        (f"{show_rate(answer.rates.readings_per_s)}/s", "bold"),
        (f"{total.rejected:,} refused", "yellow" if total.rejected else ""),
        *([(f"{total.not_ours:,} not ours", "")] if total.not_ours else []),
    )


def _forecasts(answer: Status) -> Text:
    publishing = answer.publishing
    latency_s, unconfirmed = publishing.latency_s, publishing.unconfirmed
    return _join(
        (f"{answer.total.forecasts:,}", ""),
        (f"{show_rate(answer.rates.forecasts_per_s)}/s", "bold"),
        None if latency_s is None else (f"{latency_s * 1e3:.1f} ms after the reading", ""),
        (f"{unconfirmed:,} unconfirmed", "yellow" if unconfirmed > 1000 else ""),
    )


def _kept(storage: StorageStatus) -> Text:
    age, size, rows = storage.checkpoint_age_s, storage.ledger_bytes, storage.quarantine_rows
    return _join(
        ("no checkpoint yet", "") if age is None else (f"checkpoint {show_age(age)} ago", ""),
        None if size is None else (f"ledger {show_bytes(size)}", ""),
        None if storage.backup_age_s is None else (f"backup {show_age(storage.backup_age_s)} ago", ""),
        None if not rows else (f"{rows:,} in quarantine", "yellow"),
    )


def _learner(fleet: str, learner: LearnerStatus, rollbacks: int) -> Text:
    """Of one fleet; drifts, roll-backs and failures only where there were any."""
    rate, lag_s = learner.rate, learner.lag_s
    drifts, failures = learner.drift_total, learner.failures_total
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


def _fleet_table(fleets: Iterable[tuple[str, FleetStatus, StreamCounts]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    told = list(fleets)
    add_names(table, "fleet", [name for name, _, _ in told], style="bold")
    for title in ("streams", "model"):
        table.add_column(title, overflow="fold")
    features = [feature for _, fleet, _ in told for feature in fleet.features]
    add_names(table, "feature", features)
    table.add_column("skill", justify="right", no_wrap=True)
    table.add_column("|residual|", justify="right", no_wrap=True)
    for name, fleet, streams in told:
        own = (Text(name), _streams(streams), Text(fleet.model or "none in force"))
        for feature, score in fleet.features.items():
            error = show_value(score.absolute_error, score.absolute_error)
            table.add_row(*own, feature, show_skill(score.skill), f"{error} {score.unit}".rstrip())
            own = (Text(), Text(), Text())
        if not fleet.features:
            table.add_row(*own)
    return table


def _streams(streams: StreamCounts) -> Text:
    return _join(
        (f"{streams.active:,}", ""),
        (f"{streams.stale:,} stale", "yellow") if streams.stale else None,
        (f"{streams.parked:,} parked", "") if streams.parked else None,
    )
