"""JSON Schemas of all messages: of the types that write them, and of what a fleet's features make of them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gaugecast.config.saying import spans_of
from gaugecast.fleet import Fleet
from gaugecast.forecast.anomaly.message import Anomaly
from gaugecast.forecast.crossings.message import Crossing
from gaugecast.forecast.message import Forecast
from gaugecast.outputs.messages import Announcement, Batch
from gaugecast.shapes import Shape, flat_names

DIALECT = "https://json-schema.org/draft/2020-12/schema"
#: Messages whose shape does not depend on a fleet, by name.
KINDS: Mapping[str, type[msgspec.Struct]] = {
    "forecast": Forecast,
    "crossing": Crossing,
    "anomaly": Anomaly,
    "status": Announcement,
}
_Schema = dict[str, Any]


def schema_of(kind: Any, *, refs: str = "#/$defs/{name}") -> tuple[_Schema, dict[str, _Schema]]:
    """A type's schema, and those that it refers to, by name; `refs` is how it does."""
    (top,), below = msgspec.json.schema_components([kind], ref_template=refs)
    if "$ref" in top:
        top = below.pop(top["$ref"].rsplit("/", 1)[1])
    top["description"] = " ".join(top.get("description", "").split())
    for one in below.values():
        if "description" in one:  # with the indent of the source up to Python 3.12
            one["description"] = inspect.cleandoc(one["description"])
    return top, below


def whole_schema(kind: Any) -> _Schema:
    """The same in one document."""
    top, below = schema_of(kind)
    return {"$schema": DIALECT, **top, **({"$defs": below} if below else {})}


def flat_schema(fleet: Fleet, *, named: bool = False) -> _Schema:
    """Of a fleet's flat messages; `named`: with the stream, as within a batch."""
    features = [feature.name for feature in fleet.forecast_features]
    names = flat_names(features, spans_of(fleet), fleet.intervals, scored=fleet.anomaly is not None)
    units = {feature.name: feature.unit for feature in fleet.forecast_features}
    numbers: dict[str, _Schema] = {name: {"type": "number"} for name in names}
    for name, unit in units.items():
        numbers[name]["description"] = f"as measured{f', {unit}' if unit else ''}"
    numbers["time"]["description"] = "Event time, Unix seconds UTC."
    numbers["step"] = {"type": "integer", "minimum": 1, "description": "Number of the step within its stream."}
    stream: dict[str, _Schema] = {"stream": {"type": "string", "minLength": 1}} if named else {}
    return {
        "title": "Flat",
        "description": "Numbers alone; what is not known is left out. Later versions may add keys.",
        "type": "object",
        "required": [*stream, "time", "step"],
        "properties": {**stream, **numbers},
        "additionalProperties": True if named else {"type": "number"},
    }


def schema_of_shape(fleet: Fleet, shape: Shape, *, refs: str = "#/$defs/{name}") -> tuple[_Schema, dict[str, _Schema]]:
    """Of what a fleet says in one shape, as `schema_of`."""
    if shape.format == "number":
        return {"title": "Number", "type": "number", "description": "A forecast, in the feature's unit."}, {}
    if shape.format == "influx":
        return {"title": "Lines", "type": "string", "description": "InfluxDB line protocol."}, {}
    if shape.format == "flat":
        flat = flat_schema(fleet, named=shape.batch)
        return (_of_batch(flat), {}) if shape.batch else (flat, {})
    if not shape.batch:
        return schema_of(Forecast, refs=refs)
    one, below = schema_of(Forecast, refs=refs)
    return _of_batch({"$ref": refs.format(name="Forecast")}), {"Forecast": one, **below}


def schemas_of(fleets: Sequence[Fleet]) -> dict[str, _Schema]:
    """Every kind of message by name, those of fleets behind the fleet's: `tanks.flat`, `tanks.flat.batch`."""
    found = {name: whole_schema(kind) for name, kind in KINDS.items()}
    for fleet in fleets:
        for shape in fleet.all_shapes:
            top, below = schema_of_shape(fleet, shape)
            name = ".".join([fleet.name, shape.format, *(["batch"] if shape.batch else [])])
            found[name] = {"$schema": DIALECT, **top, **({"$defs": below} if below else {})}
    return found


def _of_batch(part: _Schema) -> _Schema:
    """The schema of a batch of what has this schema."""
    top, _ = schema_of(Batch[dict[str, Any]])
    top["title"] = "Batch"
    top["properties"]["forecasts"]["items"] = part
    return top
