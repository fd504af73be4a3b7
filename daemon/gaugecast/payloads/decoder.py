"""The one entry: `Decoder.decode(messages) -> inputs`."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gaugecast.batch import Inputs
from gaugecast.config.schema import Loop
from gaugecast.errors import DecodeError
from gaugecast.fleet import Fleet
from gaugecast.payloads.careful import CarefulReader, Taken, refuse
from gaugecast.payloads.identity import Route, StreamIds, stream_id
from gaugecast.payloads.plain import Found, Plain, PlainReader
from gaugecast.records import Message, Refused
from gaugecast.topics import Pattern, Template

SPARE_ROUTES = 1024


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a batch of messages said.

    Attributes:
        inputs: Each reading is exactly one, taken or `REJECT`, in order of messages and of readings in them.
        refused: For the quarantine: rejects, and single features of readings that were taken all the same.
        messages: How many of the first messages were read; the others wait for the next batch.
    """

    inputs: Inputs = field(default_factory=Inputs)
    refused: list[Refused] = field(default_factory=list)
    messages: int = 0


class Decoder:
    """Turns messages of all fleets into inputs. Pure: the same messages and time give the same inputs.

    Owned by the loop; keeps a bounded memory of topics that it has seen.
    """

    def __init__(self, fleets: Sequence[Fleet], limits: Loop) -> None:
        self._patterns: list[tuple[Pattern, Fleet, Template, dict[str, int]]] = []
        self._plain: list[PlainReader] = []
        self._careful: list[CarefulReader] = []
        topics_per_stream = 1
        for fleet in fleets:
            readers = self._add_readers(fleet, limits)
            template = Template.parse(fleet.stream)
            self._patterns += [(Pattern.parse(text), fleet, template, readers) for text in fleet.subscribe]
            if fleet.feature_capture:
                topics_per_stream = max(topics_per_stream, len(fleet.features))
        self._routes: dict[str, Route] = {}
        self._most_routes = limits.max_streams * topics_per_stream + SPARE_ROUTES

    def decode(self, messages: Sequence[Message], received_at_ns: int, most: int = sys.maxsize) -> Decoded:
        """Read a batch.

        Args:
            received_at_ns: When the poll before it returned.
            most: Stop after the message that brings the inputs to so many.

        Raises:
            Nothing: what cannot be read is an input of kind `REJECT` with its reason.
        """
        plain: defaultdict[int, list[Found]] = defaultdict(list)
        careful: dict[int, list[Taken]] = {}
        routes, readers = self._routes, self._plain
        looks = [reader.look for reader in readers]
        count = place = 0
        for place, message in enumerate(messages, 1):
            route = routes.get(message.topic) or self._route(message.topic)
            if route.fault is None and (readings := looks[route.reader](message)) is not None:
                plain[route.reader].append((place, message, route, readings))
                count += len(readings)
            else:
                careful[place] = list(self._read_carefully(message, route, received_at_ns))
                count += len(careful[place])
            if count >= most:
                break
        parts = [readers[reader].read(found, received_at_ns) for reader, found in plain.items()]
        for part in parts:
            for at, message, route, _ in part.odd:
                careful[at] = list(self._read_carefully(message, route, received_at_ns))
        inputs = parts[0].inputs if len(parts) == 1 and not careful else _in_order(parts, careful)
        return Decoded(inputs, [row for at in sorted(careful) for one in careful[at] for row in one.refused], place)

    def _read_carefully(self, message: Message, route: Route, received_at_ns: int) -> Iterable[Taken]:
        if route.reader < 0:
            assert route.fault is not None
            return (refuse(message, "", "", received_at_ns, route.fault),)
        return self._careful[route.reader].read(message, route, received_at_ns)

    def _add_readers(self, fleet: Fleet, limits: Loop) -> dict[str, int]:
        """Compile a fleet's readers; their positions by the feature that the topic names (`""` = all)."""
        by_feature = {feature.name: place for place, feature in enumerate(fleet.features)}
        positions = by_feature if fleet.feature_capture else {"": None}
        readers: dict[str, int] = {}
        ids = StreamIds(fleet)
        for name, position in positions.items():
            readers[name] = len(self._plain)
            most_bytes, most = limits.max_payload_bytes, limits.max_readings
            self._plain.append(PlainReader(fleet, position, ids, max_payload_bytes=most_bytes, max_readings=most))
            self._careful.append(CarefulReader(fleet, position, most_bytes, most))
        return readers

    def _route(self, topic: str) -> Route:
        """Find out what a topic says, and remember it."""
        route = self._find_route(topic)
        if len(self._routes) >= self._most_routes:
            self._routes.clear()  # a flood of topics: remembered anew at 10 µs each
        self._routes[topic] = route
        return route

    def _find_route(self, topic: str) -> Route:
        try:
            topic.encode()
        except UnicodeEncodeError:
            return Route(-1, "", {}, DecodeError("not_utf8", "expected a topic in UTF-8"))
        for pattern, fleet, template, readers in self._patterns:
            captures = pattern.match(topic)
            if captures is None:
                continue
            name = captures[fleet.feature_capture] if fleet.feature_capture else ""
            reader = readers.get(name, -1)
            fault = None
            stream = ""
            if reader < 0:
                reader = next(iter(readers.values()))
                known = ", ".join(list(readers)[:8])
                fault = DecodeError("no_features", f"expected a topic of one of {known}, got {name[:64]!r}")
            try:
                stream = "" if template.paths else stream_id(fleet, template, captures=captures)
            except DecodeError as exc:
                fault = exc
            return Route(reader, stream, captures, fault)
        return Route(-1, "", {}, DecodeError("unknown_topic", "no fleet's `subscribe` matches this topic"))


def _in_order(parts: Sequence[Plain], careful: Mapping[int, Sequence[Taken]]) -> Inputs:
    """All inputs in the order of their messages."""
    inputs = Inputs.of(one.input for taken in careful.values() for one in taken)
    places = [place for place, taken in careful.items() for _ in taken]
    for part in parts:
        inputs.extend(part.inputs)
        places += part.places
    return inputs.reordered(sorted(range(len(places)), key=places.__getitem__))
