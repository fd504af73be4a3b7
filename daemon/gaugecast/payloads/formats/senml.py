"""SenML (RFC 8428), in JSON or CBOR: base values resolved, and what was measured at one time put together."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from gaugecast.errors import DecodeError
from gaugecast.payloads.formats.binary import parse_cbor
from gaugecast.payloads.formats.text import decode_utf8, parse_json
from gaugecast.payloads.wording import cut, named

#: Section 6: the labels of CBOR.
_LABELS = {
    "-6": "bs", "-5": "bv", "-4": "bu", "-3": "bt", "-2": "bn", "-1": "bver",
    "0": "n", "1": "u", "2": "v", "3": "vs", "4": "vb", "5": "s", "6": "t", "7": "ut", "8": "vd",
}  # fmt: skip
#: Section 4.5.3: smaller times are relative to now.
_RELATIVE_BELOW = 2**28
_WIDEST = 10**11  # seconds


def parse_senml(payload: bytes, received_at_ns: int) -> list[dict[str, Any]]:
    """Readings `{"bn": …, "time": ns, "values": {name: value}, "units": {…}, "sums": {…}}`, one a base name and time.

    Names are those of the records, without the base name. `time` is absent where a record has none, or says "now".

    Raises:
        DecodeError: `malformed`, or what the text is not.
    """
    text = payload.lstrip()[:1] in (b"[", b"{")
    pack = parse_json(payload, decode_utf8(payload)) if text else parse_cbor(payload)
    if not isinstance(pack, list):
        raise DecodeError("malformed", f"expected an array of SenML records, got {named(pack)}")
    readings: dict[tuple[str, int | None], dict[str, Any]] = {}
    base: dict[str, Any] = {}
    for record in pack:
        if not isinstance(record, dict):
            raise DecodeError("malformed", f"expected SenML records, got {named(record)}")
        record = {_LABELS.get(key, key): value for key, value in record.items()}
        _refuse_unknown(record)
        base.update({key: value for key, value in record.items() if key in ("bn", "bt", "bu", "bv", "bs")})
        try:
            _add(readings, record, base, received_at_ns)
        except ArithmeticError as exc:  # base and value are beyond all bounds together
            raise DecodeError("not_finite", "SenML: expected numbers of a size that can be added") from exc
    return list(readings.values())


def _refuse_unknown(record: Mapping[str, Any]) -> None:
    """Section 4.4: a field that ends in `_` must be understood or the pack refused."""
    for key in record:
        if key.endswith("_"):
            raise DecodeError("malformed", cut(f"SenML field {key!r}: the sender wants it understood, and it is not"))


def _add(
    readings: dict[tuple[str, int | None], dict[str, Any]],
    record: Mapping[str, Any],
    base: Mapping[str, Any],
    received_at_ns: int,
) -> None:
    value = _value(record, base)
    has_sum = "s" in record or "bs" in base
    if value is None and not has_sum:
        return
    base_name, name = _text(base.get("bn", "")), _text(record.get("n", ""))
    at_ns = _instant(record, base, received_at_ns)
    reading = readings.get((base_name, at_ns))
    if reading is None:
        reading = readings[base_name, at_ns] = {"bn": base_name, "values": {}, "units": {}, "sums": {}}
        if at_ns is not None:
            reading["time"] = at_ns
    key = name or base_name
    if value is not None:
        reading["values"][key] = value
    if has_sum:
        reading["sums"][key] = _number(record.get("s", 0)) + _number(base.get("bs", 0))
    reading["units"][key] = record.get("u", base.get("bu"))


def _value(record: Mapping[str, Any], base: Mapping[str, Any]) -> Any:
    if "v" in record or ("bv" in base and not record.keys() & {"vs", "vb", "vd"}):
        value = record.get("v", 0)
        return value if "bv" not in base else _number(value) + _number(base["bv"])
    return record.get("vb", record.get("vs"))


def _instant(record: Mapping[str, Any], base: Mapping[str, Any], received_at_ns: int) -> int | None:
    seconds = _number(base.get("bt", 0)) + _number(record.get("t", 0))
    if seconds == 0:
        return None
    if abs(seconds) > _WIDEST:
        raise DecodeError("bad_time", cut(f"SenML: expected seconds since 1970, got {str(seconds)[:40]}"))
    at_ns = round(seconds * 10**9)
    return received_at_ns + at_ns if seconds < _RELATIVE_BELOW else at_ns


def _number(value: Any) -> Decimal:
    if type(value) not in (int, float, Decimal):
        raise DecodeError("malformed", f"SenML: expected a number, got {named(value)}")
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not number.is_finite():
        raise DecodeError("not_finite", cut(f"SenML: expected a finite number, got {str(value)[:40]}"))
    return number


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise DecodeError("malformed", f"SenML: expected a name, got {named(value)}")
    return value
