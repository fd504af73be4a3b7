"""Paths into a JSON payload: `$.data.p`, `$['x y']`, `$.values[0]`; a small part of RFC 9535."""

from __future__ import annotations

import re

from gaugecast.errors import ConfigError

#: Keys from the outside in. A key of digits also indexes an array. Empty = the whole.
FieldPath = tuple[str, ...]

_SEGMENT = re.compile(r"""\.([^.\[\]'"\s]+)|\['([^']*)'\]|\["([^"]*)"\]|\[(\d+)\]""")

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
        found = _SEGMENT.match(text, position)
        if found is None:
            raise ConfigError(
                f"path {text!r}: expected `.key`, `['key']` or `[0]` at character {position + 1}, "
                f"got {text[position:]!r}"
            )
        keys.append(next(group for group in found.groups() if group is not None))
        position = found.end()
    return tuple(keys)


def path_text(path: FieldPath) -> str:
    """Inverse of `parse_path`: `("data", "x y")` gives `$.data['x y']`."""
    return "$" + "".join(f".{key}" if _PLAIN.fullmatch(key) else _quoted(key) for key in path)


def _quoted(key: str) -> str:
    return f'["{key}"]' if "'" in key else f"['{key}']"
