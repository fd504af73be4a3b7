"""What a cluster of a test begins with, and a daemon beside it."""

from __future__ import annotations

import json
import re
from pathlib import Path

from chaos.scenario import FLEET, config_text
from gaugecast import events
from gaugecast.config import Settings, resolve_fleets
from gaugecast.forecast.message import SCHEMA
from gaugecast.model import Model
from gaugecast.records import Input, Order

_HEAD_UNIT = Path(__file__).parents[2] / "deploy" / "cluster" / "gaugecast-ray-head.service"
#: `[learning]` of a run that learns: a hand-over as often as may be.
_LEARNING = 'mode = "auto"\nevery_s = 5\nunits = [16]'


def health_said(text: str) -> dict[str, int]:
    """How soon a node that does not answer is lost, as a unit or a composition has it."""
    found = re.search(r"--system-config '?(\{.*?\})", text)
    assert found is not None, text
    health: dict[str, int] = json.loads(found[1])
    return health


def health(patience_ms: int) -> dict[str, int]:
    """As of the unit of the head, but for how long an answer is waited for."""
    return {**health_said(_HEAD_UNIT.read_text()), "health_check_timeout_ms": patience_ms}


def opening(settings: Settings, model: Model) -> list[Input]:
    """What a ledger begins with: a lineage, the fleet, an LSTM in force."""
    (fleet,) = resolve_fleets(settings)
    installed = events.ModelInstalled("in_force", model.manifest.version, sha256=model.manifest.sha256, reason="test")
    return [
        Order(events.LineageBegun("0a0b0c0d", reason="test", schema=SCHEMA)).stamped(1),
        Order.configuring(fleet).stamped(1),
        Order(installed, FLEET).stamped(1),
    ]


def configured(port: int, *, learning: bool) -> str:
    """A configuration, without storage and http."""
    text = config_text(port, ahead=False)
    return text.replace('mode = "off"', _LEARNING) if learning else text
