"""What a configuration publishes, as an AsyncAPI 3.0 document: https://www.asyncapi.com/docs/reference/specification/v3.0.0.

Its schemas are JSON Schema of draft 7, which is what the specification takes without an extension.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gaugecast.fleet import Fleet
from gaugecast.forecast.anomaly.message import Anomaly
from gaugecast.forecast.crossings.message import Crossing
from gaugecast.outputs.messages import Announcement
from gaugecast.outputs.schemas import schema_of, schema_of_shape
from gaugecast.shapes import Shape

VERSION = "3.0.0"
_REFS = "#/components/schemas/{name}"
_TYPES = {"json": "application/json", "flat": "application/json", "number": "application/json", "influx": "text/plain"}
_PARAMETERS = {
    "stream": "Id of the stream; it may have several levels.",
    "feature": "Name of the feature.",
    "horizon": "How far ahead, such as 15m.",
}


def document(
    fleets: Sequence[Fleet], *, broker: str, status_topic: str, version: str, secure: bool = False
) -> dict[str, Any]:
    """The document.

    Args:
        fleets: As they are configured.
        broker: `host:port` that is published to.
        status_topic: Where the status is said.
        version: Of gaugecast.
        secure: Whether by TLS.
    """
    made = _Document()
    for fleet in fleets:
        for number, shape in enumerate(fleet.all_shapes):
            made.add(_id(fleet.name, *([shape.format] if number or fleet.shapes else []), str(number or "")),
                     shape.topic.replace("{fleet}", fleet.name), _shape_message(made, fleet, shape),
                     qos=shape.qos, retain=shape.retain)  # fmt: skip
        for mark in fleet.thresholds:
            told = made.typed(Crossing, "crossing", "When a value will be crossed.")
            made.notice(fleet, mark.suffix, told)
        if fleet.anomaly is not None:
            made.notice(fleet, fleet.anomaly.suffix, made.typed(Anomaly, "anomaly", "What is wrong with a stream."))
    made.add("status", status_topic, made.typed(Announcement, "status", "How the daemon is."), qos=0, retain=True)
    server = {"host": broker, "protocol": "secure-mqtt" if secure else "mqtt", "description": "Forecasts go here."}
    return {
        "asyncapi": VERSION,
        "info": {"title": "gaugecast", "version": version, "description": "Forecasts of sensor streams, by MQTT."},
        "defaultContentType": "application/json",
        "servers": {"broker": server},
        "channels": made.channels,
        "operations": made.operations,
        "components": {"messages": made.messages, "schemas": made.schemas},
    }


class _Document:
    """Grows by channels; messages and schemas that are alike stand once."""

    def __init__(self) -> None:
        self.channels: dict[str, Any] = {}
        self.operations: dict[str, Any] = {}
        self.messages: dict[str, Any] = {}
        self.schemas: dict[str, Any] = {}

    def add(self, name: str, address: str, message: str, *, qos: int, retain: bool) -> None:
        """A channel that we send on."""
        parameters = {key: {"description": _PARAMETERS[key]} for key in re.findall(r"\{(\w+)\}", address)}
        self.channels[name] = {
            "address": address,
            "messages": {message: {"$ref": f"#/components/messages/{message}"}},
            **({"parameters": parameters} if parameters else {}),
        }
        self.operations[f"send-{name}"] = {
            "action": "send",
            "channel": {"$ref": f"#/channels/{name}"},
            "messages": [{"$ref": f"#/channels/{name}/messages/{message}"}],
            "bindings": {"mqtt": {"qos": qos, "retain": retain, "bindingVersion": "0.2.0"}},
        }

    def notice(self, fleet: Fleet, suffix: str, message: str) -> None:
        """The channel of what is told of a fleet's streams beside forecasts."""
        topic = fleet.notices_at.replace("{fleet}", fleet.name) + suffix
        self.add(_id(fleet.name, suffix), topic, message, qos=fleet.output_qos, retain=True)

    def message(self, name: str, payload: Mapping[str, Any], *, content: str, summary: str) -> str:
        """A message and its schema; its name."""
        self.schemas[name] = _draft_7(payload)
        self.messages[name] = {
            "name": name,
            "summary": summary,
            "contentType": content,
            "payload": {"$ref": _REFS.format(name=name)},
        }
        return name

    def typed(self, kind: Any, name: str, summary: str) -> str:
        """A message that a type writes."""
        top, below = schema_of(kind, refs=_REFS)
        self.keep(below)
        return self.message(name, top, content="application/json", summary=summary)

    def keep(self, schemas: Mapping[str, Any]) -> None:
        """Schemas that others refer to."""
        self.schemas.update({name: _draft_7(schema) for name, schema in schemas.items()})


def _shape_message(made: _Document, fleet: Fleet, shape: Shape) -> str:
    top, below = schema_of_shape(fleet, shape, refs=_REFS)
    made.keep(below)
    words = ["batch"] if shape.batch else []
    own = [fleet.name] if shape.format == "flat" else []
    name = _id(*own, "forecast" if shape.format == "json" else shape.format, *words)
    summary = "What is expected of a stream." if not shape.batch else "What is expected, of all streams at once."
    return made.message(name, top, content=_TYPES[shape.format], summary=summary)


def _id(*words: str) -> str:
    """A name that the specification takes."""
    return "-".join(filter(None, (re.sub(r"[^A-Za-z0-9_.-]+", "-", word).strip("-") for word in words)))


def _draft_7(schema: Any) -> Any:
    """The same without words that came later: a pair is an array of so many items."""
    if isinstance(schema, list):
        return [_draft_7(part) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {key: _draft_7(value) for key, value in _walk(schema)}


def _walk(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in schema.items():
        if key == "prefixItems":
            yield "items", value
            yield "additionalItems", False
        elif not (key == "items" and "prefixItems" in schema):
            yield key, value
