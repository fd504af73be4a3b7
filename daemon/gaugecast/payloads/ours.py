"""Which readings are the fleet's, of all that comes on its topics: `where`, and names that its features have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from gaugecast.fleet import Feature, Fleet
from gaugecast.payloads.fields import ABSENT, NAMED, find, plain_text
from gaugecast.topics import FieldPath, is_plain_path, parse_path

#: Of a payload's field by its path, in the reading or around it.
Look = Callable[[FieldPath], Any]


def needs_care(fleet: Fleet) -> bool:
    """Whether the fleet's payloads must take the careful reader, whatever lies in them: the quick ones know no more
    than JSON and bare numbers, paths of names, and values as they are.
    """
    if fleet.payload not in ("json", "number") or fleet.where or fleet.time_format:
        return True
    if fleet.time_offset_ns or fleet.has_sequences:
        return True
    paths = [fleet.records_path, fleet.time_path or (), fleet.sequence_path or (), *(f.path for f in fleet.features)]
    if fleet.name_path is not None or "@" in fleet.stream or not all(map(is_plain_path, paths)):
        return True
    return any(_is_special(feature) for feature in fleet.features)


def _is_special(feature: Feature) -> bool:
    plain = Feature(feature.name)
    later = ("scale", "offset", "missing", "boolean", "true_values", "false_values", "quality_path", "match")
    # What is an input takes true and false; the quick readers leave those to the careful one by themselves.
    return any(getattr(feature, key) != getattr(plain, key) for key in later)


def matches(text: str, globs: Sequence[str]) -> bool:
    """Whether one of the globs matches and none that begins with `!`; exclusions alone let all else in."""
    wanted = [glob for glob in globs if not glob.startswith("!")]
    if any(fnmatchcase(text, glob[1:]) for glob in globs if glob.startswith("!")):
        return False
    return not wanted or any(fnmatchcase(text, glob) for glob in wanted)


class Where:
    """What a reading must have to be the fleet's.

    Attributes:
        asks: Whether it asks for fields of the payload.
    """

    def __init__(self, fleet: Fleet) -> None:
        captures = [(text[1:-1], globs) for text, globs in fleet.where if text.startswith("{")]
        self._captures: list[tuple[str, tuple[str, ...]]] = captures
        fields = [(parse_path(text), globs) for text, globs in fleet.where if text.startswith("$")]
        self._fields: list[tuple[FieldPath, tuple[str, ...]]] = fields
        self.asks = bool(fields)

    def topic_is_ours(self, captures: Mapping[str, str]) -> bool:
        """Whether the captured levels are as they must be."""
        return all(matches(captures.get(name, ""), globs) for name, globs in self._captures)

    def is_ours(self, look: Look) -> bool:
        """Whether the payload's fields are as they must be."""
        for path, globs in self._fields:
            text = plain_text(look(path))
            if text is None or not matches(text, globs):
                return False
        return True


class Named:
    """Features that come under several names, `match`, beside their own."""

    def __init__(self, features: Iterable[Feature]) -> None:
        self._features = [feature for feature in features if feature.match]

    def feature_of(self, name: str) -> str:
        """The feature that a name means; the name itself where it means none."""
        return next((feature.name for feature in self._features if matches(name, feature.match)), name)

    def path_in(self, feature: Feature, reading: Any, within: FieldPath) -> FieldPath:
        """Where a reading has a feature: under its own name, or the first that it matches."""
        here = feature.path[: len(within) + 1]
        if not feature.match or find(reading, here) is not ABSENT:
            return feature.path
        around = find(reading, within)
        names = around if isinstance(around, dict) else ()
        found = next((name for name in names if matches(name, feature.match)), None)
        return feature.path if found is None else (*within, found, *feature.path[len(within) + 1 :])


def names_within(fleet: Fleet) -> FieldPath:
    """Where a reading has its features by name."""
    if fleet.name_path is not None:
        return (NAMED,)
    return {"influx": ("fields",), "senml": ("values",), "sparkplug": ("values",)}.get(fleet.payload, ())
