"""Proposed fleets as TOML that a configuration takes as it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

from gaugecast.config.toml_text import toml_value
from gaugecast.errors import ConfigError
from gaugecast.payloads.discovery.heard import Heard
from gaugecast.payloads.discovery.proposing import Proposed, find_fleets, period_of
from gaugecast.payloads.discovery.quantities import Quantity
from gaugecast.payloads.discovery.rhythm import text_of
from gaugecast.topics import Pattern, filters_overlap, path_text

_MOST_IGNORED = 40
_MOST_TOLD = 8


class Stanza(NamedTuple):
    """A fleet that is proposed.

    Attributes:
        text: TOML, as it is to be written.
        topics, features: What it reads.
        every: How often readings come, for people.
    """

    name: str
    text: str
    topics: tuple[str, ...]
    features: tuple[str, ...]
    every: str


class Proposal(NamedTuple):
    """What is proposed, and what was left out with the reason."""

    stanzas: tuple[Stanza, ...]
    left_out: tuple[tuple[str, str], ...]


def propose(heard: Heard, zone: str = "") -> Proposal:
    """Fleets that read what was heard: topics of one shape are one fleet, their levels that differ are captured.

    Args:
        zone: The machine's own, tried first where times are local.
    """
    found = find_fleets(heard, zone)
    fleets, filters = _apart(found.fleets)
    stanzas: list[Stanza] = []
    left_out = list(found.left_out)
    taken: set[str] = set()
    for fleet, mqtt_filter in zip(fleets, filters, strict=True):
        pattern = fleet.family.pattern()
        if not mqtt_filter:
            left_out += [(topic, "a topic with braces; write it by hand") for topic in fleet.family.topics]
            continue
        rivals = [
            other for other, each in zip(fleets, filters, strict=True) if each == mqtt_filter and other is not fleet
        ]
        name = _name_of(pattern, fleet, taken)
        taken.add(name)
        text = "\n".join(_lines(name, fleet, pattern, rivals, heard)) + "\n"
        names = tuple(name for name, _ in fleet.features)
        stanzas.append(Stanza(name, text, tuple(lane.topic for lane in fleet.lanes), names, str(fleet.rhythm)))
    return Proposal(tuple(stanzas), tuple(left_out))


def _apart(fleets: Sequence[Proposed]) -> tuple[list[Proposed], list[str]]:
    """The fleets with their filters, empty = none.

    Where two meet, what all topics of a fleet have in common is not captured; where they still do, they subscribe the
    same, and `where` tells them apart.
    """
    told = list(fleets)
    for place in _meeting(told):
        told[place] = told[place]._replace(family=told[place].family.tight())
    families = [fleet.family for fleet in told]
    for place, others in _meeting(told).items():
        told[place] = told[place]._replace(family=families[place].beside([families[other] for other in sorted(others)]))
    return told, [_filter_of(fleet) for fleet in told]


def _meeting(fleets: Sequence[Proposed]) -> dict[int, set[int]]:
    """Fleets whose filters meet, and are not the same: of each all that it has to do with, directly or not."""
    filters = [_filter_of(fleet) for fleet in fleets]
    found: dict[int, set[int]] = {}
    for (one, a), (two, b) in combinations(enumerate(filters), 2):
        if a != b and a and b and filters_overlap(a, b):
            joined_sets = found.get(one, {one}) | found.get(two, {two})
            found.update(dict.fromkeys(joined_sets, joined_sets))
    return {place: others - {place} for place, others in found.items()}


def _filter_of(fleet: Proposed) -> str:
    pattern = fleet.family.pattern()
    return Pattern.parse(pattern).filter if _is_filter(pattern) else ""


def _is_filter(pattern: str) -> bool:
    try:
        Pattern.parse(pattern)
    except ConfigError:
        return False
    return True


def _name_of(pattern: str, fleet: Proposed, taken: set[str]) -> str:
    words = [level for level in pattern.split("/") if level and "{" not in level]
    if fleet.first.kind.where is not None:
        words.append(fleet.first.kind.where[1])
    base = "".join(char if char.isascii() and char.isalnum() else "-" for char in "-".join(words)).strip("-")[:48]
    base = base.strip("-") or "streams"
    return next(name for name in (base, *(f"{base}-{i}" for i in range(2, 10_000))) if name not in taken)


def _lines(name: str, fleet: Proposed, pattern: str, rivals: Sequence[Proposed], heard: Heard) -> Iterator[str]:
    lane = fleet.first
    yield from _comments(fleet)
    yield f"[fleet.{name}]"
    yield f"subscribe = [{toml_value(pattern)}]"
    yield from _told_apart(fleet, pattern, rivals, heard)
    captures = [f"{{{capture}}}" for capture in Pattern.parse(pattern).captures if capture != "feature"]
    fields = [f"{{{path_text(path)}}}" for path in lane.ids]
    if fields or not captures:
        yield f"stream = {toml_value('/'.join([*captures, *fields]) or name)}"
    if lane.layout.payload != "json":
        yield f"payload = {toml_value(lane.layout.payload)}"
    for key, path in (("records", lane.layout.records), ("name", lane.layout.name), ("value", lane.layout.value)):
        if path:
            yield f"{key} = {toml_value('$[*]' if path == ('*',) else path_text(path))}"
    if lane.clock is not None:
        yield f"time = {toml_value(path_text(lane.clock.path))}"
        yield from (key for key in lane.clock.keys if key != 'time_unit = "s"')
    yield from _period(fleet)
    for feature, quantity in fleet.features:
        yield from _feature(name, feature, quantity, fleet)


def _comments(fleet: Proposed) -> Iterator[str]:
    count = len({lane.topic for lane in fleet.lanes})
    told = fleet.first.topic if count == 1 else f"{count} topics, {fleet.first.topic} for example"
    notes = [f"{told}; {fleet.rhythm}" if fleet.rhythm.irregular else f"{told}; every {fleet.rhythm}"]
    if fleet.first.clock is not None and fleet.first.clock.note:
        notes.append(fleet.first.clock.note)
    if fleet.left_out:
        told = ", ".join(f"{path} ({why})" for path, why in fleet.left_out[:_MOST_TOLD])
        more = len(fleet.left_out) - _MOST_TOLD
        notes.append(f"left out: {told}" + (f", and {more} more" if more > 0 else ""))
    yield from (f"# {_plain(note)}" for note in notes)


def _told_apart(fleet: Proposed, pattern: str, rivals: Sequence[Proposed], heard: Heard) -> Iterator[str]:
    """`where`, against fleets that read the same topics, and `ignore` against what else comes on them."""
    where: dict[str, str | list[str]] = {}
    kind = fleet.first.kind.where
    if kind is not None:
        where[path_text(kind[0])] = kind[1]
    matched = Pattern.parse(pattern)
    own = set(fleet.family.topics)
    others = {topic for rival in rivals for topic in rival.family.topics} - own
    if others:
        where |= _captured(matched, sorted(own), sorted(others))
    if where:
        yield f"where = {{ {', '.join(f'{toml_value(key)} = {toml_value(value)}' for key, value in where.items())} }}"
    noise = sorted(topic for topic in heard if topic not in own | others and matched.match(topic) is not None)
    if noise and fleet.family.feature is None:
        yield f"ignore = {toml_value(noise[:_MOST_IGNORED])}"


def _captured(matched: Pattern, own: Sequence[str], others: Sequence[str]) -> dict[str, list[str]]:
    """Which captured levels a fleet's topics have that those of others have not."""
    for capture in (name for name in matched.captures if name != "feature"):
        mine = {(matched.match(topic) or {}).get(capture, "") for topic in own}
        theirs = {(matched.match(topic) or {}).get(capture, "") for topic in others}
        if not mine & theirs:
            return {f"{{{capture}}}": sorted(mine) if len(mine) <= len(theirs) else [f"!{x}" for x in sorted(theirs)]}
    return {}


def _period(fleet: Proposed) -> Iterator[str]:
    rhythm = fleet.rhythm
    period = toml_value(text_of(period_of(rhythm)))
    yield f"period = {period}" + ("" if rhythm.period_s is not None else "  # nothing came twice: a guess")
    if rhythm.irregular:
        yield f'hold = "{rhythm.hold_text}"'


def _feature(fleet_name: str, feature: str, quantity: Quantity, fleet: Proposed) -> Iterator[str]:
    layout = fleet.first.layout
    yield f"[fleet.{fleet_name}.features.{_key(feature)}]"
    within = layout.within or (("@named",) if layout.name is not None else ())
    if layout.payload != "number" and quantity.path != (*within, feature):
        yield f"path = {toml_value(path_text(quantity.path))}"
    if quantity.unit:
        yield f"unit = {toml_value(_plain(quantity.unit))}"
    if quantity.role == "input":
        yield 'role = "input"'
    if quantity.kind != "number":
        yield f'kind = "{quantity.kind}"'


def _key(name: str) -> str:
    return name if name.isascii() and name.replace("_", "").replace("-", "").isalnum() else toml_value(name)


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() else "·" for char in text)


def joined(stanzas: Iterable[Stanza]) -> str:
    """All of them as one text."""
    return "\n".join(stanza.text for stanza in stanzas)
