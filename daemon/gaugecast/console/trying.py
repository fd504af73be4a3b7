"""Messages that are tried on the configuration, and the configuration itself with what its keys mean."""

from __future__ import annotations

import base64
import os
import struct
import time
from collections.abc import Iterator

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gaugecast.config.load import load_settings
from gaugecast.config.resolve import resolve_fleets
from gaugecast.config.template import bounds_text, default_text
from gaugecast.config.toml_text import toml_value
from gaugecast.config.walk import table_of
from gaugecast.console import asked, shapes
from gaugecast.console.views import World
from gaugecast.errors import GaugecastError, WrongUse
from gaugecast.fleet import Fleet
from gaugecast.known import known
from gaugecast.payloads import Decoded, Decoder
from gaugecast.records import Input, Kind, Message


def attempt(world: World, body: asked.TryBody) -> shapes.TryView:
    """Read one message as the daemon would, by the file as it is now.

    Raises:
        WrongUse: `payload_base64` is no Base64.
        ConfigError: The file is wrong.
    """
    settings = load_settings(world.config, os.environ)
    fleets = {fleet.name: fleet for fleet in resolve_fleets(settings)}
    message = Message(body.topic, _payload(body), 1, False, body.retain, 1, 1)
    decoded = Decoder(list(fleets.values()), settings.loop).decode([message], time.time_ns())
    readings = [_reading(fleets[one.fleet], one) for one in decoded.inputs if one.kind is Kind.READING]
    refused = [
        shapes.TriedRefusal(reason=one.reason, detail=one.detail, fleet=one.fleet, stream=one.stream)
        for one in decoded.refused
    ]
    not_ours = decoded.not_ours.total()
    return shapes.TryView(
        verdict=_verdict(decoded, len(readings)), readings=readings, refused=refused, not_ours=not_ours
    )


def _payload(body: asked.TryBody) -> bytes:
    if body.payload_base64 is None:
        return body.payload.encode(errors="surrogatepass")
    try:
        return base64.b64decode(body.payload_base64, validate=True)
    except ValueError as exc:  # binascii.Error, or characters that are no ASCII
        raise WrongUse(f"payload_base64: {exc}") from exc


def _reading(fleet: Fleet, one: Input) -> shapes.TriedReading:
    values = struct.unpack(f"<{len(fleet.features)}d", one.values)
    named = zip(fleet.features, values, strict=True)
    return shapes.TriedReading(
        fleet=fleet.name, stream=one.stream, at_s=one.at_ns / 1e9, time_from="payload" if fleet.timed else "arrival",
        values={feature.name: known(value) for feature, value in named},
        units={feature.name: feature.unit for feature in fleet.features if feature.unit},
    )  # fmt: skip


def _verdict(decoded: Decoded, readings: int) -> str:
    if readings:
        return "A reading." if readings == 1 else f"{readings} readings."
    if decoded.refused:
        one = decoded.refused[0]
        return f"Refused, {one.reason}: {one.detail or 'no fleet reads this topic'}"
    return "Not ours: it names no feature of the fleet." if decoded.not_ours.total() else "Nothing: it says nothing."


# -- the configuration


def settings_view(world: World, _: asked.Nothing) -> shapes.ConfigView:
    """All tables as the file and the environment give them, with what each key means.

    Raises:
        ConfigError: The file is wrong.
    """
    settings = load_settings(world.config, os.environ)
    tables: list[shapes.SettingsTable] = []
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if name != "fleet":
            tables += _tables(value, name)
    try:
        told = world.past.fleets()
    except GaugecastError:
        told = {}
    for fleet in resolve_fleets(settings):
        known = told.get(fleet.name)
        in_force = known.digest() == fleet.digest() if known is not None else False
        tables += _tables(settings.fleet[fleet.name], f"fleet.{fleet.name}", in_force)
    return shapes.ConfigView(source=str(world.config), tables=tables)


def _tables(table: BaseModel, place: str, in_force: bool | None = None) -> Iterator[shapes.SettingsTable]:
    keys: list[shapes.Setting] = []
    inner: list[tuple[str, BaseModel]] = []
    for key, field in type(table).model_fields.items():
        value = getattr(table, key)
        if isinstance(value, BaseModel):
            inner.append((f"{place}.{key}", value))
        elif isinstance(value, dict) and value and all(isinstance(one, BaseModel) for one in value.values()):
            inner += [(f"{place}.{key}.{name}", one) for name, one in value.items()]
        elif table_of(field) is None or value:
            keys.append(_setting(key, field, value))
    about = (type(table).__doc__ or "").splitlines()[0]
    yield shapes.SettingsTable(place=place, about=about, keys=keys, in_force=in_force)
    for below, one in inner:
        yield from _tables(one, below)


def _setting(key: str, field: FieldInfo, value: object) -> shapes.Setting:
    default = None if field.is_required() or field.default is None else default_text(field)
    changed = field.is_required() or value != field.get_default(call_default_factory=True)
    meaning = f"{field.description or ''}{bounds_text(field)}"
    return shapes.Setting(key=key, meaning=meaning, value=_text(value), default=default, set=changed)


def _text(value: object) -> str | None:
    """As TOML has it."""
    if value is None:
        return None
    if isinstance(value, BaseModel):
        value = value.model_dump(exclude_none=True)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_text(one) or '""' for one in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{toml_value(str(k))} = {_text(v)}" for k, v in value.items()) + " }"
    try:
        return toml_value(value)  # type: ignore[arg-type]  # what else there is, such as a path, is refused there
    except TypeError:
        return toml_value(str(value))
