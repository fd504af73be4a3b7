"""Plays what devices in the field send, with times that run, through decoder and pipeline; no broker, no clock."""

from __future__ import annotations

import base64
import json
import os
import re
import tomllib
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gaugecast.config import resolve_fleets
from gaugecast.config.schema import Loop, Settings
from gaugecast.payloads import Decoder
from gaugecast.pipeline import Pipeline
from gaugecast.records import Input, Kind, Message, Order, Verdict
from gaugecast.topics import Pattern, filter_matches
from support.payloads import values_of

FIELD = Path(os.environ.get("GAUGECAST_FIELD", Path(__file__).resolve().parents[3] / "shared" / "field"))
NOW_NS = 1_795_741_600 * 10**9
_BERLIN = ZoneInfo("Europe/Berlin")
_STAMP = re.compile(r"<<(\w+) (-?\d+)>>")
_LOCAL = {
    "isolocal": "%Y-%m-%dT%H:%M:%S", "space": "%Y-%m-%d %H:%M:%S", "dots": "%Y.%m.%d %H:%M:%S",
    "german": "%d.%m.%Y %H:%M:%S", "slash": "%Y/%m/%d %H:%M:%S", "day": "%Y-%m-%d", "clock": "%H:%M:%S",
    "compact": "%Y%m%d%H%M%S", "ctime": "%a %b %d %H:%M:%S %Y", "dsmr": "%y%m%d%H%M%SW",
    "rfc": "%a, %d %b %Y %H:%M:%S %z", "isooffnc": "%Y-%m-%dT%H:%M:%S%z", "usdate": "%m/%d/%Y %H:%M:%S",
}  # fmt: skip
_UTC = {"iso": "%Y-%m-%dT%H:%M:%SZ", "iso7": "%Y-%m-%dT%H:%M:%S.0000000Z", "basic": "%Y%m%dT%H%M%SZ"}
_PER_S = {"s": 1, "ms": 1000, "us": 10**6, "ns": 10**9}


@dataclass
class Played:
    """What became of a folder's messages."""

    readings: list[Input] = field(default_factory=list)
    verdicts: Counter[str] = field(default_factory=Counter)
    rejects: Counter[str] = field(default_factory=Counter)
    details: list[str] = field(default_factory=list)
    not_ours: int = 0
    steps: dict[str, list[dict[str, float]]] = field(default_factory=lambda: defaultdict(list))
    at_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def values(self, stream: str, feature: str) -> list[float]:
        """What was measured of a feature, step by step."""
        return [step[feature] for step in self.steps[stream] if step[feature] is not None]

    def counts(self) -> dict[str, int]:
        """Steps by stream."""
        return {stream: len(steps) for stream, steps in self.steps.items() if steps}


def render(text: str, now_ns: int) -> str:
    """A payload with its times filled in."""
    return _STAMP.sub(lambda found: _stamp(found[1], now_ns // 10**9 + int(found[2])), text)


def _stamp(form: str, at_s: int) -> str:
    utc = datetime.fromtimestamp(at_s, UTC)
    local = utc.astimezone(_BERLIN)
    if form in _PER_S:
        return str(at_s * _PER_S[form])
    if form in _LOCAL:
        return local.strftime(_LOCAL[form])
    if form in _UTC:
        return utc.strftime(_UTC[form])
    special = {
        "sf": f"{at_s}.25",
        "isooff": local.isoformat(),
        "iso9off": utc.strftime("%Y-%m-%dT%H:%M:%S.123456789+00:00"),
        "localasutc": str(at_s + int((local.utcoffset() or local.utcoffset()).total_seconds())),  # type: ignore[union-attr]
    }
    return special[form]


def need(folder: str) -> Path:
    """The folder; skips where the material is not at hand, and fails where it must be."""
    place = FIELD / folder
    if not place.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"{place}: the material of the field must be there where CI is set")
        pytest.skip(f"{place}: the material of the field is not at hand; GAUGECAST_FIELD says where it is")
    return place


def merged(tables: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Tables with some keys changed; `None` takes a key away."""
    whole = dict(tables)
    for key, value in changes.items():
        if isinstance(value, dict) and key != "where":
            whole[key] = merged(whole.get(key, {}), value)
        elif value is None:
            whole.pop(key, None)
        else:
            whole[key] = value
    return whole


def play(folder: str, changes: dict[str, Any] | None = None, extra: list[dict[str, Any]] | None = None) -> Played:
    """A folder's messages through its configuration; `changes` are to its fleets."""
    place = need(folder)
    tables = tomllib.loads((place / "gaugecast.toml").read_text())
    tables["fleet"] = merged(tables["fleet"], changes or {})
    fleets = resolve_fleets(Settings.model_validate(tables))
    lines = [json.loads(line) for line in (place / "messages.jsonl").read_text().splitlines()] + (extra or [])
    decoder, pipeline = Decoder(fleets, Loop()), Pipeline(Loop(), lambda _fleet, _version: None)
    pipeline.advance([Order.configuring(fleet).stamped(NOW_NS) for fleet in fleets])
    played, now_ns = Played(), NOW_NS
    filters = [Pattern.parse(text).filter for fleet in fleets for text in fleet.subscribe]
    names = {fleet.name: [feature.name for feature in fleet.features] for fleet in fleets}
    for mid, line in enumerate(lines, 1):
        now_ns += round(float(line.get("dt", 0)) * 1e9)
        if not any(filter_matches(each, line["topic"]) for each in filters):
            continue
        payload = base64.b64decode(line["payload_b64"]) if "payload_b64" in line else None
        body = payload if payload is not None else render(line["payload"], NOW_NS).encode()
        message = Message(line["topic"], body, line.get("qos", 1), False, False, mid, 1)
        decoded = decoder.decode([message], now_ns)
        played.not_ours += decoded.not_ours.total()
        played.details += [refused.detail for refused in decoded.refused]
        timer = [Input.timer(now_ns)] if pipeline.due(now_ns) else []
        _advance(pipeline, [*decoded.inputs, *timer], played, names)
    _advance(pipeline, [Input.timer(now_ns + 86_400 * 10**9)], played, names)
    return played


def _advance(pipeline: Pipeline, inputs: list[Input], played: Played, names: dict[str, list[str]]) -> None:
    outcome = pipeline.advance(inputs)
    for one, verdict in zip(inputs, outcome.verdicts, strict=True):
        if one.kind is Kind.READING:
            played.readings.append(one)
        if one.kind is not Kind.TIMER:
            played.verdicts[Verdict(verdict).name] += 1
        if one.kind is Kind.REJECT:
            played.rejects[one.reason] += 1
    for output in outcome.outputs:
        body = json.loads(output.body)
        if "observed" in body and "stale" not in body.get("quality", []):
            played.steps[output.stream].append(body["observed"])
            played.at_s[output.stream].append(body["at"])


def readings_of(played: Played, fleet: str) -> list[tuple[int, list[float]]]:
    """Event times and values as they were decoded, of one fleet."""
    return [(one.at_ns, values_of(one)) for one in played.readings if one.fleet == fleet]
