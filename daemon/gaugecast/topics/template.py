"""Templates: how captured topic levels and payload fields become stream ids and output topics."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gaugecast.errors import ConfigError
from gaugecast.topics.path import FieldPath, parse_path
from gaugecast.topics.publishable import topic_fault

MAX_STREAM_BYTES = 256

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Capture:
    """A placeholder that a topic level fills."""

    name: str


@dataclass(frozen=True, slots=True)
class Template:
    """Text with placeholders: `{name}` for a captured level, `{$.path}` for a field of the payload.

    Attributes:
        parts: Literal text, a `Capture`, or the path of a payload field.
    """

    text: str
    parts: tuple[str | Capture | FieldPath, ...]

    @classmethod
    def parse(cls, text: str) -> Template:
        """Read a template.

        Raises:
            ConfigError: A brace is open, a placeholder has no name, or two stand side by side, so that
                different captures could give the same text.
        """
        parts: list[str | Capture | FieldPath] = []
        position = 0
        for found in _PLACEHOLDER.finditer(text):
            literal = text[position : found.start()]
            if literal:
                parts.append(literal)
            elif parts:
                raise ConfigError(f"template {text!r}: put a separator such as `/` before `{found[0]}`")
            parts.append(_placeholder(text, found[1]))
            position = found.end()
        if text[position:]:
            parts.append(text[position:])
        if not parts or any(isinstance(part, str) and ("{" in part or "}" in part) for part in parts):
            raise ConfigError(f"template {text!r}: expected text with `{{name}}` or `{{$.path}}` in closed braces")
        return cls(text, tuple(parts))

    @property
    def captures(self) -> tuple[str, ...]:
        """Names of the captured levels that the template needs."""
        return tuple(part.name for part in self.parts if isinstance(part, Capture))

    @property
    def paths(self) -> tuple[FieldPath, ...]:
        """Payload fields that the template needs, in the order of their places."""
        return tuple(part for part in self.parts if isinstance(part, tuple))

    def render(self, captures: Mapping[str, str], fields: Sequence[str] = ()) -> str:
        """Fill in the captures, and the payload fields in the order of `paths`."""
        rest = iter(fields)
        return "".join(
            part if isinstance(part, str) else captures[part.name] if isinstance(part, Capture) else next(rest)
            for part in self.parts
        )


def _placeholder(template: str, inner: str) -> Capture | FieldPath:
    if inner.startswith("$"):
        path = parse_path(inner)
        if not path:
            raise ConfigError(f"template {template!r}: `{{$}}` is the whole payload; name a field, `{{$.device}}`")
        return path
    if not _NAME.fullmatch(inner):
        raise ConfigError(f"template {template!r}: expected `{{name}}` or `{{$.path}}`, got `{{{inner}}}`")
    return Capture(inner)


def stream_fault(stream: str, topic: str) -> str:
    """Why `stream` cannot be an id whose forecasts go to `topic`, or an empty text where it can."""
    if not stream:
        return "expected a stream id, got an empty one"
    size = len(stream.encode(errors="replace"))
    if size > MAX_STREAM_BYTES:
        return f"a stream id has at most {MAX_STREAM_BYTES} bytes, got {size}"
    fault = topic_fault(topic)
    return fault and f"an id whose forecasts cannot be published: {fault}"
