"""The one entry: `Decoder.decode(messages) -> inputs`."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gaugecast.batch import Inputs
from gaugecast.config.schema import Loop
from gaugecast.fleet import Fleet
from gaugecast.payloads.careful import NOT_OURS, CarefulReader, Taken, refuse
from gaugecast.payloads.formats import parser_of
from gaugecast.payloads.identity import Route, StreamIds
from gaugecast.payloads.ours import needs_care
from gaugecast.payloads.plain import Found, Plain, PlainReader
from gaugecast.payloads.routes import ALL, Readers, Router
from gaugecast.records import Kind, Message, Refused

SPARE_ROUTES = 1024


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a batch of messages said.

    Attributes:
        inputs: Each reading of ours is exactly one, taken or `REJECT`, in order of messages and of readings in them.
        refused: For the quarantine: rejects, and single features of readings that were taken all the same.
        messages: How many of the first messages were read; the others wait for the next batch.
        not_ours: Readings, or whole messages, that name no feature of the fleet whose topic they came on, by fleet.
        asks: Topic and body of what devices are to be asked; nothing hangs on it.
    """

    inputs: Inputs = field(default_factory=Inputs)
    refused: list[Refused] = field(default_factory=list)
    messages: int = 0
    not_ours: Counter[str] = field(default_factory=Counter)
    asks: Sequence[tuple[str, bytes]] = ()


class Decoder:
    """Turns messages of all fleets into inputs. Pure: the same messages and time give the same inputs.

    Owned by the loop; keeps a bounded memory of topics that it has seen.
    """

    def __init__(self, fleets: Sequence[Fleet], limits: Loop) -> None:
        self._plain: list[PlainReader] = []
        self._careful: list[CarefulReader] = []
        self._fleet_of: list[str] = []
        self._asks: list[tuple[str, bytes]] = []
        self._router = Router([(fleet, self._add_readers(fleet, limits)) for fleet in fleets])
        topics_per_stream = max([len(f.features) for f in fleets if f.feature_capture or _apart(f)], default=1)
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
        not_ours: Counter[str] = Counter()
        routes, readers = self._routes, self._plain
        looks = [reader.look for reader in readers]
        count = place = 0
        for place, message in enumerate(messages, 1):
            route = routes.get(message.topic) or self._route(message.topic)
            if route.quick and (readings := looks[route.reader](message)) is not None:
                plain[route.reader].append((place, message, route, readings))
                count += len(readings)
            else:
                careful[place] = self._read_carefully(message, route, received_at_ns, not_ours)
                count += len(careful[place])
            if count >= most:
                break
        parts = [readers[reader].read(found, received_at_ns) for reader, found in plain.items()]
        for part in parts:
            for at, message, route, _ in part.odd:
                careful[at] = self._read_carefully(message, route, received_at_ns, not_ours)
        inputs = parts[0].inputs if len(parts) == 1 and not careful else _in_order(parts, careful)
        refused = [row for at in sorted(careful) for one in careful[at] for row in one.refused]
        asks, self._asks = self._asks, []
        return Decoded(inputs, refused, place, not_ours, asks)

    def _read_carefully(
        self, message: Message, route: Route, received_at_ns: int, not_ours: Counter[str]
    ) -> list[Taken]:
        """What is taken or refused of a message; the rest is counted."""
        taken = list(self._take(message, route, received_at_ns))
        for other in route.others:
            taken = _of_both(taken, list(self._take(message, other, received_at_ns)))
        ours = [each for each in taken if each.input is not None]
        if len(ours) < len(taken):
            not_ours[self._fleet_of[route.reader]] += len(taken) - len(ours)
        return ours

    def _take(self, message: Message, route: Route, received_at_ns: int) -> Iterable[Taken]:
        if route.reader < 0:
            assert route.fault is not None
            return (refuse(message, "", "", received_at_ns, route.fault),)
        if not route.ours:
            return (NOT_OURS,)
        return self._careful[route.reader].read(message, route, received_at_ns)

    def _add_readers(self, fleet: Fleet, limits: Loop) -> Readers:
        """Compile a fleet's readers; their places by the topic, or the feature in it, that they are for."""
        groups: dict[str, tuple[int, ...] | None] = {}
        if fleet.feature_capture:
            groups = {feature.name: (place,) for place, feature in enumerate(fleet.features) if not feature.topic}
        elif not all(feature.topic for feature in fleet.features):
            groups[ALL] = _places(fleet, "") if _apart(fleet) else None
        topics = dict.fromkeys(feature.topic for feature in fleet.features if feature.topic)
        groups |= {topic: _places(fleet, topic) for topic in topics}
        ids, parse = StreamIds(fleet), parser_of(fleet, lambda topic, body: self._asks.append((topic, body)))
        bounds = {"max_payload_bytes": limits.max_payload_bytes, "max_readings": limits.max_readings}
        places: dict[str, int] = {}
        for name, positions in groups.items():
            places[name] = len(self._careful)
            self._fleet_of.append(fleet.name)
            self._careful.append(CarefulReader(fleet, positions, parse, **bounds))
            alone = None if positions is None else positions[0]
            self._plain.append(PlainReader(fleet, alone, ids, **bounds))
        several = {name for name, positions in groups.items() if positions is not None and len(positions) != 1}
        return Readers(places, frozenset() if needs_care(fleet) else frozenset(places.keys() - several))

    def _route(self, topic: str) -> Route:
        """Find out what a topic says, and remember it."""
        route = self._find_route(topic)
        if len(self._routes) >= self._most_routes:
            self._routes.clear()  # a flood of topics: remembered anew at 10 µs each
            self._router.forget()
        self._routes[topic] = route
        return route

    def _find_route(self, topic: str) -> Route:
        route, outdone = self._router.find(topic)
        for other in outdone:
            self._routes.pop(other, None)
        return route


def _apart(fleet: Fleet) -> bool:
    """Whether features have topics of their own."""
    return any(feature.topic for feature in fleet.features)


def _places(fleet: Fleet, topic: str) -> tuple[int, ...]:
    return tuple(place for place, feature in enumerate(fleet.features) if feature.topic == topic)


def _of_both(one: list[Taken], other: list[Taken]) -> list[Taken]:
    """What two fleets on one topic make of a message: what either takes, or else what the first says."""
    found = [each for each in (*one, *other) if each.input is not None]
    if any(each.input is not None and each.input.kind is Kind.READING for each in found):
        return found
    return next((taken for taken in (one, other) if any(each.input is not None for each in taken)), one)


def _in_order(parts: Sequence[Plain], careful: Mapping[int, Sequence[Taken]]) -> Inputs:
    """All inputs in the order of their messages."""
    inputs = Inputs.of(one.input for taken in careful.values() for one in taken if one.input is not None)
    places = [place for place, taken in careful.items() for _ in taken]
    for part in parts:
        inputs.extend(part.inputs)
        places += part.places
    return inputs.reordered(sorted(range(len(places)), key=places.__getitem__))
