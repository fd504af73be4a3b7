"""The quick reader: JSON objects, arrays of them, or numbers, with what is needed in its place. 1 to 2 µs a reading.

A payload's fields are decoded straight into a msgspec Struct made for the fleet; all other fields are skipped unread.
What the payloads of a batch said is then judged column by column. Anything odd in one reading, and the careful reader
takes its whole message: so both give the same inputs, and a bad reading its own reason.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np

from gaugecast.batch import Inputs
from gaugecast.fleet import Fleet
from gaugecast.payloads.identity import LAST_SEQUENCE, Route, StreamIds, delivery_hash, nth_delivery
from gaugecast.payloads.instants import SCALE_NS, clock_of, column_ns, latest_ns
from gaugecast.payloads.layout import UNPLAIN, compile_array, compile_object, decode_stamp
from gaugecast.records import FIRST_NS, Bool, Float64, Kind, Message

#: The fields of one reading: time or sequence (if the fleet has one), what names the stream, values.
Fields = tuple[Any, ...]
#: A message that looks plain: its place in the batch, itself, what its topic says, and the readings in it.
Found = tuple[int, Message, Route, Sequence[Fields]]

#: So many readings are judged one by one: NumPy takes 50 µs before the first.
_FEW = 32
#: So many event times are read one by one.
_ALONE = 4
_NONE: Float64 = np.empty((0, 0))


class Plain(NamedTuple):
    """What plain messages became.

    Attributes:
        inputs: In the order of messages and of readings in them.
        places: Of each input the place of its message.
        odd: Those messages that are not plain after all.
    """

    inputs: Inputs
    places: list[int]
    odd: list[Found]


class PlainReader:
    """Reads the plain payloads of one fleet, or of one feature of it where the topic names the feature.

    Pure but for its compiled decoders; owned by the `Decoder` that made it.
    """

    __slots__ = (
        "_before", "_bounds", "_clock", "_count", "_first_ns", "_fleet", "_ids", "_left", "_list", "_list_begins",
        "_max_bytes", "_max_readings", "_names", "_one", "_pack", "_right", "_scale_ns", "_stamped",
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
        self._fleet, self._names, self._ids = fleet, names, len(names.paths)
        # Untimed readings of an array get their times from the careful reader.
        self._max_bytes, self._max_readings = max_payload_bytes, 1 if fleet.on_arrival else max_readings
        self._first_ns = max(FIRST_NS, fleet.time_floor_ns)
        self._before, self._count = position or 0, len(features)
        self._left, self._right = (
            [math.nan] * self._before,
            [math.nan] * (len(fleet.features) - self._before - self._count),
        )
        self._pack = struct.Struct(f"<{len(fleet.features)}d").pack
        self._bounds = tuple(
            (place, feature.valid_min, feature.valid_max)
            for place, feature in enumerate(features)
            if not (math.isinf(feature.valid_min) and math.isinf(feature.valid_max))
        )
        self._clock = clock_of(fleet) if fleet.time_path is not None else None
        self._scale_ns = SCALE_NS.get(fleet.time_unit, 0)
        self._stamped = fleet.time_path is not None or fleet.sequence_path is not None
        self._one, self._list = (
            compile_object(fleet, names.paths, features),
            compile_array(fleet, names.paths, features),
        )
        self._list_begins = b"{" if fleet.records_path else b"["

    def look(self, message: Message) -> Sequence[Fields] | None:
        """The readings of a message; `None` where it is not plain, and takes the careful reader."""
        payload = message.payload
        if len(payload) > self._max_bytes or (message.retain and not self._fleet.accept_retained):
            return None
        try:
            if not payload.isascii():
                payload.decode()
            if payload[:1] == self._list_begins:
                decode, fields = self._list
                readings = decode(payload)
                return list(map(fields, readings)) if 0 < len(readings) <= self._max_readings else None
            decode, fields = self._one
            return (fields(decode(payload)),)
        except UNPLAIN:
            return None

    def read(self, found: Sequence[Found], received_at_ns: int) -> Plain:
        """The inputs that messages make whose readings were looked at; at least one message."""
        columns = list(zip(*(fields for _, _, _, readings in found for fields in readings), strict=True))
        owners = found if len(found) == len(columns[0]) else [one for one in found for _ in one[3]]
        count = len(owners)
        few = count <= _FEW
        rows: list[tuple[float | None, ...]] = list(zip(*columns[-self._count :], strict=True)) if few else []
        values = _NONE if few else np.array(columns[-self._count :], "<f8")  # (features, readings); a null is NaN
        streams = self._named(owners, columns[len(columns) - self._count - self._ids : -self._count])
        keys = self._keys(columns[0], received_at_ns)
        strange = self._odd_few(rows, streams, keys) if rows else self._odd_rows(values, streams, keys)
        odd = {owners[i][0] for i in strange}
        if self._clock is not None and owners is not found:
            odd |= _not_rising(found, keys)
        if odd:
            kept = [one for one in found if one[0] not in odd]
            others = [one for one in found if one[0] in odd]
            return Plain(Inputs(), [], others) if not kept else self.read(kept, received_at_ns)._replace(odd=others)
        inputs = Inputs(
            [Kind.READING] * count,
            [self._fleet.name] * count,
            streams,
            list(keys) if self._clock is not None else [received_at_ns] * count,
            [received_at_ns] * count,
            list(map(self._packed_row, rows)) if rows else self._packed(values),
            list(keys),
            self._deliveries(found, count),
            [message.dup or message.retain for _, message, _, _ in owners],
            [""] * count,
            [None] * count,
        )
        return Plain(inputs, [place for place, _, _, _ in owners], [])

    def _named(self, owners: Sequence[Found], columns: Sequence[Sequence[Any]]) -> list[str | None]:
        """Each reading's stream, `None` where its fields make no id."""
        if not columns:
            return [route.stream for _, _, route, _ in owners]
        ids = zip(*columns, strict=True)
        return [
            self._name(message.topic, route, each) for (_, message, route, _), each in zip(owners, ids, strict=True)
        ]

    def _name(self, topic: str, route: Route, ids: tuple[Any, ...]) -> str | None:
        try:
            return self._names.find(topic, route, ids)
        except UNPLAIN:
            return None

    def _keys(self, stamps: Sequence[Any], received_at_ns: int) -> Sequence[int | None]:
        """Event times or sequence numbers, 0 in a fleet without; `None` where a reading has none that counts."""
        if self._clock is not None:
            return self._instants(stamps, received_at_ns)
        if not self._stamped:
            return [0] * len(stamps)
        return [stamp if type(stamp) is int and abs(stamp) <= LAST_SEQUENCE else None for stamp in stamps]

    def _instants(self, stamps: Sequence[Any], received_at_ns: int) -> Sequence[int | None]:
        """Event times, as the fleet's clock reads them; plain numbers all at once."""
        latest = latest_ns(self._fleet, received_at_ns)
        at_ns = column_ns(stamps, self._scale_ns) if self._scale_ns and len(stamps) > _ALONE else None
        if at_ns is not None and min(at_ns) >= self._first_ns and max(at_ns) <= latest:
            return at_ns
        return [self._instant(stamp, received_at_ns, latest) for stamp in stamps]

    def _instant(self, stamp: Any, received_at_ns: int, latest: int) -> int | None:
        assert self._clock is not None
        try:
            at_ns = self._clock(decode_stamp(stamp) if self._scale_ns else stamp, received_at_ns)
        except UNPLAIN:
            return None
        return at_ns if at_ns <= latest else None

    def _odd_few(
        self, rows: Sequence[tuple[float | None, ...]], streams: Sequence[str | None], keys: Sequence[int | None]
    ) -> Iterable[int]:
        """As `_odd_rows`: of few readings, for which NumPy takes longer than all else together."""
        for i, row in enumerate(rows):
            absent = all(value is None or value != value for value in row)
            if (
                absent
                or streams[i] is None
                or keys[i] is None
                or (self._bounds and any(not low <= value <= high for value, low, high in self._bounded(row)))
            ):
                yield i

    def _bounded(self, row: tuple[float | None, ...]) -> Iterator[tuple[float, float, float]]:
        """The values that have bounds, with them."""
        for place, low, high in self._bounds:
            value = row[place]
            if value is not None and value == value:
                yield value, low, high

    def _packed_row(self, row: tuple[float | None, ...]) -> bytes:
        """As `_packed`, of one reading."""
        own = [math.nan if value is None else value for value in row]
        return self._pack(*self._left, *own, *self._right)

    def _odd_rows(self, values: Float64, streams: Sequence[str | None], keys: Sequence[int | None]) -> Iterable[int]:
        """Readings with a value out of range, or without any value, stream or key."""
        odd: Bool = np.asarray(np.isnan(values).all(axis=0))
        for place, low, high in self._bounds:
            odd |= (values[place] < low) | (values[place] > high)
        for column in (streams, keys):
            if None in column:
                odd |= np.array([each is None for each in column])
        return np.flatnonzero(odd).tolist()

    def _packed(self, values: Float64) -> list[bytes]:
        """Little-endian float64 of all the fleet's features, a reading each."""
        width = len(self._fleet.features)
        whole = np.full((values.shape[1], width), math.nan, "<f8")
        whole[:, self._before : self._before + self._count] = values.T
        packed = whole.tobytes()
        return [packed[at : at + 8 * width] for at in range(0, len(packed), 8 * width)]

    def _deliveries(self, found: Sequence[Found], count: int) -> list[int]:
        if self._stamped:
            return [0] * count
        made: list[int] = []
        for _, message, _, readings in found:
            if message.qos or message.retain:
                made += map(nth_delivery, repeat(delivery_hash(message)), range(len(readings)))
            else:
                made += [0] * len(readings)
        return made


def _not_rising(found: Sequence[Found], keys: Sequence[int | None]) -> set[int]:
    """Messages whose readings are not in order of event time: the careful reader sorts them."""
    odd, at = set(), 0
    for place, _, _, readings in found:
        own = [key for key in keys[at : at + len(readings)] if key is not None]
        at += len(readings)
        if own != sorted(own):
            odd.add(place)
    return odd
