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
    """A subscription whose single-level wildcards may have names: `plant/{site}/{tank}/telemetry`.

    Attributes:
        text: As configured.
        filter: What is sent in SUBSCRIBE, `plant/+/+/telemetry`.
        captures: Names in the order of their levels.
    """

    text: str
    filter: str
    captures: tuple[str, ...]
    _names: tuple[str, ...]  # one a level; "" where the level is not captured

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Read a pattern; captures and wildcards are whole levels, `#` is the last one.

        Raises:
            ConfigError: The pattern, or the filter that it makes, is not allowed.
        """
        names: list[str] = []
        levels: list[str] = []
        for level in text.split("/"):
            name = _CAPTURE.fullmatch(level)
            if name is None and ("{" in level or "}" in level):
                raise ConfigError(
                    f"topic pattern {text!r}: a capture is a whole level, `{{name}}` of letters, digits and `_`; "
                    f"got the level {level!r}"
                )
            names.append(name[1] if name else "")
            levels.append("+" if name else level)
        captures = tuple(name for name in names if name)
        if len(set(captures)) != len(captures):
            raise ConfigError(f"topic pattern {text!r}: each capture may occur once, got {', '.join(captures)}")
        mqtt_filter = "/".join(levels)
        check_filter(mqtt_filter)
        return cls(text, mqtt_filter, captures, tuple(names))

    def match(self, topic: str) -> dict[str, str] | None:
        """Captured levels of `topic`, or `None` where the pattern does not match it."""
        if not filter_matches(self.filter, topic):
            return None
        levels = topic.split("/")
        return {name: level for name, level in zip(self._names, levels, strict=False) if name}


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
