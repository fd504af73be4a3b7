"""Formats behind one contract: from a payload's bytes to plain values, whatever they were written in.

A format gives what JSON would: dicts with texts as keys, lists, texts, numbers (`int`, `float`, `Decimal`), booleans
and `None`; bytes where the payload has bytes. It raises `DecodeError` and nothing else, holds no more than the payload
is long, and knows nothing of fleets. Where streams, times and values lie is said by paths, the same for all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gaugecast.errors import DecodeError
from gaugecast.fleet import Fleet
from gaugecast.payloads.formats.binary import parse_cbor, parse_msgpack
from gaugecast.payloads.formats.guess import hint
from gaugecast.payloads.formats.influx import parse_influx
from gaugecast.payloads.formats.senml import parse_senml
from gaugecast.payloads.formats.sparkplug import Sparkplug
from gaugecast.payloads.formats.text import CsvFormat, decode_utf8, parse_json, parse_ndjson

#: Reads one payload. Arguments: topic, payload, time of arrival (ns); raises DecodeError.
Parse = Callable[[str, bytes, int], Any]
#: Told topic and body of what a device is to be asked.
Ask = Callable[[str, bytes], None]


def parser_of(fleet: Fleet, ask: Ask = lambda _topic, _body: None) -> Parse:
    """What reads the payloads of a fleet; a payload of another format is named as such in the complaint."""
    parse = _parser_of(fleet, ask)

    def read(topic: str, payload: bytes, received_at_ns: int) -> Any:
        try:
            return parse(topic, payload, received_at_ns)
        except DecodeError as exc:
            raise DecodeError(exc.reason, exc.detail + hint(fleet.payload, payload)) from exc

    return read


def _parser_of(fleet: Fleet, ask: Ask) -> Parse:
    match fleet.payload:
        case "json":
            return lambda _, payload, __: parse_json(payload, decode_utf8(payload))
        case "ndjson":
            return lambda _, payload, __: parse_ndjson(decode_utf8(payload))
        case "number":
            return lambda _, payload, __: decode_utf8(payload)
        case "csv":
            csv_format = CsvFormat(fleet.columns, fleet.separator)
            return lambda _, payload, __: csv_format.parse(decode_utf8(payload))
        case "influx":
            return lambda _, payload, __: parse_influx(decode_utf8(payload))
        case "senml":
            return lambda _, payload, received_at_ns: parse_senml(payload, received_at_ns)
        case "cbor":
            return lambda _, payload, __: parse_cbor(payload)
        case "msgpack":
            return lambda _, payload, __: parse_msgpack(payload)
        case "sparkplug":
            return Sparkplug(ask if fleet.rebirth else None).parse
