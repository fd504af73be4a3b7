"""The quick reader: one JSON object with what is needed in its place, or one number. About 2 µs a message.

A payload's fields are decoded straight into a msgspec Struct made for the fleet; all other fields are skipped
unread.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

from gaugecast.fleet import Fleet
from gaugecast.payloads.identity import LAST_SEQUENCE, Route, StreamIds, delivery_hash
from gaugecast.payloads.instants import clock_of, latest_ns
from gaugecast.payloads.layout import UNPLAIN, compile_object
from gaugecast.records import Input, Kind, Message

_NAN = math.nan
_new_input = tuple.__new__


class PlainReader:
    """Reads the plain payloads of one fleet, or of one feature of it where the topic names the feature.

    Pure but for its compiled decoders; owned by the `Decoder` that made it.
    """

    __slots__ = (
        "_bounds", "_clock", "_decode", "_empty", "_fields", "_fleet", "_ids", "_max_bytes", "_names", "_pack",
        "_prefix", "_stamped", "_suffix",
    )  # fmt: skip

    def __init__(self, fleet: Fleet, position: int | None, names: StreamIds, *, max_payload_bytes: int) -> None:
        """Compile.

        Args:
            names: Remembers ids that payload fields make.
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
        self._names = names
        self._ids = len(names.paths)
        self._decode, self._fields = compile_object(fleet, names.paths, features)

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
                delivery = delivery_hash(message)
            if self._ids:
                stream = self._names.find(message.topic, route, fields[: self._ids])
                fields = fields[self._ids :]
            packed = self._packed(fields)
        except UNPLAIN:
            return None
        if packed is None:
            return None
        row = (Kind.READING, fleet.name, stream, at_ns, received_at_ns, packed, key, delivery, message.dup, "", None)
        return _new_input(Input, row)

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
