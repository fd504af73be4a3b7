"""What comes on a broker, and what a configuration that reads it could look like: formats, fields, times, periods."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any, NamedTuple

from gaugecast.errors import DecodeError
from gaugecast.fleet import Fleet, PayloadFormat
from gaugecast.payloads.formats import parser_of
from gaugecast.payloads.formats.guess import guess_format
from gaugecast.payloads.stamps import near_arrival
from gaugecast.payloads.values import bare, number_of
from gaugecast.topics import FieldPath, Pattern, path_text

#: What came on a topic: time of arrival (ns) and payload, in order.
Heard = Mapping[str, Sequence[tuple[int, bytes]]]

_READ: tuple[PayloadFormat, ...] = ("json", "ndjson", "influx", "senml", "cbor", "msgpack")
_DEEPEST = 4
_NAMES_OF_TIME = ("t", "ts", "time", "timestamp", "_timestamp", "datetime", "date", "eventtime", "event_time")
_NO_QUANTITY = ("id", "seq", "sequence", "count", "version", "port", "channel", "rssi", "uptime", "n")
_STEPS_S = (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 21_600, 43_200, 86_400)


class Stanza(NamedTuple):
    """A fleet that is proposed.

    Attributes:
        text: TOML, as it is to be written.
        topics, features: What it reads.
    """

    name: str
    text: str
    topics: tuple[str, ...]
    features: tuple[str, ...]
    period: str


class Proposal(NamedTuple):
    """What is proposed, and what was left out with the reason."""

    stanzas: tuple[Stanza, ...]
    left_out: tuple[tuple[str, str], ...]


class _Shape(NamedTuple):
    """What topics have in common that one fleet may read."""

    payload: PayloadFormat
    levels: int
    features: tuple[FieldPath, ...]
    time: FieldPath | None
    unit: str


def propose(heard: Heard) -> Proposal:
    """Fleets that read what was heard; topics of one shape are one fleet, their levels that differ are captured."""
    groups: dict[_Shape, list[str]] = defaultdict(list)
    numbers: dict[str, list[str]] = defaultdict(list)
    left_out: list[tuple[str, str]] = []
    for topic in sorted(heard):
        payload = heard[topic][-1][1]
        found = guess_format(payload)
        if found == "number" and "/" in topic:
            numbers[topic.rpartition("/")[0]].append(topic)
        elif found in _READ:
            shape = _shape_of(found, topic, heard[topic])
            if shape is None:
                left_out.append((topic, "no numbers in it"))
            else:
                groups[shape].append(topic)
        else:
            left_out.append((topic, f"looks like {found}" if found else "no format that is known"))
    for parent, topics in numbers.items():
        names = tuple((topic.rpartition("/")[2],) for topic in topics)
        groups[_Shape("number", parent.count("/") + 2, names, None, "")] += topics
    return _written(groups, heard, left_out)


def _written(groups: Mapping[_Shape, Sequence[str]], heard: Heard, left_out: list[tuple[str, str]]) -> Proposal:
    stanzas: list[Stanza] = []
    taken: set[str] = set()
    for shape, topics in groups.items():
        pattern = _pattern_of(shape, topics)
        matched = Pattern.parse(pattern)
        if (
            any(matched.match(topic) is not None for topic in heard if topic not in topics)
            and shape.payload != "number"
        ):
            left_out += [(topic, "topics of other kinds have the same levels; write it by hand") for topic in topics]
            continue
        name = _name_of(pattern, taken)
        taken.add(name)
        stanzas.append(_stanza(name, pattern, shape, topics, heard))
    return Proposal(tuple(stanzas), tuple(left_out))


def _shape_of(found: str, topic: str, came: Sequence[tuple[int, bytes]]) -> _Shape | None:
    """What one topic's newest payload has in it."""
    payload: PayloadFormat = next(each for each in _READ if each == found)
    received_at_ns, body = came[-1]
    try:
        root = parser_of(Fleet("x", ("x",), "x", (), 10**9, payload=payload))(topic, body, received_at_ns)
    except DecodeError:
        return None
    record = root[0] if isinstance(root, list) and root else root
    leaves = dict(_leaves(record, ())) if isinstance(record, dict) else {}
    own = payload in ("influx", "senml")
    time, unit = (None, "") if own else _time_of(leaves, received_at_ns)
    within = {"influx": "fields", "senml": "values"}.get(payload)
    features = tuple(
        path
        for path, value in leaves.items()
        if path != time and _is_quantity(path, value, received_at_ns) and (within is None or path[0] == within)
    )
    return _Shape(payload, topic.count("/") + 1, features, time, unit) if features else None


def _leaves(value: dict[str, Any], at: FieldPath) -> Iterator[tuple[FieldPath, Any]]:
    for key, each in value.items():
        if isinstance(each, dict) and len(at) < _DEEPEST:
            yield from _leaves(each, (*at, key))
        elif not isinstance(each, (dict, list)) and "'" not in key:
            yield (*at, key), each


def _time_of(leaves: Mapping[FieldPath, Any], received_at_ns: int) -> tuple[FieldPath | None, str]:
    """Where the event time is, and how it is to be read: the keys as TOML."""
    likely = sorted(leaves, key=lambda path: (path[-1].lower() not in _NAMES_OF_TIME, len(path)))
    for path in likely:
        keys = near_arrival(leaves[path], received_at_ns)
        if keys and (path[-1].lower() in _NAMES_OF_TIME or keys != 'time_unit = "s"'):
            return path, keys
    return None, ""


def _is_quantity(path: FieldPath, value: Any, received_at_ns: int) -> bool:
    if path[-1].lower() in _NO_QUANTITY or near_arrival(value, received_at_ns):
        return False
    if type(value) is str:
        return number_of(bare(value)) is not None
    return type(value) in (int, float, Decimal)


def _pattern_of(shape: _Shape, topics: Sequence[str]) -> str:
    """The topics with captures where they differ; of bare numbers the last level is the feature."""
    rows = [topic.split("/") for topic in topics]
    levels: list[str] = []
    for place, column in enumerate(zip(*rows, strict=True)):
        if shape.payload == "number" and place == shape.levels - 1:
            levels.append("{feature}")
        else:
            levels.append(column[0] if len(set(column)) == 1 else f"{{level{place + 1}}}")
    return "/".join(levels)


def _name_of(pattern: str, taken: set[str]) -> str:
    words = [level for level in pattern.split("/") if level and "{" not in level]
    base = "".join(char if char.isascii() and char.isalnum() else "-" for char in "-".join(words)).strip("-")[:48]
    base = base or "streams"
    return next(name for name in (base, *(f"{base}-{i}" for i in range(2, 10_000))) if name not in taken)


def _stanza(name: str, pattern: str, shape: _Shape, topics: Sequence[str], heard: Heard) -> Stanza:
    lines = [f"[fleet.{name}]", f"subscribe = [{_toml(pattern)}]"]
    if not any(capture != "feature" for capture in Pattern.parse(pattern).captures):
        lines.append(f"stream = {_toml(name)}")
    if shape.payload != "json":
        lines.append(f"payload = {_toml(shape.payload)}")
    if shape.time is not None:
        lines += [f"time = {_toml(path_text(shape.time))}", shape.unit]
    period = _period_of([heard[topic] for topic in topics])
    lines.append(f'period = "{period}"' if period else 'period = "1m"  # nothing came twice: a guess')
    names = _feature_names(shape)
    for feature, path in names.items():
        lines.append(f"[fleet.{name}.features.{_toml(feature)}]")
        if shape.payload != "number" and (feature,) != path:
            lines.append(f"path = {_toml(path_text(path))}")
    return Stanza(name, "\n".join(lines) + "\n", tuple(topics), tuple(names), period or "1m")


def _feature_names(shape: _Shape) -> dict[str, FieldPath]:
    """The last key, or as much of the path as tells it from the others."""
    names: dict[str, FieldPath] = {}
    last = [path[-1] for path in shape.features]
    for path in shape.features:
        name = path[-1] if last.count(path[-1]) == 1 and path[-1] != "for" else ".".join(path)
        names[name[:64]] = path
    return names


def _period_of(came: Sequence[Sequence[tuple[int, bytes]]]) -> str:
    """The usual distance of two messages on a topic, as a duration; empty where nothing came twice."""
    distances = [b[0] - a[0] for each in came for a, b in pairwise(each)]
    if not distances:
        return ""
    median_s = statistics.median(distances) / 1e9
    nearest = min(_STEPS_S, key=lambda step: abs(step - median_s))
    seconds = nearest if abs(nearest - median_s) <= 0.15 * nearest else max(0.01, round(median_s, 2))
    return f"{seconds:g}s"


def _toml(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
