"""The file that `gaugecast init` writes: every key of the schema with its default, bounds and explanation."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gaugecast.config.schema import FeatureTable, FleetTable, Settings
from gaugecast.config.walk import is_named, kinds_of, table_of

COMMENT_COLUMN = 44

#: The example: what is not commented out.
EXAMPLE: Mapping[str, str] = {
    "mqtt.host": '"localhost"',
    "fleet.tanks.subscribe": '["plant/{site}/{tank}/telemetry"]',
    "fleet.tanks.time": '"$.t"',
    "fleet.tanks.period": '"1s"',
    "fleet.tanks.features.pressure.unit": '"bar"',
    "fleet.tanks.features.pressure.valid": "[0, 10]",
    "fleet.tanks.features.temperature.unit": '"°C"',
    "fleet.tanks.features.temperature.valid": "[-40, 150]",
}

HEAD = """\
# Configuration of gaugecast. `gaugecast check -c FILE` says whether it is right, `--online` asks the broker, too.
#
# A line that begins with `#key = ` shows the default, or an example where there is none; remove the `#` to change
# it. Relative paths count from this file's directory. Every key has an environment variable that overrides it:
# GAUGECAST_MQTT__HOST for `host` in [mqtt], GAUGECAST_FLEET__TANKS__PERIOD for `period` in [fleet.tanks].
# Unknown keys are refused.
"""

FLEET_HEAD = """
# One table for each kind of stream; NAME is yours, [fleet.NAME]. This one reads messages such as
#   topic    plant/north/tank-7/telemetry
#   payload  {"t": 1767225600.25, "pressure": 2.31, "temperature": 41.8}
# and publishes forecasts to gaugecast/tanks/north/tank-7."""


def render_template() -> str:
    """The complete file, with one example fleet; `load_settings` takes it as it is."""
    lines = [HEAD]
    for name, field in Settings.model_fields.items():
        table = table_of(field)
        assert table is not None
        if name != "fleet":
            lines += _table(table, name)
    lines.append(FLEET_HEAD)
    lines += _table(FleetTable, "fleet.tanks")
    for feature in ("pressure", "temperature"):
        lines += _table(FeatureTable, f"fleet.tanks.features.{feature}")
    return "\n".join(lines) + "\n"


def _table(table: type[BaseModel], place: str, *, optional: bool = False) -> Iterator[str]:
    yield f"\n# {(table.__doc__ or '').splitlines()[0]}"
    yield f"{'#' if optional else ''}[{place}]"
    inner: list[tuple[str, type[BaseModel]]] = []
    for key, field in table.model_fields.items():
        below = table_of(field)
        if below is None:
            yield _key_line(f"{place}.{key}", key, field)
        elif not is_named(field):
            inner.append((f"{place}.{key}", below))
    for inner_place, below in inner:
        yield from _table(below, inner_place, optional=True)


def _key_line(place: str, key: str, field: FieldInfo) -> str:
    value = EXAMPLE.get(place)
    line = f"{key} = {value}" if value is not None else f"#{key} = {default_text(field)}"
    return f"{line:<{COMMENT_COLUMN}}  # {field.description}{bounds_text(field)}"


def default_text(field: FieldInfo) -> str:
    """The default as TOML, or an example where there is none."""
    if field.default is None or field.is_required():
        return str(field.examples[0]) if field.examples else _placeholder(field)
    return _toml(field.default)


def _placeholder(field: FieldInfo) -> str:
    """What an optional key without a default could look like."""
    return '"/etc/gaugecast/…"' if Path in kinds_of(field) else '"…"'


def _toml(value: Any) -> str:
    return json.dumps(value if isinstance(value, (bool, int, float, list, dict)) else str(value), ensure_ascii=False)


def bounds_text(field: FieldInfo) -> str:
    """` (1 to 65535)`, or the words that may stand there."""
    words = [kind for kind in kinds_of(field) if get_origin(kind) is Literal]
    if words:
        allowed = [str(word) for word in get_args(words[0])]
        told = all(re.search(rf"\b{re.escape(word)}\b", field.description or "") for word in allowed)
        return "" if told else f" ({', '.join(allowed)})"
    low = next((str(bound.ge) for bound in field.metadata if isinstance(bound, Ge)), "")
    above = next((str(bound.gt) for bound in field.metadata if isinstance(bound, Gt)), "")
    high = next((str(bound.le) for bound in field.metadata if isinstance(bound, Le)), "")
    if low and high:
        return f" ({low} to {high})"
    if above:
        return f" (above {above}{f', to {high}' if high else ''})"
    return f" (from {low})" if low else ""
