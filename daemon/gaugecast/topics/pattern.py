"""Subscriptions: topic filters with named levels, and MQTT's rules for them.

Rules of filters and topic names are those of MQTT 5.0, section 4.7; they are the same in 3.1.1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gaugecast.errors import ConfigError
from gaugecast.topics.publishable import text_fault

_CAPTURE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(?:=([^{}/+#]+))?\}")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A subscription whose levels, or parts of them, may have names: `plant/{site}/tank_{tank}/telemetry`.

    `{site=north}` captures the text `north` and no other.

    Attributes:
        text: As configured.
        filter: What is sent in SUBSCRIBE, `plant/+/+/telemetry`.
        shape: The same with what is written beside captures, `plant/+/tank_+/telemetry`.
        captures: Names in the order of their places.
    """

    text: str
    filter: str
    shape: str
    captures: tuple[str, ...]
    _levels: tuple[re.Pattern[str] | None, ...]  # one a level; None where nothing is captured

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Read a pattern; wildcards are whole levels, `#` is the last one; a level may have text beside a capture.

        Raises:
            ConfigError: The pattern, or the filter that it makes, is not allowed.
        """
        parts = [_parse_level(text, level) for level in text.split("/")]
        captures = tuple(name for part in parts if part for name in part.groupindex)
        found = [match[1] for match in _CAPTURE.finditer(text)]
        if len(set(found)) != len(found):
            raise ConfigError(f"topic pattern {text!r}: each capture may occur once, got {', '.join(found)}")
        levels = text.split("/")
        mqtt_filter = "/".join(_asked(level) for level in levels)
        check_filter(mqtt_filter)
        return cls(text, mqtt_filter, _shape(text), captures, tuple(parts))

    def fixed(self, name: str, value: str) -> str:
        """The text of a pattern that matches what this does where `name` captures `value`, and nothing else.

        Raises:
            ConfigError: No pattern can say this value.
        """
        if not value or set(value) & set("{}/+#"):
            raise ConfigError(f"topic pattern {self.text!r}: {value!r} cannot be written into {{{name}=…}}")
        return self.text.replace(f"{{{name}}}", f"{{{name}={value}}}")

    def match(self, topic: str) -> dict[str, str] | None:
        """Captured parts of `topic`, or `None` where the pattern does not match it."""
        if not filter_matches(self.filter, topic):
            return None
        captured: dict[str, str] = {}
        for pattern, level in zip(self._levels, topic.split("/"), strict=False):
            if pattern is not None:
                found = pattern.fullmatch(level)
                if found is None:
                    return None
                captured.update(found.groupdict())
        return captured


def _parse_level(text: str, level: str) -> re.Pattern[str] | None:
    """What matches a level with captures; of two captures in it the first takes as little as it can."""
    if "{" not in level and "}" not in level:
        return None
    pieces = _CAPTURE.split(level)
    literals, names, values = pieces[::3], pieces[1::3], pieces[2::3]
    apart = all(literals[1:-1])
    if not names or not apart or any(set(literal) & set("{}+#") for literal in literals):
        raise ConfigError(
            f"topic pattern {text!r}: a capture is a level or a part of one, `{{name}}` of letters, digits and `_`, "
            f"with text between two of them; got the level {level!r}"
        )
    if len(set(names)) != len(names):
        raise ConfigError(f"topic pattern {text!r}: each capture may occur once, got {', '.join(names)}")
    groups = "".join(
        f"(?P<{name}>{'.*?' if value is None else re.escape(value)}){re.escape(rest)}"
        for name, value, rest in zip(names, values, literals[1:], strict=True)
    )
    return re.compile(re.escape(literals[0]) + groups, re.DOTALL)


def _shape(text: str) -> str:
    """The text with `+` for what captures anything, and what stands there for what captures one text."""
    return _CAPTURE.sub(lambda match: match[2] or "+", text)


def _asked(level: str) -> str:
    """What a broker is asked for in place of a level: wildcards are whole levels."""
    shape = _shape(level)
    return "+" if shape != level and "+" in shape else shape


def check_filter(text: str) -> None:
    """Raise ConfigError unless `text` is a topic filter that a broker accepts."""
    levels = text.split("/")
    fault = text_fault(text)
    if fault:
        raise ConfigError(f"topic filter {text[:80]!r}: {fault}")
    if levels[0] == "$share":
        raise ConfigError(
            f"topic filter {text!r}: shared subscriptions would spread one stream over several daemons, each with "
            "half of its state; subscribe to disjoint topics instead"
        )
    for position, level in enumerate(levels):
        if "#" in level and (level != "#" or position != len(levels) - 1):
            raise ConfigError(
                f"topic filter {text!r}: `#` must be the whole last level, got {level!r} as level {position + 1} of "
                f"{len(levels)}"
            )
        if "+" in level and level != "+":
            raise ConfigError(f"topic filter {text!r}: `+` must be a whole level, got the level {level!r}")


def filter_matches(mqtt_filter: str, topic: str) -> bool:
    """Whether a broker would send `topic` to a subscriber of `mqtt_filter` (MQTT 5.0, 4.7.1 and 4.7.2)."""
    if topic.startswith("$") and mqtt_filter[:1] in ("+", "#"):
        return False
    wanted = mqtt_filter.split("/")
    levels = topic.split("/")
    for position, level in enumerate(wanted):
        if level == "#":
            return True  # stands for the parent level, too
        if position == len(levels):
            return wanted[position:] == ["#"]
        if level not in ("+", levels[position]):
            return False
    return len(wanted) == len(levels)
