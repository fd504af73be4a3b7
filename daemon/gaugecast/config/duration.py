"""Durations as people write them: `500ms`, `1s`, `5m`, `1h`, `1d`, or a number of seconds."""

from __future__ import annotations

import re
from decimal import Decimal

from gaugecast.errors import ConfigError

_UNIT_NS = {
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "min": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
}
_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,9})?) ?(ms|s|m|min|h|d)?")
_LONGEST_NS = 36_525 * _UNIT_NS["d"]  # a century


def parse_duration_ns(text: str | float) -> int:
    """Nanoseconds of a duration; a bare number is seconds.

    Raises:
        ConfigError: Not a duration, shorter than zero or longer than a century.
    """
    found = _DURATION.fullmatch(_plain(text))
    if found is None:
        raise ConfigError(f"expected a duration such as `500ms`, `1s`, `5m`, `1h`, `1d` or seconds, got {text!r}")
    duration_ns = round(Decimal(found[1]) * _UNIT_NS[found[2] or "s"])
    if duration_ns > _LONGEST_NS:
        raise ConfigError(f"expected a duration of at most a century, got {text!r}")
    return duration_ns


def duration_text(duration_ns: int) -> str:
    """Inverse of `parse_duration_ns`, in the largest unit that divides it: `90s`, `5m`, `500ms`."""
    for unit in ("d", "h", "m", "s", "ms"):
        if duration_ns and duration_ns % _UNIT_NS[unit] == 0:
            return f"{duration_ns // _UNIT_NS[unit]}{unit}"
    return f"{duration_ns / 1e6:g}ms"


def ahead_text(steps: int, period_ns: int, *, timed: bool = True) -> str:
    """How far ahead so many steps are: a duration; of rows without times the number of steps."""
    return duration_text(steps * period_ns) if timed else str(steps)


def _plain(text: str | float) -> str:
    """Digits without an exponent, so that 1e-3 is a duration, too."""
    return text.strip() if isinstance(text, str) else format(Decimal(repr(text)), "f")
