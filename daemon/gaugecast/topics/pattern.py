"""Subscriptions: topic filters with named levels, and MQTT's rules for them.

Rules of filters and topic names are those of MQTT 5.0, section 4.7; they are the same in 3.1.1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gaugecast.errors import ConfigError
from gaugecast.topics.publishable import text_fault

_CAPTURE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A subscription whose levels, or parts of them, may have names: `plant/{site}/tank_{tank}/telemetry`.

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
        found = _CAPTURE.findall(text)
        if len(set(found)) != len(found):
            raise ConfigError(f"topic pattern {text!r}: each capture may occur once, got {', '.join(found)}")
        levels = text.split("/")
        mqtt_filter = "/".join("+" if part else level for part, level in zip(parts, levels, strict=True))
        check_filter(mqtt_filter)
        return cls(text, mqtt_filter, _CAPTURE.sub("+", text), captures, tuple(parts))

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
    literals, names = _CAPTURE.split(level)[::2], _CAPTURE.findall(level)
    apart = all(literals[1:-1])
    if not names or not apart or any(set(literal) & set("{}+#") for literal in literals):
        raise ConfigError(
            f"topic pattern {text!r}: a capture is a level or a part of one, `{{name}}` of letters, digits and `_`, "
            f"with text between two of them; got the level {level!r}"
        )
    if len(set(names)) != len(names):
        raise ConfigError(f"topic pattern {text!r}: each capture may occur once, got {', '.join(names)}")
    groups = "".join(f"(?P<{name}>.*?){re.escape(rest)}" for name, rest in zip(names, literals[1:], strict=True))
    return re.compile(re.escape(literals[0]) + groups, re.DOTALL)


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
