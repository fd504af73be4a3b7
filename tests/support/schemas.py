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
from gaugecast.outputs.schemas import whole_schema

_PACKAGE = Path(gaugecast.__file__).parent
#: Where each type's schema lies.
PLACES: dict[type[msgspec.Struct], Path] = {
    Forecast: _PACKAGE / "forecast" / "forecast.schema.json",
    Anomaly: _PACKAGE / "forecast" / "anomaly" / "anomaly.schema.json",
    Crossing: _PACKAGE / "forecast" / "crossings" / "crossing.schema.json",
}


def schema_text(kind: type[msgspec.Struct]) -> str:
    """As the file has it: the type itself on top, those within it under `$defs`."""
    return json.dumps(whole_schema(kind), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for kind, place in PLACES.items():
        place.write_text(schema_text(kind))
