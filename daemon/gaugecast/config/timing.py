"""How long a fleet waits, and for what: from the tables to what gates, timers and ticks take."""

from __future__ import annotations

import re
from typing import Any

from gaugecast.config.decoding import OWN_TIME
from gaugecast.config.duration import parse_duration_ns
from gaugecast.config.fleet_table import FleetTable
from gaugecast.errors import ConfigError
from gaugecast.topics import FieldPath, parse_path

PARK_AFTER_NS = 7 * 86_400 * 10**9
STALE_LEAST_NS = 10 * 10**9
#: Of a stream that is silent for so many periods each would be a step, when it speaks again all at once.
MOST_HELD = 10_000
_TIME_OF_DAY = re.compile("([01][0-9]|2[0-3]):([0-5][0-9])", re.ASCII)


def keys_of(fleet: str, table: FleetTable, period_ns: int) -> dict[str, Any]:
    """What a fleet's table says of silence, stragglers and what begins anew.

    Raises:
        ConfigError: A key makes no sense, or makes none beside the others.
    """
    hold_ns, lateness_ns = _hold(fleet, table, period_ns), _lateness(fleet, table)
    stale_ns = _or(fleet, "stale_after", table.stale_after, max(10 * period_ns, STALE_LEAST_NS, hold_ns))
    return {
        "grace_ns": _or(fleet, "grace", table.grace, period_ns // (10 if hold_ns else 2)),
        "hold_ns": hold_ns,
        "lateness_ns": lateness_ns,
        "tolerant": not table.strict,
        "begins_path": _begins(fleet, table),
        "begins_at": _begins_at(fleet, table),
        "stale_after_ns": stale_ns,
        "park_after_ns": _or(fleet, "park_after", table.park_after, max(PARK_AFTER_NS, 2 * stale_ns, lateness_ns)),
    }


def duration_ns(fleet: str, key: str, text: str | float) -> int:
    """A duration that a fleet's key says.

    Raises:
        ConfigError: It is none.
    """
    try:
        return parse_duration_ns(text)
    except ConfigError as exc:
        raise ConfigError(f"[fleet.{fleet}] {key}: {exc}") from exc


def _or(fleet: str, key: str, text: str | float | None, default_ns: int) -> int:
    return default_ns if text is None else duration_ns(fleet, key, text)


def _begins(fleet: str, table: FleetTable) -> FieldPath | None:
    if table.begins is None:
        return None
    if table.payload == "number":
        raise ConfigError(f'[fleet.{fleet}] begins: payload = "number" has no fields; leave `begins` out')
    try:
        return parse_path(table.begins)
    except ConfigError as exc:
        raise ConfigError(f"[fleet.{fleet}] begins: {exc}") from exc


def _begins_at(fleet: str, table: FleetTable) -> tuple[int, ...]:
    """Minutes of the day."""
    if table.begins_at and table.begins is not None:
        raise ConfigError(
            f"[fleet.{fleet}] begins_at: a field or the time of day begins a sequence; leave out `begins`"
        )
    found = [_TIME_OF_DAY.fullmatch(text) for text in table.begins_at]
    for text, match in zip(table.begins_at, found, strict=True):
        if match is None:
            raise ConfigError(f'[fleet.{fleet}] begins_at: expected a time of the day such as "06:00", got {text!r}')
    return tuple(sorted({60 * int(match[1]) + int(match[2]) for match in found if match is not None}))


def _timed(table: FleetTable) -> bool:
    return table.time is not None or (table.payload in OWN_TIME and table.sequence is None)


def _hold(fleet: str, table: FleetTable, period_ns: int) -> int:
    hold_ns = _or(fleet, "hold", table.hold, 0)
    if not hold_ns:
        return 0
    if table.sequence is not None or (table.time is None and table.untimed == "step"):
        raise ConfigError(
            f"[fleet.{fleet}] hold: each reading is a step of its own here, so there is no silence between two; leave "
            "`sequence` and `untimed` out, or `hold`"
        )
    if not period_ns <= hold_ns <= MOST_HELD * period_ns:
        raise ConfigError(
            f"[fleet.{fleet}] hold: expected one period to {MOST_HELD:,} periods of {table.period}, got {table.hold!r}"
        )
    return hold_ns


def _lateness(fleet: str, table: FleetTable) -> int:
    lateness_ns = _or(fleet, "lateness", table.lateness, 0)
    if not lateness_ns:
        return 0
    if not _timed(table):
        raise ConfigError(
            f"[fleet.{fleet}] lateness: without `time` a reading's place is that of its arrival, and none is late"
        )
    if table.begins is not None or table.begins_at:
        raise ConfigError(f"[fleet.{fleet}] lateness: not beside `begins`: a sequence ends where another begins")
    if table.hold is not None:
        raise ConfigError(
            f"[fleet.{fleet}] lateness: not beside `hold`, by which a gap is no gap: there is nothing to wait for"
        )
    return lateness_ns
