"""A TOML file as nested tables, and where it is not TOML: the line, a caret, and what was probably meant."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gaugecast.errors import ConfigError
from gaugecast.files import regular

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
#: Words of `tomllib`, and the mend; the first that fits.
_MENDS = (
    ("Invalid value", "a text stands in quotes, and a number in digits such as 0.5"),
    ("Expected '=' after a key", "a line is `key = value`, a table `[name]`"),
    ("Invalid statement", "a line is `key = value`, a table `[name]`, a comment begins with #"),
    ("Cannot overwrite a value", "this key stands twice in its table; remove one"),
    ("Cannot declare", "this table stands twice; put their keys into one"),
    ("Cannot mutate immutable namespace", "this table was given in braces before; write it once"),
    ("Expected newline or end of document", "one key a line; a comment begins with #"),
    ("Expected ']' at the end of a table", "close the table's name with ]"),
    ("Unclosed array", "close the list with ], and put a comma between its entries"),
    ("Unclosed inline table", "close the table with }, on the line where it began"),
    ("Unescaped '\\' in a string", "write \\\\ for a backslash, or put the text in 'single quotes'"),
    ("Unterminated string", "close the text with the quote that it began with"),
    ("Illegal character", "close the text with the quote that it began with, on the same line"),
    ('Expected \'"""\'', "close the text with three quotes"),
)


def read_toml(path: Path) -> dict[str, Any]:
    """The file's tables.

    Raises:
        ConfigError: It cannot be read, or is not TOML; the message has line, column and mend.
    """
    try:
        text = regular(path).read_bytes().decode()
    except FileNotFoundError as exc:
        raise ConfigError(f"{path}: no such file; `gaugecast init {path}` writes one") from exc
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        line = exc.object[: exc.start].count(b"\n") + 1
        raise ConfigError(
            f"{path}:{line}: expected UTF-8, got the byte {exc.object[exc.start]:#04x} at {exc.start}; "
            "save the file as UTF-8"
        ) from exc
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(f"{path}{explain_toml(str(exc), text)}") from exc


def toml_value(value: bool | float | str | list[str]) -> str:
    """A value as a file has it: JSON is TOML, but for one control character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def render_toml(tables: Mapping[str, Any]) -> str:
    """Nested tables as a file has them: what `read_toml` gave, comments apart."""
    return "\n".join(_lines(tables, ())).lstrip("\n") + "\n"


def _lines(table: Mapping[str, Any], place: tuple[str, ...]) -> Iterator[str]:
    plain = {key: value for key, value in table.items() if not _has_head(value)}
    if place and (plain or not table):
        yield f"\n[{'.'.join(map(_key, place))}]"
    for key, value in plain.items():
        yield f"{_key(key)} = {_inline(value)}"
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _lines(value, (*place, key))
        elif _has_head(value):
            for one in value:
                yield f"\n[[{'.'.join(map(_key, (*place, key)))}]]"
                yield from (f"{_key(inner)} = {_inline(said)}" for inner, said in one.items())


def _has_head(value: Any) -> bool:
    """Whether it is a table, or a list of tables."""
    return isinstance(value, Mapping) or (isinstance(value, list) and bool(value) and isinstance(value[0], Mapping))


def _key(text: str) -> str:
    return text if _BARE.fullmatch(text) else toml_value(text)


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {_inline(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return toml_value(value)


def explain_toml(complaint: str, text: str) -> str:
    """`:3:8: expected TOML: …`, then the line with a caret below the place."""
    lines = text.replace("\r\n", "\n").split("\n")
    found = _PLACE.search(complaint)
    what = _PLACE.sub("", complaint)
    mend = next((mend for words, mend in _MENDS if words.lower() in what.lower()), "")
    row = int(found[1]) if found is not None and found[1] else max(1, len(text.rstrip().split("\n")))
    line = lines[row - 1]
    column = int(found[2]) if found is not None and found[2] else len(line) + 1
    told = f":{row}:{column}: expected TOML: {what[:1].lower()}{what[1:]}" + (f"; {mend}" if mend else "")
    shown, caret = _window(line, column)
    return f"{told}\n{row:>5} | {shown}\n      | {' ' * caret}^"


def _window(line: str, column: int) -> tuple[str, int]:
    """At most 60 characters of a line around a column, counted from 1, and where it is in them, from 0."""
    begin = max(0, column - 40)
    return "".join(c if c.isprintable() else " " for c in line[begin : begin + 60]), column - 1 - begin
