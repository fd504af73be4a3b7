"""Devices of several makers on one broker: each read in its own way, and every message accounted for."""

from __future__ import annotations

import json
from pathlib import Path

from e2e.scenes import START_NS, Listener, check_books
from support.daemon import run_daemon
from support.formats import FORMATS, sparkplug_metric, varint
from support.mosquitto import Mosquitto, RawClient

START_S = START_NS // 10**9
FILE = """
[mqtt]
port = {port}
[fleet.influx]
subscribe = ["telegraf/{{host}}/cpu"]
payload = "influx"
period = "1s"
[fleet.influx.features.idle]
[fleet.pump]
subscribe = ["spBv1.0/{{group}}/DDATA/{{node}}/{{device}}"]
payload = "sparkplug"
period = "1s"
[fleet.pump.features."Inlet Temp"]
[fleet.rooms]
subscribe = ["rtl/{{host}}/events"]
stream = "{{$.id}}"
where = {{"$.model" = "TH"}}
time = "$.t"
period = "1s"
[fleet.rooms.features.temp]
[fleet.tyres]
subscribe = ["rtl/{{host}}/events"]
stream = "{{$.id}}"
where = {{"$.model" = "TPMS"}}
time = "$.t"
period = "1s"
[fleet.tyres.features.kPa]
[fleet.senml]
subscribe = ["senml/{{dev}}"]
payload = "senml"
period = "1s"
[fleet.senml.features.pressure]
[fleet.senml.features.temperature]
[fleet.house]
subscribe = ["haus/{{room}}/{{feature}}"]
payload = "number"
period = "1h"
[fleet.house.features.temperatur]
"""


def _pump(kind: str, metric: bytes) -> tuple[str, bytes]:
    return f"spBv1.0/g/{kind}/n/d", b"\x08" + varint(START_S * 1000) + metric


def test_devices_of_many_makers_are_read_side_by_side(tmp_path: Path, broker: Mosquitto) -> None:
    """Aliases after a birth, two fleets on one topic, what is not ours, one too many of a period: all in the books."""
    senml = next(form for form in FORMATS if form.name == "senml in CBOR")
    rtl = [
        {"model": model, "id": i, "t": START_S + i, "temp": 5 + i, "kPa": 220}
        for i, model in enumerate(("TH", "TPMS", "Other"))
    ]
    messages = [
        ("telegraf/a/cpu", f"cpu idle=90 {START_NS}\ncpu idle=91,user=2i {START_NS + 10**9}\nmem free=1i\n".encode()),
        _pump("DBIRTH", sparkplug_metric("Inlet Temp", 5, alias=1, at_ms=START_S * 1000)),
        _pump("DDATA", sparkplug_metric("", 6, alias=1, at_ms=(START_S + 1) * 1000)),
        _pump("DDEATH", b""),
        *[("rtl/pi/events", json.dumps(row).encode()) for row in rtl],
        ("senml/x", senml.write([(START_S, 2.5, 40.0), (START_S + 1, 2.75, 41.0)])),
        ("haus/bad/temperatur", "20,9 °C".encode()),
        ("haus/bad/temperatur", b"21,0"),
        ("haus/bad/licht", b"ON"),
        ("senml/x", b"temperature=5"),
    ]
    with (
        Listener(broker, tmp_path, ("gaugecast/+/+", "gaugecast/+/+/+/+")) as listener,
        RawClient(broker) as sensor,
        run_daemon(tmp_path / "d", FILE.format(port=broker.port)) as daemon,
    ):
        sensor.publish(messages)
        heard = [json.loads(body) for _, body in listener.wait_distinct(9)]
        check_books(daemon, stepped=9, same_period=1, not_ours=4, rejected=1, late=0, duplicate=0)
    observed = {(one["fleet"], one["stream"]): one["observed"] for one in heard}
    assert observed == {
        ("influx", "a"): {"idle": 91},
        ("pump", "g/n/d"): {"Inlet Temp": 6},
        ("rooms", "0"): {"temp": 5},
        ("tyres", "1"): {"kPa": 220},
        ("senml", "x"): {"pressure": 2.75, "temperature": 41},
        ("house", "bad"): {"temperatur": 20.9},
    }


def test_a_sparkplug_node_is_asked_for_the_birth_that_was_missed(tmp_path: Path, broker: Mosquitto) -> None:
    """By a command that nobody keeps; once the birth has come, its aliases are read."""
    alias = sparkplug_metric("", 6, alias=1, at_ms=(START_S + 1) * 1000)
    birth = sparkplug_metric("Inlet Temp", 5, alias=1, at_ms=START_S * 1000)
    config = FILE.format(port=broker.port).replace('payload = "sparkplug"', 'payload = "sparkplug"\nrebirth = true')
    with (
        Listener(broker, tmp_path, ("gaugecast/+/+/+/+",)) as listener,
        RawClient(broker, subscribe="spBv1.0/+/NCMD/+") as node,
        run_daemon(tmp_path / "d", config) as daemon,
    ):
        node.publish([_pump("DDATA", alias), _pump("DDATA", alias)])
        (asked,) = node.wait_heard(1)
        node.publish([_pump("DBIRTH", birth), _pump("DDATA", alias)])
        listener.wait_distinct(2)
        check_books(daemon, stepped=2, rejected=2, late=0, duplicate=0)
    assert (asked.topic, asked.retain) == ("spBv1.0/g/NCMD/n", False)
    assert b"Node Control/Rebirth" in asked.payload
    assert len(node.heard) == 1
