"""What is proposed for what devices really send: layout by layout, with noise beside them, and all at once."""

from __future__ import annotations

import base64
import json
import tomllib
from collections import defaultdict
from typing import Any

import pytest

from field.stage import FIELD, NOW_NS, need, render
from gaugecast.cli.discover import accepted
from gaugecast.cli.survey import Survey
from gaugecast.config import resolve_fleets
from gaugecast.config.schema import Settings
from gaugecast.payloads import Decoder
from gaugecast.payloads.discovery import Came, Stanza, joined, propose
from gaugecast.records import Kind, Message

#: Beside each layout: what is on every broker, and no reading of anything.
NOISE = {
    "homeassistant/sensor/x/config": b'{"name": "x", "state_topic": "a/b", "unit_of_measurement": "W"}',
    "zigbee2mqtt/bridge/state": b'{"state": "online"}',
    "zigbee2mqtt/bridge/logging": b'{"level": "info", "message": "MQTT publish"}',
    "noise/word": b"hello",
    "noise/switch": b"ON",
    "noise/empty": b"",
    "noise/picture": bytes(range(180, 256)) * 9,
    "noise/list": b"[1, 2, 3]",
    "noise/html": b"<html><body>1</body></html>",
}


def heard_of(*folders: str) -> dict[str, list[Came]]:
    """What comes of some folders, one after the other's clock."""
    heard: dict[str, list[Came]] = defaultdict(list)
    for folder in folders:
        now_ns = NOW_NS
        for line in map(json.loads, (need(folder) / "messages.jsonl").read_text().splitlines()):
            now_ns += round(float(line.get("dt", 0)) * 1e9)
            payload = base64.b64decode(line["payload_b64"]) if "payload_b64" in line else None
            body = render(line["payload"], NOW_NS).encode() if payload is None else payload
            heard[line["topic"]].append(Came(now_ns, body))
    return {topic: sorted(came)[-64:] for topic, came in heard.items()}


def tables_of(stanzas: list[Stanza]) -> dict[str, Any]:
    """The fleets as they stand in the file."""
    return dict(tomllib.loads(joined(stanzas))["fleet"])


#: Folder: what its fleets are to say, by what they subscribe; features with what is said of them.
RIGHT: dict[str, dict[str, tuple[dict[str, Any], set[str]]]] = {
    "01-tasmota-energy": {
        "tele/plug1/SENSOR": (
            {"time": "$.Time", "time_unit": "iso8601", "timezone": "Europe/Berlin", "period": "5m"},
            {"Power", "Voltage"},
        )
    },
    "04-shelly-gen1-emeter": {
        "shellies/{level2}/emeter/{level4}/{feature}": (
            {"payload": "number", "period": "1s"},
            {"power", "voltage", "pf"},
        )
    },
    "06-shelly-gen2-status": {"*": ({"period": "1s"}, {"apower", "voltage", "tC"})},
    "09-esphome": {
        "livingroom/sensor/{feature}/state": ({"payload": "number", "period": "1s"}, {"temperature", "humidity"})
    },
    "11-rtl433-events": {
        "rtl_433/pi/events": (
            {"time": "$.time", "time_unit": "iso8601", "timezone": "Europe/Berlin", "stream": "{$.id}", "period": "1m"},
            {"temperature_C", "humidity"},
        )
    },
    "12-chirpstack-v4": {
        "*": ({"time": "$.time", "time_unit": "iso8601", "period": "10m"}, {"temperature", "humidity"})
    },
    "14-victron-battery": {
        "*": ({"period": "1s"}, {"Power", "Soc", "Voltage"}),
    },
    "17-sparkplug-b": {"*": ({"payload": "sparkplug"}, {"Inlet Temp"})},
    "18-senml-json": {"senml/dev1": ({"payload": "senml", "period": "1m"}, {"temp", "hum"})},
    "20-telegraf-influx": {"*": ({"payload": "influx", "period": "10s"}, {"usage_idle"})},
    "21-telegraf-json-batch": {
        "*": (
            {"records": "$.metrics", "time": "$.timestamp", "stream": "{$.tags.cpu}", "period": "10s"},
            {"usage_idle", "usage_user"},
        )
    },
    "22-nodered-ms": {
        "nodered/office": ({"time": "$.timestamp", "time_unit": "ms", "period": "10s"}, {"temperature", "heating"})
    },
    "23-siemens-ie-position": {
        "*": (
            {"records": "$.vals", "name": "$.id", "value": "$.val", "time": "$.ts", "time_unit": "iso8601"},
            {"101", "102"},
        )
    },
    "25-opcua-pubsub": {
        "*": ({"records": "$.Messages", "time": "$.Timestamp", "time_unit": "iso8601", "period": "1s"}, set())
    },
    "28-openems-edge-renamed": {
        "*": ({"time": "$.timestamp", "time_unit": "ms", "period": "1s"}, {"_sum/GridActivePower"})
    },
    "29-evcc": {"evcc/site/{feature}": ({"payload": "number", "period": "1s"}, {"gridPower", "pvPower", "homePower"})},
    "32-dsmr-reader-json": {
        "dsmr/json": (
            {"time": "$.timestamp", "time_unit": "iso8601", "period": "10s"},
            {"electricity_currently_delivered"},
        )
    },
    "35-octoprint": {
        "octoPrint/temperature/{level3}": ({"time": "$._timestamp", "period": "5s"}, {"actual", "target"})
    },
    "38-neuron-values": {
        "/neuron/mqtt": ({"time": "$.timestamp", "time_unit": "ms", "period": "1s"}, {"tag0", "tag1"}),
    },
    "46-thingsboard-device": {"tb/a/telemetry": ({"time": "$.ts", "time_unit": "ms", "period": "1m"}, {"temperature"})},
}  # fmt: skip


@pytest.mark.parametrize("folder", RIGHT)
def test_a_layout_is_proposed_as_its_user_would_write_it(folder: str) -> None:
    """Topics, format, time with unit and zone, period, features; noise beside it is left out, with the reason."""
    heard = heard_of(folder) | {topic: [Came(NOW_NS, body)] for topic, body in NOISE.items()}
    stanzas, left_out = accepted(propose(heard), heard)
    tables = tables_of(stanzas)
    assert set(NOISE) <= {topic for topic, _ in left_out}
    for pattern, (keys, features) in RIGHT[folder].items():
        table = next(
            each for each in tables.values()
            if (pattern == "*" or each["subscribe"] == [pattern]) and features <= each["features"].keys()
        )  # fmt: skip
        assert {key: table.get(key) for key in keys} == keys
    assert not {"id", "rssi", "seq", "dr", "fCnt", "channel", "battery_ok"} & {
        name for table in tables.values() for name in table["features"]
    }


def test_set_points_switches_and_units_are_told() -> None:
    """What a number is for, where its name or its values say so."""
    heard = heard_of("35-octoprint", "22-nodered-ms", "11-rtl433-events")
    stanzas, _ = accepted(propose(heard), heard)
    features = {name: said for table in tables_of(stanzas).values() for name, said in table["features"].items()}
    assert features["target"]["role"] == "input"
    assert (features["heating"]["role"], features["heating"]["kind"]) == ("input", "boolean")
    assert (features["temperature_C"]["unit"], features["humidity"]["unit"]) == ("°C", "%")


def test_a_sensor_that_reports_on_change_is_told() -> None:
    """No nonsense for a period: how far apart its reports lie, and how long to hold a value."""
    heard = heard_of("59-on-change-with-bridge")
    (stanza,), _ = accepted(propose(heard), heard)
    assert stanza.every.startswith("irregular: ")
    assert 'hold = "' in stanza.every
    assert 'hold = "' in stanza.text


@pytest.mark.no_cover
def test_all_layouts_at_once_are_proposed_without_a_wrong_one() -> None:
    """Whatever is proposed reads what came: hardly a reject, and no time of another century."""
    folders = sorted(place.name for place in FIELD.iterdir() if place.is_dir()) if FIELD.is_dir() else []
    need("01-tasmota-energy")
    heard = heard_of(*folders)
    stanzas, left_out = accepted(propose(heard), heard)
    told = {topic for stanza in stanzas for topic in stanza.topics} | {topic for topic, _ in left_out}
    beside = {topic for topic in heard if any(f"/{level}/" in topic for level in ("NBIRTH", "DBIRTH", "DDEATH"))}
    assert set(heard) == told | beside
    assert len(stanzas) >= 30
    settings = Settings.model_validate(tomllib.loads(joined(stanzas)))
    fleets = resolve_fleets(settings)
    survey, decoder = Survey(fleets, settings.loop), Decoder(fleets, settings.loop)
    own = {topic for stanza in stanzas for topic in stanza.topics}
    for at_ns, topic, body in sorted((one.at_ns, name, one.payload) for name in own for one in heard[name]):
        message = Message(topic, body, 0, False, False, 0, 1)
        decoded = decoder.decode([message], at_ns)
        survey.add(decoded, [message], at_ns)
        assert all(abs(one.at_ns - at_ns) < 40 * 86_400 * 10**9 for one in decoded.inputs if one.kind is Kind.READING)
    taken = sum(sum(seen.streams.values()) for seen in survey.fleets.values())
    assert survey.refused.total() <= taken / 100, survey.refused
    assert all(seen.streams for seen in survey.fleets.values())
