"""JSON Schemas of messages, made from the types that write them.

After a change of a type: `PYTHONPATH=daemon:simulators:tests python -m support.schemas`.
"""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

import gaugecast
from gaugecast.forecast.anomaly.message import Anomaly
from gaugecast.forecast.crossings.message import Crossing
from gaugecast.forecast.message import Forecast

_PACKAGE = Path(gaugecast.__file__).parent
#: Where each type's schema lies.
PLACES: dict[type[msgspec.Struct], Path] = {
    Forecast: _PACKAGE / "forecast" / "forecast.schema.json",
    Anomaly: _PACKAGE / "forecast" / "anomaly" / "anomaly.schema.json",
    Crossing: _PACKAGE / "forecast" / "crossings" / "crossing.schema.json",
}


def schema_text(kind: type[msgspec.Struct]) -> str:
    """As the file has it: the type itself on top, those within it under `$defs`."""
    made = msgspec.json.schema(kind)
    below = made["$defs"]
    top = below.pop(kind.__name__)
    top["description"] = " ".join(top["description"].split())
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **top, **({"$defs": below} if below else {})}
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for kind, place in PLACES.items():
        place.write_text(schema_text(kind))
