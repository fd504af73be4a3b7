"""From what came on a broker to a configuration that reads it: fleets, and what was left out with the reason."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from gaugecast.payloads.discovery.clocks import find_clock, is_instant
from gaugecast.payloads.discovery.heard import (
    Came,
    Content,
    Heard,
    Layout,
    content_of,
    is_number,
    is_switch,
)
from gaugecast.payloads.discovery.kinds import ids_of, kinds_of
from gaugecast.payloads.discovery.lanes import Lane
from gaugecast.payloads.discovery.places import LAST_OF_ALL, Family, families_of_values, family_of
from gaugecast.payloads.discovery.quantities import (
    Quantity,
    groups_by_stream,
    is_quantity_word,
    quantity_of,
    usual_unit,
)
from gaugecast.payloads.discovery.rhythm import Rhythm, rhythm_of
from gaugecast.payloads.formats import Parse
from gaugecast.topics import FieldPath, path_text

_GENERIC = frozenset(("value", "val", "v", "state", "actual", "reading", "current_value"))
#: Of Sparkplug B: what is read beside the data of the same device.
_BESIDE = ("NBIRTH", "DBIRTH", "NDEATH", "DDEATH", "NCMD", "DCMD", "STATE")


class Proposed(NamedTuple):
    """A fleet, before it is written.

    Attributes:
        features: Name, quantity, and whether `path` must be said.
        left_out: Fields of its payloads, and why each is none of its features.
    """

    family: Family
    lanes: tuple[Lane, ...]
    features: tuple[tuple[str, Quantity], ...]
    left_out: tuple[tuple[str, str], ...]
    rhythm: Rhythm

    @property
    def first(self) -> Lane:
        """One of its lanes: how they are read is the same in all."""
        return self.lanes[0]


class Found(NamedTuple):
    """What is proposed, and topics that were left out with the reason."""

    fleets: tuple[Proposed, ...]
    left_out: tuple[tuple[str, str], ...]


def find_fleets(heard: Heard, zone: str = "") -> Found:
    """Fleets that read what was heard.

    Args:
        zone: The machine's own, tried first where times are local.
    """
    left_out: list[tuple[str, str]] = []
    groups: dict[Any, list[tuple[Lane, tuple[Quantity, ...]]]] = defaultdict(list)
    alone: dict[Any, list[tuple[Lane, tuple[Quantity, ...]]]] = defaultdict(list)
    parsers: dict[str, Parse] = {}
    for topic in sorted(heard, key=lambda topic: ("BIRTH" not in topic, topic)):
        content = content_of(topic, heard[topic], parsers)
        if isinstance(content, str):
            left_out.append((topic, content))
            continue
        if content.layout.payload == "sparkplug" and any(f"/{level}/" in topic for level in _BESIDE):
            continue
        found: list[tuple[Lane, tuple[Quantity, ...]]] = []
        why = "no numbers in it"
        for lane in _lanes(topic, content, zone):
            quantities, others = _quantities([lane])
            found += [(lane, quantities)] if _is_worth(quantities) else []
            why = others[0][1] if others and len(others) == 1 else why
        for lane, quantities in found:
            key = _key(lane, quantities)
            (alone if _is_value(lane, quantities) else groups)[key].append((lane, quantities))
        if not found:
            left_out.append((topic, why))
    fleets = [fleet for members in groups.values() for fleet in _of_records([lane for lane, _ in members])]
    fleets += [fleet for members in alone.values() for fleet in _of_values(members, left_out)]
    return Found(tuple(fleets), tuple(left_out))


def _lanes(topic: str, content: Content, zone: str) -> list[Lane]:
    clock = None if content.layout.within else find_clock(content.records, zone)
    lanes = []
    for kind in kinds_of(content.records):
        own = clock if clock is None or all(clock.path in record.fields for record in kind.records[:1]) else None
        lanes.append(Lane(topic, content.layout, kind, ids_of(kind), own))
    return lanes


def _quantities(lanes: Sequence[Lane]) -> tuple[tuple[Quantity, ...], list[tuple[str, str]]]:
    """The features that lanes alike have, and what else there is in their payloads."""
    records = [(lane.stream_of(record), record.fields) for lane in lanes for record in lane.kind.records]
    first, newest = lanes[0], lanes[0].kind.records[-1]
    found: list[Quantity] = []
    left_out: list[tuple[str, str]] = []
    for path in dict.fromkeys(path for _, fields in records for path in fields):
        if _is_known(first, path):
            continue
        values = groups_by_stream(records, path)
        name = path[-1] if path else first.topic.rpartition("/")[2]
        if is_instant(values[-1][-1], newest.at_ns):
            what: Quantity | str = "another time"
        else:
            what = quantity_of(path, name, values, readings=len(records))
        if isinstance(what, str):
            left_out += [(path_text(path), what)] if what != "text" else []
        else:
            unit = newest.fields.get(("units", path[-1])) if path else None
            found.append(what._replace(unit=usual_unit(unit)) if type(unit) is str else what)
    return _without_bounds(found), left_out


def _is_known(lane: Lane, path: FieldPath) -> bool:
    """Whether a field is the time, a stream's name, or where the format has something else."""
    within = lane.layout.within
    if within or lane.layout.name is not None:
        inside = within or ("@named",)
        if path[: len(inside)] != inside:
            return True
    where = lane.kind.where
    return (
        (lane.clock is not None and path == lane.clock.path)
        or path in lane.ids
        or (where is not None and path == where[0])
    )


def _without_bounds(quantities: list[Quantity]) -> tuple[Quantity, ...]:
    """Beside a plain value, its least and greatest are no quantities of their own."""
    if any(each.path and each.path[-1].lower() in _GENERIC for each in quantities):
        return tuple(each for each in quantities if each.path[-1].lower() not in ("min", "max"))
    return tuple(quantities)


def _is_worth(quantities: Sequence[Quantity]) -> bool:
    return any(each.role == "forecast" for each in quantities)


def _is_value(lane: Lane, quantities: Sequence[Quantity]) -> bool:
    """Whether a topic brings nothing but one value without a name of its own."""
    if lane.layout.payload == "number":
        return True
    only = len(quantities) == 1 and lane.layout.payload in ("json", "cbor", "msgpack") and not lane.layout.records
    return only and quantities[0].path[-1].lower() in _GENERIC and lane.kind.where is None and not lane.ids


def _key(lane: Lane, quantities: Sequence[Quantity]) -> Any:
    """What topics of one fleet have in common."""
    clock = None if lane.clock is None else (lane.clock.path, lane.clock.keys)
    if _is_value(lane, quantities):  # here the name tells what it is, so that is looked at later
        paths: Any = quantities[0].path
    else:
        paths = frozenset((each.path, each.role, each.kind == "boolean") for each in quantities)
    where = None if lane.kind.where is None else lane.kind.where
    return lane.layout, lane.topic.count("/"), lane.ids, clock, paths, where


def _of_records(lanes: Sequence[Lane]) -> list[Proposed]:
    """Fleets of topics whose payloads have the same fields: one for each rhythm among them."""
    found = []
    for members in _by_rhythm(lanes):
        quantities, left_out = _quantities(members)
        if _is_worth(quantities):
            family = family_of(sorted({lane.topic for lane in members}), sparkplug=_is_sparkplug(members[0]))
            names = _names(quantities, members[0].layout)
            rhythm = rhythm_of([at for lane in members for at in lane.instants().values()])
            found.append(Proposed(family, tuple(members), names, tuple(left_out), rhythm))
    return found


def _is_sparkplug(lane: Lane) -> bool:
    return lane.layout.payload == "sparkplug"


def _by_rhythm(lanes: Sequence[Lane]) -> list[list[Lane]]:
    """Lanes of one period together; those that spoke once go with the most."""
    groups: dict[tuple[float | None, bool], list[Lane]] = defaultdict(list)
    for lane in lanes:
        rhythm = rhythm_of(lane.instants().values())
        groups[None if rhythm.irregular else rhythm.period_s, rhythm.irregular].append(lane)
    unknown = groups.pop((None, False), [])
    made: list[tuple[float | None, list[Lane]]] = []
    for (period_s, _), members in sorted(groups.items(), key=lambda item: -len(item[1])):
        near = next((known for known in made if _alike(known[0], period_s)), None)
        if near is None:
            made.append((period_s, list(members)))
        else:
            near[1].extend(members)
    if unknown:
        made[0][1].extend(unknown) if made else made.append((None, unknown))
    return [members for _, members in made]


def _alike(a: float | None, b: float | None) -> bool:
    return a is None and b is None if a is None or b is None else a <= 1.5 * b and b <= 1.5 * a


def _of_values(members: Sequence[tuple[Lane, tuple[Quantity, ...]]], left_out: list[tuple[str, str]]) -> list[Proposed]:
    """Fleets of topics that bring a number each."""
    by_topic = {lane.topic: (lane, quantities[0]) for lane, quantities in members}
    found = []
    for family in families_of_values(sorted(by_topic)):
        lanes = [by_topic[topic][0] for topic in family.topics]
        words = family.words() if family.feature is not None else [""] * len(lanes)
        features: dict[str, list[Lane]] = defaultdict(list)
        for word, lane in zip(words, lanes, strict=True):
            features[word or _own_name(family, by_topic[lane.topic][1].path)].append(lane)
        chosen = []
        for name, own in features.items():
            records = [(lane.topic, record.fields) for lane in own for record in lane.kind.records]
            path = by_topic[own[0].topic][1].path
            what = quantity_of(path, name, groups_by_stream(records, path), readings=len(records))
            if isinstance(what, str):
                left_out += [(lane.topic, what) for lane in own]
            else:
                chosen.append((name[:64], what))
        if any(quantity.role == "forecast" for _, quantity in chosen):
            kept = tuple(lane for name, _ in chosen for lane in features.get(name, ()))
            rhythm = rhythm_of([at for lane in kept for at in lane.instants().values()])
            found.append(Proposed(family, kept, tuple(chosen), (), rhythm))
        else:
            left_out += [(lane.topic, "nothing to forecast in it") for name, _ in chosen for lane in features[name]]
    return found


def _own_name(family: Family, path: FieldPath) -> str:
    """What a value is called whose topic names no feature: a level that is called so, or a word; or its field."""
    words = [level for level in family.levels if level and level.replace("_", "").replace(" ", "").isalpha()]
    named = [word for word in words if is_quantity_word(word)]
    if path and not named:
        return path[-1]
    return (named or [word for word in words[1:] if word.lower() not in LAST_OF_ALL] or ["value"])[-1]


def _names(quantities: Sequence[Quantity], layout: Layout) -> tuple[tuple[str, Quantity], ...]:
    """The last key, or as much of the path as tells it from the others."""
    last = [each.path[-1] for each in quantities]
    within = len(layout.within or (("@named",) if layout.name is not None else ()))
    names: dict[str, Quantity] = {}
    for each in quantities:
        plain = last.count(each.path[-1]) == 1 and each.path[-1] != "for" and each.path[-1].isprintable()
        name = (each.path[-1] if plain else ".".join(each.path[within:]))[:64]
        if name not in names and name.isprintable() and name != "for":
            names[name] = each
    return tuple(names.items())


def period_of(rhythm: Rhythm) -> float:
    """What is to be configured, s."""
    return 60.0 if rhythm.period_s is None else rhythm.period_s


def fields_of(topic: str, came: Sequence[Came]) -> list[str]:
    """The paths of numbers and switches in a topic's payloads: what a feature could be read from."""
    content = content_of(topic, came, {})
    if isinstance(content, str):
        return []
    fields = [(path, value) for record in content.records for path, value in record.fields.items() if path]
    return list(dict.fromkeys(path_text(path) for path, value in fields if is_number(value) or is_switch(value)))
