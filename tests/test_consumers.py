"""The recipes of docs/consumers.md do what they promise: with the program where the registries have it, else against
what its documentation says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from gaugecast.fleet import Feature, Fleet, Threshold
from gaugecast.records import Input
from gaugecast.shapes import Shape
from gaugecast.testing import T0, feed, fleet_of, outputs_of, pipeline_of, reading
from outputs.test_homeassistant import SENSOR, UNITS
from support.mosquitto import Mosquitto, RawClient, free_port, run_mosquitto, wait_until

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "consumers.md").read_text()
MOST_LINES = 20
STATUS = [("gaugecast-notices/daemon/gaugecast", b'{"status": "online"}'), ("gaugecast/status-gaugecast", b"{}")]


def recipe(heading: str) -> str:
    """The code under a heading."""
    found = re.search(rf"^## {heading}\n.*?```\w+\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None, heading
    return found[1]


def fleet() -> Fleet:
    """As the page has it: JSON, flat, a batch, and a threshold."""
    shapes = (
        Shape("json", "gaugecast/{fleet}/{stream}"),
        Shape("flat", "gaugecast-flat/{fleet}/{stream}"),
        Shape("json", "gaugecast-batch/{fleet}", batch=True),
    )
    return replace(
        fleet_of("p", horizons=(1, 60), intervals=(0.8,), shapes=shapes),
        features=(Feature("pressure", "bar", ("p",)),),
        notices="gaugecast-notices/{fleet}/{stream}",
        thresholds=(Threshold("pressure", True, 8.0, 60),),
    )


def said() -> list[tuple[str, bytes]]:
    """All that a daemon publishes of two steps and of its own standing."""
    pipeline = pipeline_of(fleet())
    rows = [reading(0, 2.5), reading(1, 9.0), Input.cut(T0, first_seq=7)]
    return [*STATUS, *((one.topic, one.body) for one in outputs_of(feed(pipeline, rows, 3)))]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """One of our own."""
    with run_mosquitto(tmp_path / "broker") as running:
        yield running


@contextmanager
def running(command: list[str], directory: Path) -> Iterator[Path]:
    """A program and the file that it writes to, ended by its id."""
    out = directory / "out"
    with out.open("wb") as file:
        child = subprocess.Popen(command, cwd=directory, stdout=file, stderr=subprocess.STDOUT)
        try:
            yield out
        finally:
            child.kill()
            child.wait()


def test_every_recipe_is_short() -> None:
    """Twenty lines at most, and one for each heading."""
    blocks = re.findall(r"```\w+\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) >= 7
    assert all(len(block.splitlines()) <= MOST_LINES for block in blocks)


@pytest.mark.parametrize(
    ("heading", "lines"),
    [
        ("Python", ["a 1700000001.0 {'pressure': 2.5}", "a 1700000002.0 {'pressure': 9.0}"]),
        ("Gateways", ["a 1 {'pressure': 2.5}", "a 2 {'pressure': 9.0}"]),
    ],
)
def test_a_consumer_in_python_hears_forecasts_and_nothing_else(
    tmp_path: Path, broker: Mosquitto, heading: str, lines: list[str]
) -> None:
    """The status is retained, and would break it; so would a crossing."""
    (tmp_path / "consumer.py").write_text(recipe(heading).replace('"localhost", 1883', f'"127.0.0.1", {broker.port}'))
    with RawClient(broker) as daemon, running([sys.executable, "-u", "consumer.py"], tmp_path) as out:
        daemon.publish(STATUS, retain=True)
        broker.wait_for("Sending SUBACK")
        daemon.publish(said())
        wait_until(lambda: len(out.read_text().splitlines()) >= len(lines), what=lambda: out.read_text())
    assert out.read_text().splitlines() == lines


def test_one_wildcard_brings_forecasts_and_nothing_else(broker: Mosquitto) -> None:
    """And another one what is no forecast."""
    with RawClient(broker, subscribe="gaugecast/+/+/#") as all_forecasts, RawClient(broker) as daemon:
        daemon.publish(said())
        heard = all_forecasts.wait_heard(2)
        daemon.publish([("gaugecast/tanks/deep/down/here", b"{}")])
        topics = [one.topic for one in all_forecasts.wait_heard(3)]
    assert topics == [*["gaugecast/tanks/a"] * 2, "gaugecast/tanks/deep/down/here"]
    assert [msgspec.json.decode(one.payload)["step"] for one in heard] == [1, 2]


@pytest.mark.long
@pytest.mark.skipif(shutil.which("npm") is None, reason="npm brings Node-RED")
def test_node_red_takes_the_flow_and_passes_on_what_is_above(tmp_path: Path, broker: Mosquitto) -> None:
    """Version 4, from the registry, with the flow as it is on the page."""
    (tmp_path / "package.json").write_text("{}")
    install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "node-red@4"]
    subprocess.run(install, cwd=tmp_path, check=True, capture_output=True, timeout=600)
    flow = json.loads(recipe("Node-RED").replace('"port": "1883"', f'"port": "{broker.port}"'))
    (tmp_path / "flows.json").write_text(json.dumps(flow).replace('"localhost"', '"127.0.0.1"'))
    (tmp_path / "settings.js").write_text("module.exports = {flowFile: 'flows.json', telemetry: {enabled: false}}\n")
    red = "node_modules/node-red/red.js"
    command = ["node", red, "-u", str(tmp_path), "-p", str(free_port()), "-s", "settings.js", "flows.json"]
    with (
        RawClient(broker, subscribe="alarm/#") as alarm,
        RawClient(broker) as daemon,
        running(command, tmp_path) as out,
    ):
        wait_until(lambda: broker.count("gaugecast/+/+/#") > 0, what=lambda: out.read_text()[-500:], deadline_s=90)
        daemon.publish(said())
        (heard,) = alarm.wait_heard(1)
    assert heard.topic == "alarm/pressure"
    assert msgspec.json.decode(heard.payload)["forecast"] == {"pressure": 9.0}


# -- against documentation

#: Keys of Telegraf's `inputs.mqtt_consumer` and of its parser `json_v2`, from their pages.
TELEGRAF = {
    "servers", "topics", "topic_tag", "qos", "connection_timeout", "max_undelivered_messages", "persistent_session",
    "client_id", "username", "password", "tls_ca", "tls_cert", "tls_key", "insecure_skip_verify", "data_format",
    "topic_parsing", "json_v2",
}  # fmt: skip
TOPIC_PARSING = {"topic", "measurement", "tags", "fields"}
JSON_V2 = {"measurement_name", "measurement_name_path", "timestamp_path", "timestamp_format", "timestamp_timezone",
           "field", "tag", "object"}  # fmt: skip
OBJECT = {"path", "disable_prepend_keys", "included_keys", "excluded_keys", "tags", "renames", "fields"}


def flat() -> list[tuple[str, dict[str, Any]]]:
    """The flat messages."""
    return [(topic, msgspec.json.decode(body)) for topic, body in said() if topic.startswith("gaugecast-flat/")]


def test_telegraf_makes_a_metric_of_each_message() -> None:
    """By what its pages say: an object is one metric, `@this` is all of it, numbers are fields, `unix` is seconds."""
    (consumer,) = tomllib.loads(recipe("Telegraf"))["inputs"]["mqtt_consumer"]
    assert consumer.keys() <= TELEGRAF
    (parsing,), (parser,) = consumer["topic_parsing"], consumer["json_v2"]
    assert parsing.keys() <= TOPIC_PARSING
    assert parser.keys() <= JSON_V2
    (part,) = parser["object"]
    assert part.keys() <= OBJECT
    assert (part["path"], parser["timestamp_path"], parser["timestamp_format"]) == ("@this", "time", "unix")
    names = parsing["tags"].split("/")
    for topic, told in flat():
        levels = topic.split("/")
        assert len(levels) == len(parsing["topic"].split("/")) == len(names)
        tags = {name: level for name, level in zip(names, levels, strict=True) if name != "_"}
        fields = {key: value for key, value in told.items() if key not in part["excluded_keys"]}
        assert tags == {"fleet": "tanks", "stream": "a"}
        assert {"pressure", "pressure_forecast", "step"} <= fields.keys()
        assert all(type(value) in (int, float) for value in fields.values())
        assert type(told["time"]) is float


def test_home_assistants_sensor_has_the_keys_of_its_documentation() -> None:
    """And shows the number."""
    (sensor,) = yaml.safe_load(recipe("Home Assistant"))["mqtt"]["sensor"]
    known = {"availability_topic", "availability_template", "platform"} | SENSOR[1]
    assert sensor.keys() - {"unique_id"} <= known
    assert sensor["unit_of_measurement"] in UNITS[sensor["device_class"]]
    told = next(msgspec.json.decode(body) for topic, body in said() if topic == sensor["state_topic"])
    assert sensor["value_template"] == "{{ value_json.forecast.pressure }}"
    assert told["forecast"]["pressure"] == 2.5
    assert sensor["availability_topic"] == STATUS[0][0]


def test_grafanas_source_reads_one_object_of_numbers() -> None:
    """The structure that its page shows: names and numbers, at the top level."""
    (source,) = yaml.safe_load(recipe("Grafana"))["datasources"]
    assert source["type"] == "grafana-mqtt-datasource"
    assert f"`{flat()[0][0]}`" in PAGE
    for _, told in flat():
        assert all(type(value) in (int, float) for value in told.values())


def test_the_page_names_the_shapes_that_it_means() -> None:
    """The stanza resolves to the topic that the recipes read."""
    stanza = tomllib.loads(recipe("Topics"))["fleet"]["tanks"]["shape"]
    assert stanza == [{"format": "flat", "output": "gaugecast-flat/{fleet}/{stream}"}]
