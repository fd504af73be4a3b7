"""Readings of several kinds on one topic: the field that tells them apart, and those that name their streams."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import Any, NamedTuple

from gaugecast.payloads.discovery.heard import NAMES_OF_TIME, Record, is_number, is_switch, says_nothing, words
from gaugecast.payloads.fields import plain_text
from gaugecast.topics import FieldPath

_NAMES_OF_KIND = (
    "model", "type", "kind", "method", "class", "sensor_type", "device_type", "category", "measurement", "event",
)  # fmt: skip
_NAMES_OF_ID = words(
    "id device device_id deviceid dev dev_id devid devicename device_name mac address addr serial sn sensor sensor_id "
    "node node_id name host from deveui dev_eui datasetwriterid unit_id asset thing tank pump machine line room "
    "@key cpu bn group"
)
_MOST_KINDS = 24
_ALIKE = 0.5
_MOST_IDS = 3


class Kind(NamedTuple):
    """Readings of one kind.

    Attributes:
        where: The field that tells them from the others on their topic, and its value; `None` = there are no others.
    """

    where: tuple[FieldPath, str] | None
    records: tuple[Record, ...]


def kinds_of(records: Sequence[Record]) -> list[Kind]:
    """The kinds of a topic's readings: one, unless a field decides which others there are."""
    if len({_measured(record) for record in records}) > 1:
        for path in _tellers(records):
            groups: dict[str, list[Record]] = defaultdict(list)
            for record in records:
                groups[plain_text(record.fields[path]) or ""].append(record)
            if _apart([frozenset().union(*map(_measured, group)) for group in groups.values()]):
                return [Kind((path, value), tuple(group)) for value, group in groups.items()]
    return [Kind(None, tuple(records))]


def ids_of(kind: Kind) -> tuple[FieldPath, ...]:
    """Fields that name the streams of a kind beside the topic, outer ones first; none where the topic does it."""
    records = kind.records
    found: list[tuple[bool, FieldPath]] = []
    for path in dict.fromkeys(path for record in records for path in record.fields):
        values = [record.fields.get(path) for record in records]
        if path == ("@key",):
            found.append((True, path))
            continue
        if not path or (kind.where is not None and path == kind.where[0]) or not _could_name(path, values):
            continue
        distinct = len(set(map(plain_text, values)))
        if distinct == 1 and kind.where is not None and _last(path) in ("id", "mac", "address", "serial", "sn"):
            found.append((False, path))
        elif 2 <= distinct <= len(records) // 2 and (_last(path) in _NAMES_OF_ID or _at_once(path, records)):
            found.append((True, path))
    varying = [path for varies, path in found if varies]
    chosen = varying or [path for _, path in found][:1]
    return tuple(sorted(chosen, key=len)[:_MOST_IDS])


def _measured(record: Record) -> frozenset[FieldPath]:
    return frozenset(
        path
        for path, value in record.fields.items()
        if path and not says_nothing(value) and (is_number(value) or is_switch(value)) and not _is_about(path)
    )


def _is_about(path: FieldPath) -> bool:
    """Whether a number is about the message, and in readings of all kinds."""
    return _last(path) in _NAMES_OF_ID or _last(path) in NAMES_OF_TIME or _last(path) in ("channel", "battery_ok", "to")


def _last(path: FieldPath) -> str:
    return path[-1].lower()


def _tellers(records: Sequence[Record]) -> list[FieldPath]:
    """Fields of text, in all readings, that have few values; those that are called so before the others."""
    found = []
    for path in records[0].fields:
        values = [record.fields.get(path) for record in records]
        named = path and _last(path) in _NAMES_OF_KIND and all(type(value) is str and value for value in values)
        if named and 2 <= len(set(values)) <= min(_MOST_KINDS, len(records) // 2):
            found.append(path)
    return sorted(found, key=lambda path: (_NAMES_OF_KIND.index(_last(path)), len(path)))


def _apart(sets: Sequence[frozenset[FieldPath]]) -> bool:
    """Whether no two kinds have most of their fields in common."""
    said = [each for each in sets if each]
    return bool(said) and all(len(a & b) <= _ALIKE * len(a | b) for a, b in combinations(said, 2))


def _could_name(path: FieldPath, values: Sequence[Any]) -> bool:
    """Whether it is a text, or a whole number called as ids are, that comes again; a message's own number does not."""
    if _last(path) in NAMES_OF_TIME:
        return False
    if all(type(value) is str and value and not is_number(value) and not is_switch(value) for value in values):
        return True
    whole = all((type(value) is int) or (type(value) is str and value.isdecimal()) for value in values)
    if not whole or _last(path) not in _NAMES_OF_ID:
        return False
    numbers = [int(str(value)[:32]) for value in values]
    rises = all(a <= b for a, b in pairwise(numbers))
    return len(set(numbers)) == 1 or not rises or len(set(numbers)) * 8 <= len(numbers)


def _at_once(path: FieldPath, records: Sequence[Record]) -> bool:
    """Whether one message had several of them: then it tells readings of one time apart."""
    at: dict[int, set[str | None]] = defaultdict(set)
    for record in records:
        at[record.message].add(plain_text(record.fields.get(path)))
    return any(len(values) > 1 for values in at.values())
