"""The careful reader: any bytes, each reading in them taken, refused with its reason, or not ours."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from gaugecast.errors import DecodeError
from gaugecast.fleet import Feature, Fleet
from gaugecast.payloads.fields import ABSENT, find
from gaugecast.payloads.formats import Parse
from gaugecast.payloads.formats.guess import hint
from gaugecast.payloads.identity import LAST_SEQUENCE, Route, delivery_hash, nth_delivery, stream_id
from gaugecast.payloads.ours import Named, Where, names_within
from gaugecast.payloads.records import Splitter
from gaugecast.payloads.sequences import SequenceNames
from gaugecast.payloads.stamps import Stamps
from gaugecast.payloads.values import value_reader
from gaugecast.payloads.wording import cut, named
from gaugecast.records import Input, Kind, Message, Refused
from gaugecast.topics import FieldPath, Template, path_text

HEAD_BYTES = 256

_NAN = math.nan
#: Formats with a place of their own for the time, which a sender may leave empty: then that of arrival counts.
_OWN_TIME: Final = ("influx", "senml", "sparkplug")


class Taken(NamedTuple):
    """What one reading became, and what the quarantine keeps of it.

    Attributes:
        input: `None` = not ours: nothing in it names a feature of the fleet, or says more than that it has no value.
    """

    input: Input | None
    refused: tuple[Refused, ...] = ()


NOT_OURS: Final = Taken(None)


class CarefulReader:
    """Reads every payload of one fleet, or of those features of it that the topic names.

    Args:
        positions: Of these features; `None` = all.
        parse: Reads the fleet's format.
    """

    def __init__(
        self, fleet: Fleet, positions: Sequence[int] | None, parse: Parse, *, max_payload_bytes: int, max_readings: int
    ) -> None:
        self._fleet, self._parse_format = fleet, parse
        places = range(len(fleet.features)) if positions is None else positions
        no_number = "not_a_number" if fleet.payload == "number" else "wrong_type"
        self._features = [(at, fleet.features[at], value_reader(fleet.features[at], no_number)) for at in places]
        self._max_bytes = max_payload_bytes
        self._stamps = Stamps(fleet) if fleet.time_path is not None else None
        self._stream = Template.parse(fleet.stream)
        self._splitter = Splitter(fleet, max_readings)
        self._where, self._sequences = Where(fleet), SequenceNames(fleet)
        self._named, self._within = Named(fleet.features), names_within(fleet)
        self._hashed: tuple[Message | None, int] = (None, 0)  # what is being read, and the name of its delivery

    def read(self, message: Message, route: Route, received_at_ns: int) -> Iterator[Taken]:
        """Each reading of a message, those with a time in its order; one reject where the message cannot be split."""
        try:
            if route.fault is not None:
                raise route.fault
            self._check(message)
            root = self._parse_format(message.topic, message.payload, received_at_ns)
            readings = self._splitter.split(root)
        except DecodeError as exc:
            yield refuse(message, self._fleet.name, route.stream, received_at_ns, exc)
            return
        taken = [
            self._take(message, route, received_at_ns, root, reading, (place, len(readings)))
            for place, reading in enumerate(readings)
        ]
        yield from _in_order(taken) if self._stamps is not None else taken
        if not taken:
            yield NOT_OURS
        self._hashed = (None, 0)

    def _check(self, message: Message) -> None:
        if message.retain and not self._fleet.accept_retained:
            raise DecodeError("retained", "the broker kept it from earlier; accept_retained = true takes such messages")
        if len(message.payload) > self._max_bytes:
            raise DecodeError("too_large", f"expected at most {self._max_bytes} bytes, got {len(message.payload)}")

    def _take(
        self, message: Message, route: Route, received_at_ns: int, root: Any, reading: Any, place: tuple[int, int]
    ) -> Taken:
        fleet, stream = self._fleet, route.stream
        try:
            if fleet.payload != "number" and not isinstance(reading, dict):
                raise DecodeError("wrong_type", f"expected a JSON object, got {named(reading)}")
            if self._where.asks and not self._where.is_ours(lambda path: self._find(root, reading, path)):
                return NOT_OURS
            found = self._found(root, reading)
            if all(value is None for _, value in found):
                return NOT_OURS
            if self._stream.paths:
                stream = self._stream_of(route, root, reading)
            at_ns, key, delivery = self._when(message, received_at_ns, root, reading, place)
            values, faults = self._values(found)
        except DecodeError as exc:
            if place[0] == 0 and exc.reason == "missing_field":
                exc = DecodeError(exc.reason, exc.detail + hint(fleet.payload, message.payload))
            return refuse(message, fleet.name, stream, received_at_ns, exc)
        if values is None:
            return NOT_OURS
        refused = tuple(_refused(message, fleet.name, stream, received_at_ns, fault) for fault in faults)
        one = Input.reading(
            fleet.name,
            stream,
            at_ns,
            received_at_ns,
            values,
            key=key,
            delivery=delivery,
            dup=message.dup or message.retain,
        )
        if self._sequences.asked:
            one = one._replace(reason=self._sequences.name(lambda path: self._find(root, reading, path), at_ns))
        return Taken(one, refused)

    def _stream_of(self, route: Route, root: Any, reading: Any) -> str:
        ids: list[str | int] = []
        for path in self._stream.paths:
            value = self._find(root, reading, path)
            if value is ABSENT or value is None:
                raise DecodeError("missing_field", f"expected the stream's name at {path_text(path)}")
            if type(value) not in (str, int):
                raise DecodeError(
                    "wrong_type", f"{path_text(path)}: expected a text or whole number, got {named(value)}"
                )
            ids.append(value)
        return stream_id(self._fleet, self._stream, captures=route.captures, fields=ids)

    def _when(
        self, message: Message, received_at_ns: int, root: Any, reading: Any, place: tuple[int, int]
    ) -> tuple[int, int, int]:
        """Event time, key and delivery."""
        fleet, (position, count) = self._fleet, place
        if fleet.time_path is not None and self._stamps is not None:
            stamp = self._find(root, reading, fleet.time_path)
            if (stamp is ABSENT or stamp is None) and fleet.payload in _OWN_TIME:
                return received_at_ns, received_at_ns, self._delivery(message, position)
            at_ns = self._stamps.read(_there(stamp, fleet.time_path), received_at_ns)
            return at_ns, at_ns, 0
        if fleet.on_arrival:  # the newest of an array came when it came, the others a period before each
            received_at_ns -= (count - 1 - position) * fleet.period_ns
        if fleet.sequence_path is not None:
            sequence = _there(self._find(root, reading, fleet.sequence_path), fleet.sequence_path)
            if type(sequence) is not int or abs(sequence) > LAST_SEQUENCE:
                raise DecodeError("wrong_type", f"sequence: expected a whole number of 64 bits, got {named(sequence)}")
            return received_at_ns, sequence, 0
        return received_at_ns, 0, self._delivery(message, position)

    def _delivery(self, message: Message, position: int) -> int:
        """Hashed once a message: an array may be a megabyte."""
        if not message.qos and not message.retain:
            return 0
        if self._hashed[0] is not message:
            self._hashed = message, delivery_hash(message)
        return nth_delivery(self._hashed[1], position)

    def _found(self, root: Any, reading: Any) -> list[tuple[int, Any]]:
        """Place in `_features`, and what the payload has there, of each feature that it names."""
        found = []
        for place, (_, feature, _) in enumerate(self._features):
            path = self._named.path_in(feature, reading, self._within) if feature.match else feature.path
            value = self._find(root, reading, path)
            if value is not ABSENT:
                good = feature.quality_path is None or self._is_good(feature.quality_path, feature, root, reading)
                found.append((place, value if good else None))
        return found

    def _is_good(self, path: FieldPath, feature: Feature, root: Any, reading: Any) -> bool:
        quality = self._find(root, reading, path)
        return quality is ABSENT or str(quality).lower() in feature.good

    def _values(self, found: Sequence[tuple[int, Any]]) -> tuple[bytes | None, list[DecodeError]]:
        """All the fleet's features as little-endian float64, and why some that are there were not taken.

        `None` where the payload says that there is no value now.
        """
        values = [_NAN] * len(self._fleet.features)
        faults: list[DecodeError] = []
        for place, raw in found:
            at, _, read = self._features[place]
            try:
                number = read(raw)
            except DecodeError as exc:
                faults.append(exc)
                continue
            if number is not None:
                values[at] = number
        if all(math.isnan(value) for value in values):
            if faults:
                raise DecodeError(faults[0].reason, "; ".join(fault.detail for fault in faults))
            return None, []
        return struct.pack(f"<{len(values)}d", *values), faults

    def _find(self, root: Any, reading: Any, path: FieldPath) -> Any:
        """A field of the reading, or of the envelope around the readings (`{"device": …, "readings": […]}`)."""
        if self._fleet.payload == "number":
            return reading
        found = find(reading, path)
        return find(root, path) if found is ABSENT and self._fleet.records_path else found


def _there(stamp: Any, path: FieldPath) -> Any:
    if stamp is ABSENT or stamp is None:
        raise DecodeError("missing_field", f"expected {path_text(path)}")
    return stamp


def _in_order(taken: Sequence[Taken]) -> list[Taken]:
    """Readings in order of event time, in the places that readings have: a batch may come newest first."""
    places = [i for i, each in enumerate(taken) if each.input is not None and each.input.kind is Kind.READING]
    ordered = list(taken)
    for place, each in zip(places, sorted((taken[i] for i in places), key=_at_ns), strict=True):
        ordered[place] = each
    return ordered


def _at_ns(taken: Taken) -> int:
    assert taken.input is not None
    return taken.input.at_ns


def refuse(message: Message, fleet: str, stream: str, received_at_ns: int, fault: DecodeError) -> Taken:
    """The reject that a message or reading becomes, and its row for the quarantine."""
    reject = Input.reject(fault.reason, received_at_ns, fleet=fleet, stream=stream, dup=message.dup)
    return Taken(reject, (_refused(message, fleet, stream, received_at_ns, fault),))


def _refused(message: Message, fleet: str, stream: str, received_at_ns: int, fault: DecodeError) -> Refused:
    topic = message.topic.encode(errors="backslashreplace").decode()
    detail = cut(fault.detail.encode(errors="backslashreplace").decode())
    return Refused(received_at_ns, fleet, stream, topic, fault.reason, detail, message.payload[:HEAD_BYTES])
