"""What `gaugecast check` tells: the plan of a configuration, and what was heard; for people and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from gaugecast.cli.check_state import state_text
from gaugecast.cli.figures import add_names, show_name
from gaugecast.cli.quarantine import render_refused
from gaugecast.cli.survey import Survey, show_period
from gaugecast.config import Settings
from gaugecast.config.duration import duration_text
from gaugecast.config.schema import Http, Mqtt
from gaugecast.fleet import Fleet
from gaugecast.service.learning_mode import decide

MOST_EXAMPLE_STREAMS = 5


@dataclass(frozen=True, slots=True)
class ListeningPlan:
    """What a configuration would run."""

    path: Path
    settings: Settings
    fleets: tuple[Fleet, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...] = ()


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
        ("learning", str(decide(plan.settings.learning))),
    ]
    for fleet in plan.fleets:
        rows += [
            ("", ""),
            (f"fleet {fleet.name}", "reads " + ", ".join(fleet.subscribe)),
            ("", f"stream {fleet.stream}, a step every {duration_text(fleet.period_ns)}"),
            ("", "features " + ", ".join(_feature_text(fleet))),
            ("", state_text(fleet, plan.settings.loop)),
            *(("", line) for line in _output_texts(fleet)),
        ]
    rows += [("note", note) for note in plan.notes]
    rows += [("warning", warning) for warning in plan.warnings]
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


def _output_texts(fleet: Fleet) -> Iterator[str]:
    """Where forecasts go, the formats that are not JSON named."""
    for number, shape in enumerate(fleet.all_shapes):
        topic = shape.topic.replace("{fleet}", fleet.name)
        kind = [shape.format] * (shape.format != "json") + ["by the batch"] * shape.batch
        as_what = f" as {' '.join(kind)}" if kind else ""
        yield f"{'and' if number else f'forecasts {_horizon_text(fleet)}'}{as_what} to {topic}"


def _horizon_text(fleet: Fleet) -> str:
    if fleet.horizons:
        return "the next " + ", ".join(duration_text(h * fleet.period_ns) for h in fleet.horizons)
    return "the next step" if fleet.horizon == 1 else f"the next {fleet.horizon} steps"


def render_survey(survey: Survey, elapsed_s: float) -> RenderableType:
    """What was heard; pure."""
    parts: list[RenderableType] = [
        Text(f"\n{survey.messages_total} messages in {elapsed_s:.0f} s ({survey.messages_total / elapsed_s:.1f}/s)")
    ]
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    add_names(table, "fleet", list(survey.fleets))
    features = [feature.name for seen in survey.fleets.values() for feature in seen.fleet.features]
    table.add_column("streams", overflow="fold")
    add_names(table, "feature", features)
    table.add_column("readings", justify="right")
    for title in ("every", "configured"):
        table.add_column(title)
    for name, seen in survey.fleets.items():
        names = "\n".join(feature.name for feature in seen.fleet.features)
        readings = "\n".join(str(seen.readings[feature.name]) for feature in seen.fleet.features)
        period = "?" if seen.period_ns is None else show_period(seen.period_ns)
        row = (name, str(len(seen.streams)), names, readings, period, show_period(seen.fleet.period_ns))
        table.add_row(*(Text(cell) for cell in row))
    parts.append(table)
    for name, seen in survey.fleets.items():
        if examples := sorted(seen.streams)[:MOST_EXAMPLE_STREAMS]:
            parts.append(Text(f"streams of {name}, for example: {', '.join(map(show_name, examples))}", style="dim"))
    if survey.refused:
        refusals = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for title in ("refused", "reason", "for example"):
            refusals.add_column(title, no_wrap=title != "for example", overflow="fold")
        for (fleet, reason), count in survey.refused.most_common():
            refusals.add_row(Text(str(count)), Text(reason, "yellow"), render_refused(survey.examples[fleet, reason]))
        parts += [Text(), refusals]
    warnings = survey.faults + survey.warnings(elapsed_s)
    return Group(*parts, *(Text(f"\nwarning: {warning}", style="yellow") for warning in warnings))


def plan_to_json(plan: ListeningPlan) -> dict[str, Any]:
    """The plan for scripts."""
    mqtt, http = plan.settings.mqtt, plan.settings.http
    return {
        "configuration": str(plan.path),
        "broker": _broker_to_json(mqtt),
        "publishing": _broker_to_json(mqtt.publishing),
        "directory": str(plan.settings.storage.directory),
        "metrics": {"host": http.host, "port": http.port},
        "fleets": {fleet.name: _fleet_to_json(fleet) for fleet in plan.fleets},
        "notes": list(plan.notes),
        "warnings": list(plan.warnings),
    }


def _broker_to_json(mqtt: Mqtt) -> dict[str, Any]:
    return {"host": mqtt.host, "port": mqtt.port, "tls": mqtt.tls is not None, "client_id": mqtt.client_id}


def _fleet_to_json(fleet: Fleet) -> dict[str, Any]:
    return {
        "subscribe": list(fleet.subscribe),
        "stream": fleet.stream,
        "period_s": fleet.period_ns / 1e9,
        "features": [{"name": one.name, "unit": one.unit, "role": one.role} for one in fleet.features],
        "horizon": fleet.horizon,
        "output": fleet.output.replace("{fleet}", fleet.name),
    }


def survey_to_json(survey: Survey, elapsed_s: float) -> dict[str, Any]:
    """What was heard, for scripts; a period is null where no stream spoke twice."""
    fleets = {
        name: {
            "streams": len(seen.streams),
            "examples": sorted(seen.streams)[:MOST_EXAMPLE_STREAMS],
            "readings": dict(seen.readings),
            "period_s": None if seen.period_ns is None else seen.period_ns / 1e9,
        }
        for name, seen in survey.fleets.items()
    }
    refused = [{"fleet": fleet, "reason": reason, "count": n} for (fleet, reason), n in survey.refused.items()]
    return {
        "seconds": elapsed_s,
        "messages": survey.messages_total,
        "fleets": fleets,
        "refused": refused,
        "warnings": survey.faults + survey.warnings(elapsed_s),
    }
