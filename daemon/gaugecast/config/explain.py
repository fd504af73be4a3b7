"""From a validation error of pydantic to a sentence with file, table, key, what was expected and what came."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from gaugecast.config.schema import Settings
from gaugecast.config.template import bounds_text
from gaugecast.config.walk import is_named, nearest, table_of

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

SECRET_WORDS = frozenset({"password", "passwd", "passphrase", "secret", "token"})
MOST_SHOWN = 10
_BOUNDS = frozenset({"greater_than", "greater_than_equal", "less_than", "less_than_equal"})
#: In a URL.
_PASSWORD = re.compile(r"(://[^:@/\s]*:)[^@/\s]*(?=@)|([?&]password=)[^&\s'\"]*")

_EXPECTED = {
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "a text in quotes",
    "list_type": "a list in brackets",
    "tuple_type": "a list in brackets",
    "path_type": "a path in quotes",
    "string_too_short": "a text that is not empty",
    "too_short": "at least one entry",
}


def secret_refusal(key: str) -> str:
    """Why a secret is not taken from file or environment, and what to do."""
    return (
        f"{key!r} would put a secret where others can read it; write it into a file that only the daemon's user "
        "may read and name that in [mqtt] password_file (with systemd: LoadCredential= and "
        'password_file = "$CREDENTIALS_DIRECTORY/mqtt-password")'
    )


class Place(NamedTuple):
    """Where a fault lies.

    Attributes:
        keys: From the outside in, names of fleets and features included.
        field: What the schema says of the last key, if it knows it.
        table: Class of the table that the last key stands in.
        inside: The fault lies deeper than the key: an element of a list, a member of a union.
    """

    keys: tuple[str, ...]
    field: FieldInfo | None
    table: type[BaseModel]
    inside: bool

    def __str__(self) -> str:
        table = f"[{'.'.join(self.keys[:-1])}] " if len(self.keys) > 1 else ""
        return table + self.keys[-1] if self.keys else "the table"


def explain(
    error: ValidationError, schema: type[BaseModel], source: str, origins: Mapping[tuple[str, ...], str]
) -> str:
    """All faults, one a line: `gaugecast.toml: [mqtt] port: expected …, got …`.

    Args:
        origins: The environment variable that set a key, by its keys.
    """
    lines: dict[tuple[str, ...], str] = {}  # by place, as a union complains once a member
    for fault in error.errors(include_url=False):
        place = locate_fault(fault["loc"], schema)
        where = f"environment variable {origins[place.keys]}" if place.keys in origins else source
        lines.setdefault(place.keys, f"{where}: {place}: {_sentence(fault, place)}")
    shown = list(lines.values())[:MOST_SHOWN]
    if len(lines) > MOST_SHOWN:
        shown.append(f"{source}: and {len(lines) - MOST_SHOWN} more")
    return "\n".join(shown)


def locate_fault(loc: tuple[int | str, ...], schema: type[BaseModel]) -> Place:
    """The key of the file that pydantic's `loc` lies at or within."""
    table = schema
    keys: list[str] = []
    parts = [str(part) for part in loc]
    field: FieldInfo | None = None
    while parts:
        keys.append(parts.pop(0))
        field = table.model_fields.get(keys[-1])
        inner = table_of(field) if field is not None else None
        if field is None or inner is None or not parts:
            break
        if is_named(field):
            keys.append(parts.pop(0))
            field = None
        table = inner
    return Place(tuple(keys), field, table, bool(parts))


def _sentence(fault: ErrorDetails, place: Place) -> str:
    kind, field = fault["type"], place.field
    got = _shown(fault["input"])
    if kind == "extra_forbidden" and not place.inside:
        return _unknown(place.keys[-1], place.table)
    if kind == "missing" and not place.inside:
        return _missing(place.keys, field)
    if kind in ("model_type", "dict_type"):
        return f"expected a table, got {got}; its keys stand below a line [{'.'.join(place.keys)}]"
    if place.inside and field is not None:
        example = f", for example {field.examples[0]}" if field.examples else ""
        return f"expected {field.description}{example}; got {got}"
    if kind == "value_error" and isinstance(fault["input"], dict):  # keys that do not go together
        return fault["msg"].removeprefix("Value error, ")
    bounds = "" if field is None else bounds_text(field).strip(" ()")
    if kind in _BOUNDS and bounds:
        return f"expected a number, {bounds}, got {got}{_default(field)}"
    expected = _EXPECTED.get(kind) or fault["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return f"expected {expected}{_example(field) if kind == 'tuple_type' else ''}, got {got}{_default(field)}"


def _default(field: FieldInfo | None) -> str:
    known = field is not None and not field.is_required() and field.default is not None
    return f" (default {_word(field.default)})" if known and field is not None else ""


def _example(field: FieldInfo | None) -> str:
    return f" such as {field.examples[0]}" if field is not None and field.examples else ""


def _unknown(key: str, table: type[BaseModel]) -> str:
    if key.lower() in SECRET_WORDS:
        return secret_refusal(key)
    near = nearest(key, table.model_fields)
    what = "table" if table is Settings else "key"
    if near is not None:
        return f"unknown {what}; did you mean {near!r}?"
    return f"unknown {what}; expected one of {', '.join(table.model_fields)}"


def _missing(keys: tuple[str, ...], field: FieldInfo | None) -> str:
    if field is None:
        return "missing"
    example = f"; for example {keys[-1]} = {field.examples[0]}" if field.examples else ""
    if is_named(field):
        example = f"; write at least one table [{'.'.join(keys)}.NAME]"
    return f"missing: {field.description}{example}"


def _shown(value: Any) -> str:
    """What came, short, and without the password of a URL."""
    text = _word(value) if isinstance(value, bool) else _PASSWORD.sub(r"\1\2…", repr(value))
    return text if len(text) <= 80 else text[:77] + "..."


def _word(value: Any) -> str:
    """As TOML has it, where Python would not."""
    return str(value).lower() if isinstance(value, bool) else str(value)
