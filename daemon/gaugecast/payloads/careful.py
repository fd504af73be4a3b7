"""The careful reader: any bytes, each reading in them taken or refused with its reason."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NamedTuple

import msgspec

from gaugecast.errors import DecodeError
from gaugecast.fleet import Feature, Fleet
from gaugecast.payloads.identity import LAST_SEQUENCE, Route, delivery_hash, nth_delivery, stream_id
from gaugecast.payloads.instants import clock_of, latest_ns
from gaugecast.records import Input, Message, Refused
from gaugecast.topics import FieldPath, Template, path_text

HEAD_BYTES = 256
MOST_DETAIL = 200

_NAN = math.nan
_ABSENT: Final = object()


def _decimal(text: str) -> Decimal:
    """A JSON number exactly; beyond the exponents that `Decimal` can hold, infinity or zero."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal(0) if "e-" in text.lower() else Decimal("-Infinity" if text.startswith("-") else "Infinity")


_JSON = msgspec.json.Decoder(float_hook=_decimal)
_DEEP = "nested too deep"


class Taken(NamedTuple):
    """What one reading became: exactly one input, and what the quarantine keeps of it."""

    input: Input
    refused: tuple[Refused, ...] = ()


class CarefulReader:
    """Reads every payload of one fleet, or of one feature of it where the topic names the feature."""

    __slots__ = ("_clock", "_features", "_fleet", "_hashed", "_max_bytes", "_max_readings", "_stream")

    def __init__(self, fleet: Fleet, position: int | None, max_payload_bytes: int, max_readings: int) -> None:
        self._fleet = fleet
        self._features = list(enumerate(fleet.features))
        if position is not None:
            self._features = self._features[position : position + 1]
        self._max_bytes = max_payload_bytes
        self._max_readings = max_readings
        self._clock = clock_of(fleet) if fleet.time_path is not None else None
        self._stream = Template.parse(fleet.stream)
        self._hashed: tuple[Message | None, int] = (None, 0)  # what is being read, and the name of its delivery

    def read(self, message: Message, route: Route, received_at_ns: int) -> Iterator[Taken]:
        """Each reading of a message, in order; one reject where the message cannot be split."""
        try:
            if route.fault is not None:
                raise route.fault
            root = self._parse(message)
            readings = self._split(root)
        except DecodeError as exc:
            yield refuse(message, self._fleet.name, route.stream, received_at_ns, exc)
            return
        for place, reading in enumerate(readings):
            yield self._take(message, route, received_at_ns, root, reading, place)
        self._hashed = (None, 0)

    def _parse(self, message: Message) -> Any:
        fleet, payload = self._fleet, message.payload
        if message.retain and not fleet.accept_retained:
            raise DecodeError("retained", "the broker kept it from earlier; accept_retained = true takes such messages")
        if len(payload) > self._max_bytes:
            raise DecodeError("too_large", f"expected at most {self._max_bytes} bytes, got {len(payload)}")
        try:
            text = payload.decode()
        except UnicodeDecodeError as exc:
            raise DecodeError("not_utf8", f"expected UTF-8, got the byte {payload[exc.start]:#04x}") from exc
        return parse_number(text) if fleet.payload == "number" else parse_json(payload, text)

    def _split(self, root: Any) -> Sequence[Any]:
        """The readings of a payload: the elements of an array, else the thing itself."""
        path = self._fleet.records_path
        found = find(root, path)
        if found is _ABSENT:
            raise DecodeError("missing_field", f"expected readings at {path_text(path)}")
        if not isinstance(found, list):
            return (found,)
        if not found:
            raise DecodeError("no_features", "expected readings, got an empty array")
        if len(found) > self._max_readings:
            raise DecodeError("too_many_readings", f"expected at most {self._max_readings}, got {len(found)}")
        return found

    def _take(self, message: Message, route: Route, received_at_ns: int, root: Any, reading: Any, place: int) -> Taken:
        fleet, stream = self._fleet, route.stream
        try:
            if fleet.payload == "json" and not isinstance(reading, dict):
                raise DecodeError("wrong_type", f"expected a JSON object, got {_named(reading)}")
            if self._stream.paths:
                stream = self._stream_of(route, root, reading)
            at_ns, key, delivery = self._when(message, received_at_ns, root, reading, place)
            values, faults = self._values(root, reading)
        except DecodeError as exc:
            return refuse(message, fleet.name, stream, received_at_ns, exc)
        refused = tuple(_refused(message, fleet.name, stream, received_at_ns, fault) for fault in faults)
        one = Input.reading(
            fleet.name, stream, at_ns, received_at_ns, values, key=key, delivery=delivery, dup=message.dup
        )
        return Taken(one, refused)

    def _stream_of(self, route: Route, root: Any, reading: Any) -> str:
        ids: list[str | int] = []
        for path in self._stream.paths:
            value = self._find(root, reading, path)
            if value is _ABSENT or value is None:
                raise DecodeError("missing_field", f"expected the stream's name at {path_text(path)}")
            if type(value) not in (str, int):
                raise DecodeError(
                    "wrong_type", f"{path_text(path)}: expected a text or whole number, got {_named(value)}"
                )
            ids.append(value)
        return stream_id(self._fleet, self._stream, captures=route.captures, fields=ids)

    def _when(self, message: Message, received_at_ns: int, root: Any, reading: Any, place: int) -> tuple[int, int, int]:
        """Event time, key and delivery."""
        fleet = self._fleet
        if fleet.time_path is not None and self._clock is not None:
            at_ns = self._instant(self._stamp(root, reading, fleet.time_path))
            latest = latest_ns(fleet, received_at_ns)
            if at_ns > latest:
                raise DecodeError("far_future", f"{(at_ns - received_at_ns) / 1e9:.3g} s ahead; is time_unit right?")
            return at_ns, at_ns, 0
        if fleet.sequence_path is not None:
            sequence = self._stamp(root, reading, fleet.sequence_path)
            if type(sequence) is not int or abs(sequence) > LAST_SEQUENCE:
                raise DecodeError("wrong_type", f"sequence: expected a whole number of 64 bits, got {_named(sequence)}")
            return received_at_ns, sequence, 0
        return received_at_ns, 0, self._delivery(message, place) if message.qos else 0

    def _delivery(self, message: Message, place: int) -> int:
        """Hashed once a message: an array may be a megabyte."""
        if self._hashed[0] is not message:
            self._hashed = message, delivery_hash(message)
        return nth_delivery(self._hashed[1], place)

    def _stamp(self, root: Any, reading: Any, path: FieldPath) -> Any:
        stamp = self._find(root, reading, path)
        if stamp is _ABSENT or stamp is None:
            raise DecodeError("missing_field", f"expected {path_text(path)}")
        return stamp

    def _instant(self, stamp: Any) -> int:
        assert self._clock is not None
        try:
            if self._fleet.time_unit == "iso8601":
                if type(stamp) is not str:
                    raise DecodeError("wrong_type", f"time: expected ISO 8601 text, got {_named(stamp)}")
                return self._clock(stamp)
            if type(stamp) is str:
                stamp = Decimal(stamp)
            elif type(stamp) not in (int, Decimal):
                raise DecodeError("wrong_type", f"time: expected a number, got {_named(stamp)}")
            return self._clock(stamp)
        except (ValueError, ArithmeticError) as exc:
            raise DecodeError("bad_time", _cut(f"expected a time in {self._fleet.time_unit}: {exc}")) from exc

    def _values(self, root: Any, reading: Any) -> tuple[bytes, list[DecodeError]]:
        """All the fleet's features as little-endian float64, and why some that are there were not taken."""
        values = [_NAN] * len(self._fleet.features)
        faults: list[DecodeError] = []
        for position, feature in self._features:
            value = self._find(root, reading, feature.path)
            if value is _ABSENT or value is None:
                continue
            try:
                values[position] = measured(feature, value)
            except DecodeError as exc:
                faults.append(exc)
        if all(math.isnan(value) for value in values):
            if faults:
                raise DecodeError(faults[0].reason, "; ".join(fault.detail for fault in faults))
            wanted = ", ".join(path_text(feature.path) for _, feature in self._features[:8])
            raise DecodeError("no_features", f"expected one of {wanted}")
        return struct.pack(f"<{len(values)}d", *values), faults

    def _find(self, root: Any, reading: Any, path: FieldPath) -> Any:
        """A field of the reading, or of the envelope around the readings (`{"device": …, "readings": […]}`)."""
        if self._fleet.payload == "number":
            return reading
        found = find(reading, path)
        return find(root, path) if found is _ABSENT and self._fleet.records_path else found


def measured(feature: Feature, value: Any) -> float:
    """A feature's value.

    Raises:
        DecodeError: `wrong_type`, `not_finite` or `out_of_range`.
    """
    if type(value) not in (int, float, Decimal):
        raise DecodeError("wrong_type", f"{feature.name}: expected a number, got {_named(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise DecodeError("not_finite", f"{feature.name}: expected a finite number, got {_cut(str(value)[:40])}")
    if not feature.valid_min <= number <= feature.valid_max:
        raise DecodeError(
            "out_of_range", f"{feature.name}: expected {feature.valid_min:g} to {feature.valid_max:g}, got {number:g}"
        )
    return number


def find(value: Any, path: FieldPath) -> Any:
    """What lies at `path`, or `_ABSENT`."""
    for key in path:
        if isinstance(value, dict):
            value = value.get(key, _ABSENT)
        elif isinstance(value, list) and key.isdecimal() and len(key) < 10 and int(key) < len(value):
            value = value[int(key)]
        else:
            return _ABSENT
    return value


def parse_json(payload: bytes, text: str) -> Any:
    """JSON with decimals as `Decimal`; `NaN` and `Infinity`, which JSON has not, as floats for a reason each.

    Raises:
        DecodeError: `not_json`.
    """
    try:
        return _JSON.decode(payload)
    except RecursionError as exc:
        raise DecodeError("not_json", _DEEP) from exc
    except (msgspec.MsgspecError, ValueError, ArithmeticError) as exc:
        if "NaN" not in text and "Infinity" not in text:
            raise DecodeError("not_json", _cut(str(exc))) from exc
    try:
        return json.loads(text, parse_float=_decimal, parse_constant=float)
    except (ValueError, ArithmeticError) as exc:
        raise DecodeError("not_json", _cut(str(exc))) from exc
    except RecursionError as exc:
        raise DecodeError("not_json", _DEEP) from exc


def parse_number(text: str) -> float:
    """A bare decimal number, with blanks around it.

    Raises:
        DecodeError: `not_a_number`.
    """
    bare = text.strip()
    try:
        if "_" in bare or not bare.isascii():
            raise ValueError
        return float(bare)
    except ValueError as exc:
        raise DecodeError("not_a_number", f"expected a decimal such as 21.5, got {text[:32]!r}") from exc


def refuse(message: Message, fleet: str, stream: str, received_at_ns: int, fault: DecodeError) -> Taken:
    """The reject that a message or reading becomes, and its row for the quarantine."""
    reject = Input.reject(fault.reason, received_at_ns, fleet=fleet, stream=stream, dup=message.dup)
    return Taken(reject, (_refused(message, fleet, stream, received_at_ns, fault),))


def _refused(message: Message, fleet: str, stream: str, received_at_ns: int, fault: DecodeError) -> Refused:
    topic = message.topic.encode(errors="backslashreplace").decode()
    detail = _cut(fault.detail.encode(errors="backslashreplace").decode())
    return Refused(received_at_ns, fleet, stream, topic, fault.reason, detail, message.payload[:HEAD_BYTES])


def _cut(text: str) -> str:
    return text if len(text) <= MOST_DETAIL else text[: MOST_DETAIL - 1] + "…"


def _named(value: Any) -> str:
    """What came, in JSON's words."""
    if value is None or isinstance(value, bool):
        return str(json.dumps(value))
    if isinstance(value, str):
        return f"the text {value[:32]!r}"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array"
    return str(value)[:40] if isinstance(value, (float, Decimal)) else "a number"
