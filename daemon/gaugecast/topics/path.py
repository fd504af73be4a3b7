"""Paths into a payload: `$.data.p`, `$['x y']`, `$.values[0]`, `$.values[?@.id=='101'].v`; a part of RFC 9535."""

from __future__ import annotations

import re
from functools import lru_cache

from gaugecast.errors import ConfigError

#: Keys from the outside in. A key of digits also indexes an array, `*` is all members of one, and one that begins with
#: `?` is a filter (`filter_of`). Empty = the whole.
FieldPath = tuple[str, ...]

_SEGMENT = re.compile(r"""\.([^.\[\]'"\s]+)|\['([^']*)'\]|\["([^"]*)"\]|\[(\d+)\]|\[(\*)\]""")
_FILTER = re.compile(
    r"""\[\?\s*\(?\s*@((?:\.[^.\[\]'"\s=!<>]+|\['[^']*'\]|\["[^"]*"\])+)\s*==\s*"""
    r"""('[^']*'|"[^"]*"|-?\d+(?:\.\d+)?|true|false)\s*\)?\s*\]"""
)

_PLAIN = re.compile(r"""[^.\[\]'"\s]+""")


def parse_path(text: str) -> FieldPath:
    """Read a path.

    Raises:
        ConfigError: It does not begin with `$`, or a part of it is neither `.key`, `['key']` nor `[0]`.
    """
    if not text.startswith("$"):
        raise ConfigError(
            f"expected a path such as `$.data.p` or `$['x y']`, got {text!r}; write {path_text((text,))!r}"
        )
    keys: list[str] = []
    position = 1
    while position < len(text):
        condition = _FILTER.match(text, position)
        if condition is not None:
            keys.append(f"?{path_text(parse_path('$' + condition[1]))}=={condition[2]}")
            position = condition.end()
            continue
        found = _SEGMENT.match(text, position)
        if found is None:
            raise ConfigError(
                f"path {text!r}: expected `.key`, `['key']`, `[0]` or `[?@.key=='x']` at character {position + 1}, "
                f"got {text[position:]!r}"
            )
        keys.append(next(group for group in found.groups() if group is not None))
        position = found.end()
    return tuple(keys)


def path_text(path: FieldPath) -> str:
    """Inverse of `parse_path`: `("data", "x y")` gives `$.data['x y']`."""
    return "$" + "".join(_segment_text(key) for key in path)


def is_plain_path(path: FieldPath) -> bool:
    """Whether a path has nothing but names and places in it: no filter, no wildcard, nothing that we put there."""
    return not any(key == "*" or key.startswith(("?$", "@")) for key in path)


@lru_cache(maxsize=4096)
def filter_of(key: str) -> tuple[FieldPath, str]:
    """Path and text of a filter key (`?$…`): elements count where what is at the path is, as text, this text."""
    path, _, wanted = key[1:].partition("==")
    return parse_path(path), wanted[1:-1] if wanted[:1] in ("'", '"') else wanted


def _segment_text(key: str) -> str:
    if key.startswith("?$"):
        return f"[?@{key[2:]}]"
    return f".{key}" if _PLAIN.fullmatch(key) else _quoted(key)


def _quoted(key: str) -> str:
    return f'["{key}"]' if "'" in key else f"['{key}']"
