"""Topics that belong together: which of their levels name streams, which the feature, and what to call them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from gaugecast.payloads.discovery.heard import words
from gaugecast.payloads.discovery.quantities import is_quantity_word

#: Names of levels that say nothing of what a topic brings.
LAST_OF_ALL = frozenset(("state", "value", "status", "raw", "reading", "get"))
_IDENTITY = re.compile(r"(?i)(?=.*\d)[0-9a-f:_-]{6,}|\d+|![0-9a-f]+|(?=.*\d)(?=.*[:-])[\w:-]+|[a-z]+[_-][0-9a-f]{4,}")
_KNOWN_NAMES = words(
    "device node room floor zone line tank station gateway sensor meter host channel edge portal heater application"
)
_OF_SPARKPLUG = {1: "group", 3: "node", 4: "device"}
_ALIKE = 0.5  # share of the features that two groups must have in common to be one
_MOST_VARYING = 3


class Family(NamedTuple):
    """Topics that one fleet reads.

    Attributes:
        levels: Of all; `None` = it differs, and names the stream.
        feature: Which level names the feature; `None` = none does.
    """

    topics: tuple[str, ...]
    levels: tuple[str | None, ...]
    feature: int | None = None

    def pattern(self) -> str:
        """With captures."""
        taken: set[str] = set()
        levels = []
        for place, level in enumerate(self.levels):
            if place == self.feature:
                levels.append("{feature}")
            elif level is None:
                levels.append(f"{{{_named(self.levels, place, taken)}}}")
            else:
                levels.append(level)
        return "/".join(levels)

    def tight(self) -> Family:
        """The same with what all topics have in common as it is."""
        rows = [topic.split("/") for topic in self.topics]
        return self._replace(
            levels=tuple(c[0] if len(set(c)) == 1 else None for c in zip(*rows, strict=True)), feature=self.feature
        )

    def beside(self, others: Sequence[Family]) -> Family:
        """The same with the levels that others have otherwise captured, so that all have one pattern."""
        whole = [self, *others]
        if len({(len(each.levels), each.feature) for each in whole}) > 1:
            return self
        columns = zip(*(each.levels for each in whole), strict=True)
        return self._replace(levels=tuple(column[0] if len(set(column)) == 1 else None for column in columns))

    def words(self) -> list[str]:
        """The feature that each topic brings."""
        return [topic.split("/")[self.feature] if self.feature is not None else "" for topic in self.topics]


def family_of(topics: Sequence[str], *, sparkplug: bool = False) -> Family:
    """Topics of one number of levels: those that differ name the stream, and so does what looks like an id."""
    rows = [topic.split("/") for topic in topics]
    columns = [set(column) for column in zip(*rows, strict=True)]
    if sparkplug and len(columns) in (4, 5):  # spBv1.0/{group}/DDATA/{node}/{device}
        return Family(tuple(topics), (rows[0][0], None, rows[0][2], *[None] * (len(columns) - 3)))
    found = [None if len(each) > 1 or _is_identity(next(iter(each))) else next(iter(each)) for each in columns]
    return Family(tuple(topics), tuple(found) if any(found) or len(rows) > 1 else tuple(rows[0]))


def families_of_values(topics: Sequence[str]) -> list[Family]:
    """Topics that bring one number each: their features are joined where the topic names one."""
    groups: dict[tuple[int | None, tuple[str | None, ...]], list[str]] = defaultdict(list)
    for topic in topics:
        levels = topic.split("/")
        place = _feature_level(levels)
        around = tuple(None if at == place else level for at, level in enumerate(levels))
        groups[place, around].append(topic)
    _without_quantities(groups)
    return [_widened(place, group) for place, group in _merged(groups)]


Groups = dict[tuple[int | None, tuple[str | None, ...]], list[str]]


def _feature_level(levels: Sequence[str]) -> int | None:
    """The last level that is called as quantities are; else the last that is a word."""
    for place in range(len(levels) - 1, 0, -1):
        if is_quantity_word(levels[place]) and levels[place].lower() not in LAST_OF_ALL:
            return place
    last = len(levels) - 1
    if last > 0 and levels[last].lower() in LAST_OF_ALL:
        last -= 1
    return last if last > 0 and not _is_identity(levels[last]) else None


def _without_quantities(groups: Groups) -> None:
    """Siblings of which hardly one is called as quantities are: their names are those of streams."""
    for (place, around), topics in list(groups.items()):
        words = {topic.split("/")[place] for topic in topics} if place is not None else set()
        if place is not None and sum(map(is_quantity_word, words)) * 3 < len(words):
            del groups[place, around]
            for topic in topics:
                groups[None, tuple(topic.split("/"))].append(topic)


def _merged(groups: Groups) -> list[tuple[int | None, list[str]]]:
    """Groups whose features are mostly the same, and that differ in few levels, are one."""
    made: list[tuple[int | None, set[str], list[tuple[str | None, ...]], list[str]]] = []
    for (place, around), topics in groups.items():
        words = {topic.split("/")[place] for topic in topics} if place is not None else set()
        for known in made:
            alike = place is None or len(words & known[1]) >= _ALIKE * max(len(words), len(known[1]))
            if known[0] == place and alike and all(_near(around, other) for other in known[2][:1]):
                known[1].update(words)
                known[2].append(around)
                known[3].extend(topics)
                break
        else:
            made.append((place, words, [around], list(topics)))
    return [(place, topics) for place, _, _, topics in made]


def _near(a: Sequence[str | None], b: Sequence[str | None]) -> bool:
    """Whether two paths of equal length have a word in common and differ in few levels."""
    if len(a) != len(b):
        return False
    differ = sum(x != y for x, y in zip(a, b, strict=True))
    shared = sum(x == y and x is not None and not _is_identity(x) for x, y in zip(a, b, strict=True))
    return differ <= _MOST_VARYING and (shared > 0 or len(a) <= 2)


def _widened(place: int | None, topics: Sequence[str]) -> Family:
    family = family_of(topics)
    if place is None or len({topic.split("/")[place] for topic in topics}) == 1:
        return family  # one feature: its level is as it is
    return family._replace(feature=place)


def _is_identity(level: str) -> bool:
    """Whether a level looks like a number or an address, and not like a word."""
    return _IDENTITY.fullmatch(level) is not None


def _named(levels: Sequence[str | None], place: int, taken: set[str]) -> str:
    """After the word before it: `devices/{device}`; else by its place."""
    if (levels[0] or "").startswith("spBv1"):
        return _OF_SPARKPLUG.get(place, f"level{place + 1}")
    before = levels[place - 1] if place else None
    word = re.sub(r"\W", "_", before or "").lower().strip("_")
    word = word.removesuffix("s") if word.removesuffix("s") in _KNOWN_NAMES else word
    name = word if word in _KNOWN_NAMES else f"level{place + 1}"
    name = name if name not in taken else f"level{place + 1}"
    taken.add(name)
    return name
