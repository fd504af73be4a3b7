"""The same readings written in every format that can be read: what the contract suite of formats shares."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import cbor2
import msgspec

from gaugecast.fleet import Feature, Fleet
from support.payloads import NOW_NS

SECOND = 10**9
Reading = tuple[int, float, float]  # seconds since 1970, pressure, temperature


@dataclass(frozen=True, slots=True)
class Written:
    """A format, and how readings are written in it.

    Attributes:
        write: Payload of some readings.
        keys: What a fleet says to read it.
        within: Where a reading has its features.
    """

    name: str
    write: Callable[[list[Reading]], bytes]
    keys: dict[str, Any] = field(default_factory=dict)
    within: tuple[str, ...] = ()
    topic: str = "plant/north/t7"

    def fleet(self, **keys: Any) -> Fleet:
        """Tanks that send this."""
        features = tuple(Feature(name, path=(*self.within, name)) for name in ("pressure", "temperature"))
        chosen: dict[str, Any] = {"time_path": ("time",), "features": features, "payload": "json", **self.keys, **keys}
        if chosen["payload"] == "number":
            chosen |= {"time_path": None, "features": features[:1]}
        return Fleet("tanks", ("plant/{site}/{tank}",), "{site}/{tank}", period_ns=SECOND, **chosen)


def _objects(readings: list[Reading]) -> list[dict[str, float]]:
    return [{"time": at_s, "pressure": p, "temperature": t} for at_s, p, t in readings]


def _influx(readings: list[Reading]) -> bytes:
    lines = [f"tank,site=a\\ b pressure={p!r},temperature={t!r},n=3i {s * SECOND}" for s, p, t in readings]
    return "\n".join(["# a comment", *lines, ""]).encode()


def _csv(readings: list[Reading]) -> bytes:
    return "".join([f"{s};x;{p!r};{t!r}\r\n".replace(".", ",") for s, p, t in readings]).encode()


def senml_pack(readings: list[Reading]) -> list[dict[str, Any]]:
    """Base name and time in the first record of each reading, the rest relative to it."""
    pack: list[dict[str, Any]] = []
    for at_s, pressure, temperature in readings:
        pack.append({"bn": "urn:dev:t7:", "bt": at_s, "n": "pressure", "v": pressure})
        pack.append({"n": "temperature", "u": "Cel", "v": temperature})
    return pack


_LABELS = {"bn": -2, "bt": -3, "n": 0, "u": 1, "v": 2}


def _senml_cbor(readings: list[Reading]) -> bytes:
    return cbor2.dumps([{_LABELS[key]: value for key, value in record.items()} for record in senml_pack(readings)])


def varint(number: int) -> bytes:
    """A number as Protocol Buffers write it."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def sparkplug_metric(name: str, value: float | None, *, at_ms: int = 0, alias: int | None = None) -> bytes:
    """A metric of type Double as bytes of the wire; without a value it is null."""
    body = b"\x0a" + varint(len(name)) + name.encode() if name else b""
    body += b"" if alias is None else b"\x10" + varint(alias)
    body += b"\x18" + varint(at_ms) if at_ms else b""
    body += b"\x20\x0a" + (b"\x38\x01" if value is None else b"\x69" + struct.pack("<d", value))
    return b"\x12" + varint(len(body)) + body


def _sparkplug(readings: list[Reading]) -> bytes:
    metrics = [
        sparkplug_metric(name, value, at_ms=s * 1000)
        for s, p, t in readings
        for name, value in (("pressure", p), ("temperature", t))
    ]
    return b"\x08" + varint(readings[0][0] * 1000) + b"".join(metrics) + b"\x18\x07"


def _named(readings: list[Reading]) -> bytes:
    vals = [
        {"id": name, "ts": s, "val": value}
        for s, p, t in readings
        for name, value in (("temperature", t), ("pressure", p))
    ]
    return json.dumps({"seq": 1, "vals": vals}).encode()


_BY_NAME = {
    "records_path": ("vals",),
    "name_path": ("id",),
    "value_path": ("val",),
    "time_path": ("ts",),
    "features": tuple(Feature(name, path=("@named", name, "val")) for name in ("pressure", "temperature")),
}
_SELECTED = {
    "time_path": ("vals", "0", "ts"),
    "features": tuple(Feature(name, path=("vals", f"?$.id=='{name}'", "val")) for name in ("pressure", "temperature")),
}
_KEYED = {"records_path": ("*",), "subscribe": ("plant/{site}/{tank}",)}

FORMATS = (
    Written("json", lambda r: json.dumps(_objects(r)).encode()),
    Written("ndjson", lambda r: "\n".join(map(json.dumps, _objects(r))).encode(), {"payload": "ndjson"}),
    Written(
        "csv", _csv, {"payload": "csv", "columns": ("time", "", "pressure", "temperature"), "separator": ";"}
    ),
    Written("influx", _influx, {"payload": "influx", "time_unit": "ns"}, ("fields",)),
    Written(
        "senml in JSON", lambda r: json.dumps(senml_pack(r)).encode(), {"payload": "senml", "time_unit": "ns"},
        ("values",),
    ),
    Written("senml in CBOR", _senml_cbor, {"payload": "senml", "time_unit": "ns"}, ("values",)),
    Written("cbor", lambda r: cbor2.dumps(_objects(r)), {"payload": "cbor"}),
    Written("msgpack", lambda r: msgspec.msgpack.encode(_objects(r)), {"payload": "msgpack"}),
    Written(
        "sparkplug", _sparkplug, {"payload": "sparkplug", "time_unit": "ns"}, ("values",), "plant/DDATA/t7"
    ),
    Written("by name", _named, _BY_NAME),
    Written("names as keys", lambda r: json.dumps({"Device A": _objects(r)}).encode(), {"records_path": ("*",)}),
)  # fmt: skip
BY_FILTER = Written("by filter", lambda r: _named(r[:1]), _SELECTED)
NUMBER = Written("number", lambda r: repr(r[0][1]).encode(), {"payload": "number", "time_path": None})


def some_readings(count: int) -> list[Reading]:
    """Readings a second apart, the last just before now."""
    last = NOW_NS // SECOND
    return [(last - count + 1 + i, 2.5 + i / 4, 40.125 - i) for i in range(count)]
