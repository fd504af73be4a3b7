"""The quick reader: one JSON object with what is needed in its place, or one number. About 2 µs a message.

A payload's fields are decoded straight into a msgspec Struct made for the fleet; all other fields are skipped
unread.
"""

from __future__ import annotations

import math
import operator
import re
import struct
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from gaugecast.errors import DecodeError
from gaugecast.fleet import Feature, Fleet
from gaugecast.payloads.identity import LAST_SEQUENCE, Route, delivery_hash, stream_id
from gaugecast.payloads.instants import clock_of, latest_ns
from gaugecast.records import Input, Kind, Message
from gaugecast.topics import FieldPath, Template

#: Raised inside by whatever is not plain. MsgspecError: not JSON, a wrong type, a number out of range.
#: AttributeError: an object on the path is absent. ArithmeticError: of Decimal. ValueError: no instant, no UTF-8.
UNPLAIN = (msgspec.MsgspecError, AttributeError, ArithmeticError, ValueError, TypeError, RecursionError, DecodeError)

MOST_KNOWN = 131_072  # ids from payload fields that are remembered, some 30 MB

_DIGITS = re.compile(r"\d+")
_NAN = math.nan
_new_input = tuple.__new__


class PlainReader:
    """Reads the plain payloads of one fleet, or of one feature of it where the topic names the feature.

    Pure but for its compiled decoders; owned by the `Decoder` that made it.
    """

    __slots__ = (
        "_bounds", "_clock", "_decode", "_empty", "_fields", "_fleet", "_ids", "_known", "_max_bytes", "_pack",
        "_prefix", "_stamped", "_stream", "_suffix",
    )  # fmt: skip

    def __init__(self, fleet: Fleet, position: int | None, max_payload_bytes: int) -> None:
        """Compile.

        Args:
            position: The one feature that the topic names; `None` = all features.
        """
        features = fleet.features if position is None else fleet.features[position : position + 1]
        before = 0 if position is None else position
        after = len(fleet.features) - before - len(features)
        self._fleet = fleet
        self._max_bytes = max_payload_bytes
        self._prefix = struct.pack(f"<{before}d", *[_NAN] * before)
        self._suffix = struct.pack(f"<{after}d", *[_NAN] * after)
        self._pack = struct.Struct(f"<{len(features)}d").pack
        self._empty = self._pack(*[_NAN] * len(features))
        self._bounds = tuple(
            (place, feature.valid_min, feature.valid_max)
            for place, feature in enumerate(features)
            if not (math.isinf(feature.valid_min) and math.isinf(feature.valid_max))
        )
        self._clock = clock_of(fleet) if fleet.time_path is not None else None
        self._stamped = fleet.time_path is not None or fleet.sequence_path is not None
        self._stream = Template.parse(fleet.stream)
        self._ids = len(self._stream.paths)
        self._known: dict[tuple[str, tuple[str | int, ...]], str] = {}
        self._decode, self._fields = _compile(fleet, self._stream.paths, features)

    def read(self, message: Message, route: Route, received_at_ns: int) -> Input | None:
        """The input that a plain message makes, or `None` where it takes the careful reader."""
        payload = message.payload
        fleet = self._fleet
        if len(payload) > self._max_bytes or (message.retain and not fleet.accept_retained):
            return None
        stream = route.stream
        at_ns = received_at_ns
        key = delivery = 0
        try:
            if not payload.isascii():
                payload.decode()
            fields = self._fields(self._decode(payload))
            if self._stamped:
                key = fields[0]
                if self._clock is not None:
                    key = at_ns = self._clock(key)
                    if at_ns > latest_ns(fleet, received_at_ns):
                        return None
                elif abs(key) > LAST_SEQUENCE:
                    return None
                fields = fields[1:]
            elif message.qos:
                delivery = delivery_hash(message, 0)
            if self._ids:
                stream = self._named(message.topic, route, fields[: self._ids])
                fields = fields[self._ids :]
            packed = self._packed(fields)
        except UNPLAIN:
            return None
        if packed is None:
            return None
        row = (Kind.READING, fleet.name, stream, at_ns, received_at_ns, packed, key, delivery, message.dup, "", None)
        return _new_input(Input, row)

    def _named(self, topic: str, route: Route, ids: tuple[str | int, ...]) -> str:
        """The stream's id from payload fields, remembered: making it costs as much as all the rest."""
        stream = self._known.get((topic, ids))
        if stream is None:
            stream = stream_id(self._fleet, self._stream, captures=route.captures, fields=ids)
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[topic, ids] = stream
        return stream

    def _packed(self, values: Sequence[float | None]) -> bytes | None:
        """Little-endian float64 of all the fleet's features; `None` where nothing is left, or out of range."""
        try:
            packed = self._pack(*values)
        except struct.error:  # a null: as good as absent
            values = [_NAN if value is None else value for value in values]
            packed = self._pack(*values)
        if packed == self._empty:
            return None
        for place, low, high in self._bounds:
            if values[place] < low or values[place] > high:  # type: ignore[operator]  # no None is left
                return None
        return self._prefix + packed + self._suffix


def _compile(
    fleet: Fleet, ids: Sequence[FieldPath], features: Sequence[Feature]
) -> tuple[Callable[[bytes], Any], Callable[[Any], tuple[Any, ...]]]:
    """A decoder of payloads, and what takes the fields out of its result: time or sequence, ids, values."""
    if fleet.payload == "number":
        return msgspec.json.Decoder(float).decode, _alone
    leaves: list[tuple[FieldPath, Any, Any]] = []
    if fleet.time_path is not None:
        leaves.append((fleet.time_path, str if fleet.time_unit == "iso8601" else int | Decimal, None))
    elif fleet.sequence_path is not None:
        leaves.append((fleet.sequence_path, int, None))
    leaves += [(path, str | int, "") for path in ids]  # an absent one is no id, which `stream_id` refuses
    leaves += [(feature.path, float | None, _NAN) for feature in features]
    try:
        return _compile_struct(fleet.records_path, leaves)
    except ValueError:  # paths that a Struct cannot say: the careful reader takes all messages
        return _never_plain, _alone


def _compile_struct(
    records: FieldPath, leaves: Sequence[tuple[FieldPath, Any, Any]]
) -> tuple[Callable[[bytes], Any], Callable[[Any], tuple[Any, ...]]]:
    tree: dict[str, Any] = {}
    names: list[str] = []
    if records:
        raise ValueError("records in an envelope")
    for path, kind, default in leaves:
        if not path or any(_DIGITS.fullmatch(key) for key in path):
            raise ValueError("the payload itself, or places in arrays")
        node = tree
        for key in path[:-1]:
            node = node.setdefault(key, {})
            if not isinstance(node, dict):
                raise ValueError("a field within a field")
        if path[-1] in node:
            raise ValueError("one field for two things")
        node[path[-1]] = (kind, default)
    for path, _, _ in leaves:
        node, place = tree, []
        for key in path:
            place.append(f"f{list(node).index(key)}")
            node = node[key]
        names.append(".".join(place))
    getter = operator.attrgetter(*names)
    fields = getter if len(names) > 1 else lambda reading: (getter(reading),)
    return msgspec.json.Decoder(_struct_of(tree)).decode, fields


def _struct_of(tree: dict[str, Any]) -> type[msgspec.Struct]:
    fields: list[tuple[str, Any, Any]] = []
    for place, (key, node) in enumerate(tree.items()):
        kind, default = (_struct_of(node) | None, None) if isinstance(node, dict) else node
        fields.append((f"f{place}", kind, msgspec.field(name=key, default=default)))
    return msgspec.defstruct("Payload", fields, gc=False)


def _alone(value: Any) -> tuple[Any, ...]:
    return (value,)


def _never_plain(payload: bytes) -> Any:
    raise ValueError(payload[:0])
