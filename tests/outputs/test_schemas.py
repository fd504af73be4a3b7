"""What the schemas say of messages is so, and the AsyncAPI document is one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from gaugecast.fleet import Threshold
from gaugecast.outputs.asyncapi import document
from gaugecast.outputs.messages import announcement
from gaugecast.outputs.schemas import KINDS, schemas_of
from gaugecast.records import Input
from gaugecast.shapes import Shape
from gaugecast.status import Status
from gaugecast.testing import T0, feed, outputs_of, pipeline_of, timer
from gaugecast.watching import AnomalySettings
from outputs.test_shapes import ALL, BATCHES, said_as, saw

FLEET = said_as(*ALL, *BATCHES, thresholds=(Threshold("p", True, 3.5, 60),), notices="told/{fleet}/{stream}",
                stale_after_ns=5 * 10**9)  # fmt: skip
SCHEMAS = schemas_of([FLEET])
#: By the first part of a topic.
NAMES = {"j": "tanks.json", "f": "tanks.flat", "n": "tanks.number", "i": "tanks.influx", "bj": "tanks.json.batch",
         "bf": "tanks.flat.batch", "bi": "tanks.influx.batch", "told": "crossing"}  # fmt: skip


def traffic() -> list[tuple[str, Any]]:
    """Schema and content of all that a fleet says, silence included."""
    pipeline = pipeline_of(FLEET)
    rows = [*saw(90), Input.cut(T0, first_seq=1), timer(200), Input.cut(T0, first_seq=200)]
    found: list[tuple[str, Any]] = []
    for one in outputs_of(feed(pipeline, rows, 1000)):
        name = NAMES[one.topic.split("/")[0]]
        found.append((name, one.body.decode() if "influx" in name else msgspec.json.decode(one.body)))
    return found


def test_all_that_is_said_is_what_its_schema_says() -> None:
    """Each of the schemas was asked, and is one."""
    asked = set()
    validators = {name: jsonschema.Draft202012Validator(schema) for name, schema in SCHEMAS.items()}
    for name, message in traffic():
        validators[name].validate(message)
        asked.add(name)
    assert asked == set(NAMES.values())
    for schema in SCHEMAS.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    assert set(KINDS) <= set(SCHEMAS)


def test_the_status_is_what_its_schema_says() -> None:
    """In full, and as it is at connect."""
    for text in (announcement(Status()), '{"status": "online"}', '{"status": "offline"}'):
        jsonschema.validate(msgspec.json.decode(text), SCHEMAS["status"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"status": "asleep"}, SCHEMAS["status"])


def test_a_flat_message_with_anything_but_numbers_is_refused() -> None:
    """So the schema says something."""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"time": 1.0, "step": 1, "p": "high"}, SCHEMAS["tanks.flat"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"time": 1.0, "step": 1, "other": None}, SCHEMAS["tanks.flat"])


def asyncapi() -> dict[str, Any]:
    """Of the fleet."""
    return document([FLEET], broker="broker.example:8883", status_topic="s", version="1.2.3", secure=True)


def test_asyncapi_names_every_topic_with_its_message() -> None:
    """Qos and RETAIN, too; its schemas, of draft 7, hold for what is said."""
    made = asyncapi()
    addresses = {one["address"] for one in made["channels"].values()}
    assert addresses == {
        *(shape.topic.replace("{fleet}", "tanks") for shape in FLEET.shapes),
        "told/tanks/{stream}/crossing/p/above/3.5",
        "s",
    }
    flags = {o["channel"]["$ref"]: o["bindings"]["mqtt"] for o in made["operations"].values()}
    assert (flags["#/channels/tanks-flat-1"]["qos"], flags["#/channels/tanks-flat-1"]["retain"]) == (0, True)
    names = {"tanks.json": "forecast", "tanks.flat": "tanks-flat", "tanks.number": "number", "tanks.influx": "influx",
             "tanks.json.batch": "forecast-batch", "tanks.flat.batch": "tanks-flat-batch",
             "tanks.influx.batch": "influx-batch", "crossing": "crossing"}  # fmt: skip
    schemas = made["components"]["schemas"]
    validators = {
        name: jsonschema.Draft7Validator({**schemas[key], "components": made["components"]})
        for name, key in names.items()
    }
    for name, message in traffic():
        validators[name].validate(message)


def test_asyncapi_names_the_topic_of_anomalies() -> None:
    """With the shape of their messages, where they are looked for."""
    made = document([said_as(anomaly=AnomalySettings())], broker="b:1", status_topic="s", version="1")
    (channel,) = (one for one in made["channels"].values() if one["address"].endswith("/anomaly"))
    assert set(channel["messages"]) == {"anomaly"}
    assert "reason" in made["components"]["schemas"]["anomaly"]["properties"]


def test_two_fleets_and_odd_names_make_names_that_are_allowed() -> None:
    """Keys of components have letters, digits, dots and dashes alone."""
    odd = said_as(Shape("flat", "x/{stream}"), thresholds=(Threshold("p", False, -1e-9, 60),))
    made = document([FLEET, odd], broker="b:1", status_topic="s", version="1")
    for part in (made["channels"], made["operations"], made["components"]["messages"]):
        assert all(name.replace("-", "").replace(".", "").replace("_", "").isalnum() for name in part)


PARSE = """
import { Parser } from '@asyncapi/parser';
import { readFileSync } from 'fs';
const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], 'utf8'));
for (const one of diagnostics.filter((one) => one.severity < 2)) console.log(one.path.join('/'), one.message);
console.log(document ? document.version() : 'none');
"""


@pytest.mark.long
@pytest.mark.skipif(shutil.which("npm") is None, reason="npm brings the parser")
def test_the_parser_of_asyncapi_itself_finds_nothing_wrong(tmp_path: Path) -> None:
    """`@asyncapi/parser`, the reference: no error, no warning but that a later version of the specification is out."""
    (tmp_path / "package.json").write_text("{}")
    install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "@asyncapi/parser@3.6.3"]
    subprocess.run(install, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    (tmp_path / "parse.mjs").write_text(PARSE)
    (tmp_path / "made.json").write_bytes(msgspec.json.encode(asyncapi()))
    told = subprocess.run(
        ["node", "parse.mjs", "made.json"], cwd=tmp_path, check=True, capture_output=True, text=True, timeout=60
    )
    assert told.stdout.split() == ["3.0.0"]
