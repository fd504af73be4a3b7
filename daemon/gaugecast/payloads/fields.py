"""Finding what lies in a parsed payload: by path, by the name beside it, and all that a wildcard stands for."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from gaugecast.topics import FieldPath, filter_of

ABSENT: Final = object()
WILDCARD: Final = "*"
#: Where a record has the name under which a wildcard found it, and itself where it is no object.
KEY: Final = "@key"
VALUE: Final = "@value"
#: Where readings that were put together by name have their records.
NAMED: Final = "@named"


def find(value: Any, path: FieldPath) -> Any:
    """What lies at `path`, or `ABSENT`."""
    for key in path:
        if isinstance(value, dict):
            value = value[key] if key in value else _selected(iter(value.values()), key)
        elif isinstance(value, list):
            if key.isdecimal() and len(key) < 10:
                value = value[int(key)] if int(key) < len(value) else ABSENT
            else:
                value = _selected(iter(value), key)
        else:
            return ABSENT
    return value


def _selected(values: Iterator[Any], key: str) -> Any:
    """The first of an array's elements, or an object's members, for which the filter `key` holds."""
    if not key.startswith("?$"):
        return ABSENT
    path, wanted = filter_of(key)
    return next((each for each in values if plain_text(find(each, path)) == wanted), ABSENT)


def spread(value: Any, path: FieldPath) -> Iterator[Any]:
    """All that a path with wildcards leads to. What is found under a name is told it, as `@key`."""
    if WILDCARD not in path:
        found = find(value, path)
        if found is not ABSENT:
            yield found
        return
    place = path.index(WILDCARD)
    around, rest = find(value, path[:place]), path[place + 1 :]
    if isinstance(around, list):
        for each in around:
            yield from spread(each, rest)
    elif isinstance(around, dict):
        for name, each in around.items():
            for found in spread(each, rest):
                yield from _told(found, name)


def _told(found: Any, name: str) -> Iterator[dict[str, Any]]:
    for each in found if isinstance(found, list) else (found,):
        yield {KEY: name, **each} if isinstance(each, dict) else {KEY: name, VALUE: each}


def plain_text(value: Any) -> str | None:
    """A text, number or boolean as text, by which it is compared; `None` for all else."""
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is str:
        return value
    return f"{value}" if type(value) in (int, float, Decimal) else None
