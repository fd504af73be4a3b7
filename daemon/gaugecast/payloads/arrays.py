"""The quick reader of arrays: a whole array of plain readings in one call, then column by column. Some 2 µs a reading.

Anything odd in one element, and the careful reader takes the whole message: so both give the same inputs, and a bad
element its own reason.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Any

import numpy as np

from gaugecast.fleet import Fleet
from gaugecast.payloads.identity import LAST_SEQUENCE, Route, StreamIds, delivery_hash
from gaugecast.payloads.instants import SCALE_NS, clock_of, latest_ns
from gaugecast.payloads.layout import UNPLAIN, compile_array
from gaugecast.records import FIRST_NS, LAST_NS, Input, Kind, Message

_new_input = tuple.__new__


class ArrayReader:
    """Reads the plain arrays of one fleet, or of one feature of it where the topic names the feature.

    Pure but for its compiled decoders; owned by the `Decoder` that made it.
    """

    __slots__ = (
        "_before", "_bounds", "_clock", "_count", "_decode", "_features", "_fields", "_fleet", "_ids", "_max_bytes",
        "_max_readings", "_names", "_scale_ns",
    )  # fmt: skip

    def __init__(
        self, fleet: Fleet, position: int | None, names: StreamIds, *, max_payload_bytes: int, max_readings: int
    ) -> None:
        """Compile.

        Args:
            position: The one feature that the topic names; `None` = all features.
            names: Remembers ids that payload fields make.
        """
        features = fleet.features if position is None else fleet.features[position : position + 1]
        self._fleet, self._names = fleet, names
        self._max_bytes, self._max_readings = max_payload_bytes, max_readings
        self._before, self._count, self._features = position or 0, len(features), len(fleet.features)
        self._bounds = tuple(
            (place, feature.valid_min, feature.valid_max)
            for place, feature in enumerate(features)
            if not (math.isinf(feature.valid_min) and math.isinf(feature.valid_max))
        )
        self._clock = clock_of(fleet) if fleet.time_path is not None else None
        self._scale_ns = SCALE_NS.get(fleet.time_unit, 0)
        self._ids = len(names.paths)
        self._decode, self._fields = compile_array(fleet, names.paths, features)

    def read(self, message: Message, route: Route, received_at_ns: int) -> list[Input] | None:
        """The inputs that a plain array makes, or `None` where the message takes the careful reader."""
        payload, fleet = message.payload, self._fleet
        if payload[:1] != (b"{" if fleet.records_path else b"["):
            return None
        if len(payload) > self._max_bytes or (message.retain and not fleet.accept_retained):
            return None
        try:
            if not payload.isascii():
                payload.decode()
            readings = self._decode(payload)
            if not 0 < len(readings) <= self._max_readings:
                return None
            columns = list(zip(*map(self._fields, readings), strict=True))
            values = self._packed(columns[-self._count :], len(readings))
            named = self._named(message.topic, route, columns[-self._count - self._ids : -self._count])
            when = self._when(message, received_at_ns, columns[0], len(readings))
        except UNPLAIN:
            return None
        if values is None or when is None:
            return None
        at_ns, keys, deliveries = when
        rows = zip(
            repeat(Kind.READING), repeat(fleet.name), named, at_ns, repeat(received_at_ns), values, keys, deliveries,
            repeat(message.dup), repeat(""), repeat(None), strict=False,
        )  # fmt: skip
        return list(map(_new_input, repeat(Input), rows))

    def _named(self, topic: str, route: Route, columns: Sequence[Sequence[Any]]) -> Iterable[str]:
        if not columns:
            return repeat(route.stream)
        return [self._names.find(topic, route, ids) for ids in zip(*columns, strict=True)]

    def _when(
        self, message: Message, received_at_ns: int, stamps: Sequence[Any], count: int
    ) -> tuple[Iterable[int], Iterable[int], Iterable[int]] | None:
        """Event times, keys and deliveries; `None` where one is out of its range."""
        fleet = self._fleet
        if self._clock is not None:
            at_ns = self._instants(stamps)
            if max(at_ns) > latest_ns(fleet, received_at_ns) or sorted(at_ns) != at_ns:  # the careful reader sorts
                return None
            return at_ns, at_ns, repeat(0)
        if fleet.on_arrival and count > 1:
            return None
        arrival = repeat(received_at_ns)
        if fleet.sequence_path is not None:
            return None if max(map(abs, stamps)) > LAST_SEQUENCE else (arrival, stamps, repeat(0))
        deliveries = [delivery_hash(message, place) for place in range(count)] if message.qos else repeat(0)
        return arrival, repeat(0), deliveries

    def _instants(self, stamps: Sequence[Any]) -> list[int]:
        """Event times, as the fleet's clock reads them; whole numbers all at once."""
        assert self._clock is not None
        if set(map(type, stamps)) == {int}:
            at_ns = [stamp * self._scale_ns for stamp in stamps]
            if min(at_ns) >= max(FIRST_NS, self._fleet.time_floor_ns) and max(at_ns) <= LAST_NS:
                return at_ns
        return list(map(self._clock, stamps))

    def _packed(self, columns: Sequence[Sequence[float | None]], count: int) -> list[bytes] | None:
        """Little-endian float64 of all the fleet's features, a reading each; `None` where one is empty or out of range.

        A null is as good as absent: NumPy makes it NaN.
        """
        given = np.array(columns, "<f8")  # (features, readings)
        if np.isnan(given).all(axis=0).any():
            return None
        for place, low, high in self._bounds:
            if ((given[place] < low) | (given[place] > high)).any():
                return None
        whole = np.full((count, self._features), math.nan, "<f8")
        whole[:, self._before : self._before + self._count] = given.T
        packed, width = whole.tobytes(), 8 * self._features
        return [packed[at : at + width] for at in range(0, len(packed), width)]
