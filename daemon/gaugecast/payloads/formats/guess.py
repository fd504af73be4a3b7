"""What a payload looks like that is not what it should be: a hint for people, made only when one is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from gaugecast.errors import DecodeError
from gaugecast.payloads.formats.binary import parse_cbor, parse_msgpack
from gaugecast.payloads.formats.influx import parse_influx
from gaugecast.payloads.formats.senml import parse_senml
from gaugecast.payloads.formats.text import parse_json, parse_ndjson
from gaugecast.payloads.values import bare, number_of

#: More is not looked at.
_MOST_BYTES = 16_384

NAMES = {
    "json": "JSON",
    "ndjson": "JSON a line",
    "number": "a bare number",
    "csv": "CSV",
    "influx": "InfluxDB line protocol",
    "senml": "SenML",
    "cbor": "CBOR",
    "msgpack": "MessagePack",
    "sparkplug": "Sparkplug B",
}

_CSV = re.compile(r"(?:[^,;\t\n]*[,;\t])+[^,;\t\n]*")


def hint(configured: str, payload: bytes) -> str:
    """What to add to a complaint: `; this looks like CBOR: set payload = "cbor"`; empty where nothing is recognised."""
    found = guess_format(payload)
    if not found or found == configured:
        return ""
    return f'; this looks like {NAMES[found]}: set payload = "{found}"'


def guess_format(payload: bytes) -> str:
    """The format that a payload is most likely written in, as `payload` takes it; empty = none that is known."""
    if not payload or len(payload) > _MOST_BYTES:
        return ""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return _guess_binary(payload)
    return _guess_text(payload, text) or ("" if 0x20 <= payload[0] < 0x80 else _guess_binary(payload))


def _guess_text(payload: bytes, text: str) -> str:
    if number_of(bare(text)) is not None:
        return "number"
    if text.lstrip()[:1] in ("{", "["):
        root = _try(lambda: parse_json(payload, text))
        if isinstance(root, (dict, list)):
            return "senml" if _is_senml(payload, root) else "json"
        return "ndjson" if "\n" in text and _try(lambda: parse_ndjson(text)) else ""
    if "=" in text and " " in text and _try(lambda: parse_influx(text)):
        return "influx"
    first = text.strip().split("\n", 1)[0].strip()
    if _CSV.fullmatch(first) and sum(number_of(bare(cell)) is not None for cell in re.split(r"[,;\t]", first)) >= 2:
        return "csv"
    return ""


def _guess_binary(payload: bytes) -> str:
    if _is_sparkplug(payload):
        return "sparkplug"
    for name, parse in (("msgpack", parse_msgpack), ("cbor", parse_cbor)):
        root = _try(lambda parse=parse: parse(payload))  # type: ignore[misc]
        if isinstance(root, (dict, list)) and root:
            return "senml" if name == "cbor" and _is_senml(payload, root) else name
    return ""


def _is_senml(payload: bytes, root: Any) -> bool:
    if not isinstance(root, list) or not root or not all(isinstance(each, dict) for each in root):
        return False
    keys = set().union(*root)
    return bool(keys & {"n", "bn", "0", "-2"} and keys & {"v", "vs", "vb", "s", "2", "3", "4", "5"}) and bool(
        _try(lambda: parse_senml(payload, 0))
    )


def _is_sparkplug(payload: bytes) -> bool:
    """A time stamp of this century in milliseconds as field 1, then metrics as field 2."""
    if payload[:1] != b"\x08" or len(payload) < 9 or payload[7:8] != b"\x12":
        return False
    stamp = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(payload[1:7]))
    return 946_684_800_000 < stamp < 4_417_977_600_000


def _try(parse: Callable[[], Any]) -> Any:
    try:
        return parse()
    except DecodeError:
        return None
