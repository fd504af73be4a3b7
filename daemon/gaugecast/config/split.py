"""One configuration as several whose filters share no topic: each for a daemon of its own. Pure.

A broker hands a topic to whoever asks for it, and knows no "all but these". So fleets are dealt out whole, or a fleet
is cut by the texts that one captured level has: `plant/{site}/{tank}` for the site north becomes
`plant/{site=north}/{tank}`, whose filter is `plant/north/+`.
"""

from __future__ import annotations

import copy
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal, NamedTuple

from gaugecast.config.resolve import FEATURE_CAPTURE
from gaugecast.config.schema import Settings
from gaugecast.errors import ConfigError
from gaugecast.fleet import Fleet
from gaugecast.topics import Capture, Pattern, Template, filters_overlap

By = Literal["fleet", "names"]
#: By fleet: what the captured levels of each known stream or topic are.
Names = Mapping[str, Sequence[Mapping[str, str]]]
#: Filters of one part; each pair is held against each other whenever a configuration is read.
MOST_NAMES = 200


class Lot(NamedTuple):
    """What goes to one part as a whole.

    Attributes:
        fleets: These fleets; one alone where it is cut.
        capture, value: Only topics that have this text there; empty = all.
        weight: Known streams.
    """

    fleets: tuple[str, ...]
    capture: str
    value: str
    weight: int


@dataclass(frozen=True, slots=True)
class Share:
    """What one part of the configuration has.

    Attributes:
        lots: Heaviest first.
    """

    lots: tuple[Lot, ...]

    @property
    def streams(self) -> int:
        """Known streams; by fleet, without names, 0."""
        return sum(lot.weight for lot in self.lots)


def deal(fleets: Sequence[Fleet], parts: int, by: By, names: Names) -> list[Share]:
    """Deal fleets, or names within them, out to `parts` shares that are about as heavy.

    The same arguments give the same shares.

    Raises:
        ConfigError: It cannot be cut so; the message says what can be done.
    """
    lots = list(_by_fleet(fleets, names) if by == "fleet" else _by_names(fleets, parts, names))
    if len(lots) < parts:
        what = "fleets that share no topics" if by == "fleet" else "names"
        mend = "; --by names cuts within a fleet" if by == "fleet" else ""
        raise ConfigError(f"split: expected at least {parts} {what} for {parts} parts, got {len(lots)}{mend}")
    shares: list[list[Lot]] = [[] for _ in range(parts)]
    for lot in sorted(lots, key=lambda lot: (-lot.weight, lot)):
        min(shares, key=lambda share: (sum(max(1, each.weight) for each in share), len(share))).append(lot)
    for share in shares:
        if len(share) > MOST_NAMES:
            raise ConfigError(
                f"split: at most {MOST_NAMES} names a part expected, got {len(share)}; take more parts, or capture a "
                "coarser level of the topic, such as a site, which the stream's id has, too"
            )
    return [Share(tuple(share)) for share in shares]


def _by_fleet(fleets: Sequence[Fleet], names: Names) -> Iterator[Lot]:
    for group in _groups(fleets):
        yield Lot(tuple(fleet.name for fleet in group), "", "", sum(len(names.get(f.name, ())) for f in group))


def _groups(fleets: Sequence[Fleet]) -> list[list[Fleet]]:
    """Fleets that read the same topics, and so cannot be parted."""
    groups: list[list[Fleet]] = []
    for fleet in fleets:
        touched = [group for group in groups if any(_meet(filters_of([fleet]), filters_of([one])) for one in group)]
        groups = [group for group in groups if group not in touched]
        groups.append([*(one for group in touched for one in group), fleet])
    return groups


def filters_of(fleets: Iterable[Fleet]) -> list[str]:
    """What a daemon with these fleets asks a broker for."""
    return list(dict.fromkeys(Pattern.parse(text).filter for fleet in fleets for text in fleet.subscribe))


def _meet(one: Sequence[str], other: Sequence[str]) -> bool:
    return any(filters_overlap(a, b) for a in one for b in other)


def _by_names(fleets: Sequence[Fleet], parts: int, names: Names) -> Iterator[Lot]:
    for group in _groups(fleets):
        if not any("+" in text or "#" in text for text in filters_of(group)):
            yield Lot(tuple(fleet.name for fleet in group), "", "", sum(len(names.get(f.name, ())) for f in group))
        elif len(group) > 1:
            told = " and ".join(f"[fleet.{fleet.name}]" for fleet in group)
            raise ConfigError(f"split: {told} read the same topics, so neither can be cut alone; take --by fleet")
        else:
            yield from _cut(group[0], parts, names.get(group[0].name, ()))


def _cut(fleet: Fleet, parts: int, known: Sequence[Mapping[str, str]]) -> Iterator[Lot]:
    """A fleet by the texts of one captured level: the coarsest that gives every part something."""
    place = f"split: [fleet.{fleet.name}]"
    captures = _captures_to_cut_by(fleet, place)
    if not known:
        raise ConfigError(
            f"{place}: no stream of it is known, so nobody can say which names its wildcards stand for; run the daemon "
            "for a while, or listen with --listen SECONDS"
        )
    counts = {name: Counter(levels[name] for levels in known if name in levels) for name in captures}
    enough = [name for name in captures if len(counts[name]) >= parts]
    chosen = min(enough, key=lambda name: len(counts[name])) if enough else max(captures, key=lambda n: len(counts[n]))
    for value, weight in sorted(counts[chosen].items()):
        yield Lot((fleet.name,), chosen, value, weight)


def _captures_to_cut_by(fleet: Fleet, place: str) -> list[str]:
    """Captured levels that are part of a stream's id: what else is captured might part the readings of one stream.

    Raises:
        ConfigError: There is none; the message says why.
    """
    if any(feature.topic for feature in fleet.features):
        raise ConfigError(f"{place} topic: features with topics of their own cannot be cut by names; take --by fleet")
    naming = {part.name for part in Template.parse(fleet.stream).parts if isinstance(part, Capture)}
    written = Pattern.parse(fleet.subscribe[0]).captures
    free = [name for name in written if all(f"{{{name}}}" in text for text in fleet.subscribe)]
    found = [name for name in free if name in naming and name != FEATURE_CAPTURE]
    if not found:
        raise ConfigError(
            f"{place} subscribe: {fleet.subscribe[0]!r} cannot be cut: no level of it is captured by a name that the "
            f"stream's id {fleet.stream!r} has, so what its wildcards match may be one stream; name a level, such as "
            "{site}, and put it into `stream`; or take --by fleet"
        )
    return found


def captured_in(fleet: Fleet, stream: str) -> dict[str, str] | None:
    """The captured levels that a stream's id was made of; `None` where it can be read in no way, or in two."""
    parts = Template.parse(fleet.stream).parts
    greedy, modest = (_id_pattern(parts, any_text).fullmatch(stream) for any_text in ("+", "+?"))
    if greedy is None or modest is None or greedy.groupdict() != modest.groupdict():
        return None
    return greedy.groupdict()


def _id_pattern(parts: Sequence[Any], many: str) -> re.Pattern[str]:
    texts = [
        re.escape(part) if isinstance(part, str)
        else f"(?P<{part.name}>[^/]{many})" if isinstance(part, Capture)
        else f"(?:.{many})"
        for part in parts
    ]  # fmt: skip
    return re.compile("".join(texts), re.DOTALL)


def part_tables(raw: Mapping[str, Any], settings: Settings, fleets: Sequence[Fleet], shares: Sequence[Share]) -> list[
    tuple[str, dict[str, Any]]
]:  # fmt: skip
    """The tables of each part, by its name: fleets and filters of its own, and whatever must not be shared.

    Args:
        raw: The file's tables, paths absolute.
        settings: The same, read.

    Raises:
        ConfigError: Something would be shared all the same; or filters of two parts meet.
    """
    _refuse_shared_names(settings)
    ports = _ports(settings, len(shares))
    made = []
    for number, share in enumerate(shares):
        name = f"part-{number + 1}"
        tables = copy.deepcopy(dict(raw))
        tables["mqtt"] = {**tables.get("mqtt", {}), "client_id": f"{settings.mqtt.client_id}-{name}"}
        tables["storage"] = {**tables.get("storage", {}), "directory": str(settings.storage.directory / name)}
        if settings.storage.postgres:
            tables["storage"]["postgres_schema"] = f"{settings.storage.postgres_schema}_part_{number + 1}"
        tables["http"] = {**tables.get("http", {}), "port": ports[number][0]}
        if settings.console.enabled:
            tables["console"] = {**tables.get("console", {}), "port": ports[number][1]}
        tables["fleet"] = _fleet_tables(tables["fleet"], fleets, share)
        made.append((name, tables))
    return made


def _refuse_shared_names(settings: Settings) -> None:
    mqtt = settings.mqtt
    for key, text in (("mqtt] status_topic", mqtt.status_topic), ("mqtt.publish] client_id", mqtt.publish.client_id)):
        if "{client_id}" not in text:
            raise ConfigError(f"split: [{key}: {text!r} would be that of every part; put {{client_id}} into it")


def _ports(settings: Settings, parts: int) -> list[tuple[int, int]]:
    """(HTTP, console) of each part, from those of the whole upwards; 0 = any stays so."""
    taken: set[int] = set()
    console = settings.console.port if settings.console.enabled else 0

    def next_free(port: int) -> int:
        while port and port in taken:
            port += 1
        taken.add(port)
        return port

    return [(next_free(settings.http.port), next_free(console)) for _ in range(parts)]


def _fleet_tables(written: Mapping[str, Any], fleets: Sequence[Fleet], share: Share) -> dict[str, Any]:
    """The tables of a part's fleets, in the order of the file, with its own filters."""
    tables: dict[str, Any] = {}
    for fleet in fleets:
        lots = [lot for lot in share.lots if fleet.name in lot.fleets]
        if not lots:
            continue
        tables[fleet.name] = dict(written[fleet.name])
        if lots[0].capture:
            patterns = [Pattern.parse(text) for text in written[fleet.name]["subscribe"]]
            values = sorted(lot.value for lot in lots)
            tables[fleet.name]["subscribe"] = [p.fixed(lots[0].capture, value) for p in patterns for value in values]
    return tables


def check_disjoint(parts: Sequence[tuple[str, Sequence[Fleet]]]) -> None:
    """No two parts may ask a broker for one topic: both would take its readings.

    Raises:
        ConfigError: Two do; the message names them.
    """
    asked = [(name, filters_of(fleets)) for name, fleets in parts]
    for (one, first), (other, second) in combinations(asked, 2):
        for a in first:
            for b in second:
                if filters_overlap(a, b):
                    raise ConfigError(
                        f"{other}: the filter {b!r} overlaps {a!r} of {one}: readings would be taken twice"
                    )
