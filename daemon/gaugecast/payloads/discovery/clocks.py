"""Which field of what came is its event time, and the keys that read it: unit, format, zone, offset."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from gaugecast.fleet import FLOOR_NS, Fleet
from gaugecast.payloads.discovery.heard import NAMES_OF_TIME, Record
from gaugecast.payloads.instants import SCALE_NS, clock_of
from gaugecast.payloads.stamps import KNOWN_FORMATS, says_no_zone
from gaugecast.topics import FieldPath

_MINUTE_NS = 60 * 10**9
_HOUR_NS = 60 * _MINUTE_NS
_DAY_NS = 24 * _HOUR_NS
#: A field called as a time may be so old; another field is one only if it is nearly now.
_OLDEST_NS, _OLDEST_UNNAMED_NS = 3653 * _DAY_NS, _DAY_NS
#: So far a sensor's clock may be ahead.
_AHEAD_NS = 2 * _MINUTE_NS
_FARTHEST_ZONE_H = 14
#: Representatives of the offsets that there are, the machine's own zone before them.
_ZONES = (
    "Europe/Berlin", "Europe/London", "Europe/Helsinki", "Europe/Moscow", "Asia/Dubai", "Asia/Karachi",
    "Asia/Kolkata", "Asia/Dhaka", "Asia/Bangkok", "Asia/Shanghai", "Asia/Tokyo", "Australia/Sydney",
    "Pacific/Auckland", "America/Sao_Paulo", "America/Halifax", "America/New_York", "America/Chicago",
    "America/Denver", "America/Los_Angeles", "America/Anchorage", "Pacific/Honolulu",
)  # fmt: skip
_PLAIN = Fleet("x", ("x",), "x", (), 10**9, time_floor_ns=FLOOR_NS)

Read = Callable[[Any, int], int | None]


class Clock(NamedTuple):
    """Where readings have their time.

    Attributes:
        keys: `key = value` as TOML, beside `time`.
        read: Nanoseconds of a field's value that came at a time, ns; `None` = it is no time.
        note: What was guessed; empty = nothing.
    """

    path: FieldPath
    keys: tuple[str, ...]
    read: Read
    note: str = ""


class _Way(NamedTuple):
    keys: tuple[str, ...]
    changes: dict[str, Any]
    naive: bool  # a text that says no zone


def find_clock(records: Sequence[Record], zone: str) -> Clock | None:
    """The event time of some records of one topic; `None` where they bring none.

    Args:
        zone: The machine's own, tried first where times are local.
    """
    paths = dict.fromkeys(path for record in records for path in record.fields if path)
    for path in sorted(paths, key=lambda path: (not _is_named(path), len(path))):
        stamps = [(record.fields[path], record) for record in records if path in record.fields]
        if len(stamps) * 10 < len(records) * 9:
            continue
        for way in _ways(stamps[-1][0]):
            clock = _tried(path, way, stamps, zone)
            if clock is not None:
                return clock
    return None


def is_instant(value: Any, at_ns: int) -> bool:
    """Whether a value is a time that is nearly now, in any way of writing it."""
    found = (_reader(way)(value, at_ns) for way in _ways(value))
    return any(instant is not None and -_DAY_NS < instant - at_ns < 15 * _HOUR_NS for instant in found)


def _is_named(path: FieldPath) -> bool:
    return path[-1].lower() in NAMES_OF_TIME


def _ways(stamp: Any) -> Iterator[_Way]:
    """How a value could be a time."""
    if type(stamp) not in (str, int, float, Decimal):
        return
    if _is_number(stamp):
        for unit in SCALE_NS:
            yield _Way((f'time_unit = "{unit}"',), {"time_unit": unit}, naive=False)
    if type(stamp) is str:
        naive = says_no_zone(stamp)
        yield _Way(('time_unit = "iso8601"',), {"time_unit": "iso8601"}, naive)
        for form in KNOWN_FORMATS:
            if len(stamp) >= 12:
                yield _Way((f'time_format = "{form}"',), {"time_format": form}, naive and "%z" not in form.lower())


def _is_number(stamp: Any) -> bool:
    try:
        return Decimal(str(stamp)).is_finite()
    except InvalidOperation:
        return False


def _reader(way: _Way, **more: Any) -> Read:
    clock = clock_of(replace(_PLAIN, **way.changes, **more))
    numeric = way.changes.get("time_unit") in SCALE_NS

    def read(stamp: Any, at_ns: int) -> int | None:
        try:
            return clock(Decimal(str(stamp)) if numeric else str(stamp), at_ns)
        except (ValueError, ArithmeticError):
            return None

    return read


def _tried(path: FieldPath, way: _Way, stamps: Sequence[tuple[Any, Record]], zone: str) -> Clock | None:
    """The clock, if a field is one in this way."""
    read = _reader(way)
    found = [(read(stamp, record.at_ns), record.at_ns) for stamp, record in stamps]
    at = [instant for instant, _ in found if instant is not None]
    if len(at) < len(found) or not _runs(at, [arrived for _, arrived in found], named=_is_named(path)):
        return None
    leads = [instant - arrived for instant, arrived in found if instant is not None]
    lead, oldest = max(leads), min(leads)
    if oldest < -(_OLDEST_NS if _is_named(path) else _OLDEST_UNNAMED_NS):
        return None
    offset_h = _hours_off(lead, live=all(record.fresh for _, record in stamps), naive=way.naive)
    if offset_h == 0:
        return Clock(path, way.keys, read) if lead <= _AHEAD_NS else None
    if abs(offset_h) > _FARTHEST_ZONE_H:
        return None
    if not way.naive:
        more = f'time_offset = "{-offset_h}h"'
        return Clock(path, (*way.keys, more), _reader(way, time_offset_ns=-offset_h * _HOUR_NS), "a clock ahead of UTC")
    local = _zone_with(offset_h, max(at), zone)
    if not local:
        return None
    return Clock(
        path, (*way.keys, f'timezone = "{local}"'), _reader(way, timezone=local), "local time: is it this zone?"
    )


def _runs(at: Sequence[int], arrived: Sequence[int], *, named: bool) -> bool:
    """Whether it gets on with the messages; a field that is called so need not where few came."""
    messages, distinct = len(set(arrived)), len(set(at))
    if messages < 4:
        return named or (distinct > 1 and distinct >= messages)
    return distinct * 4 >= messages


def _hours_off(lead_ns: int, *, live: bool, naive: bool) -> int:
    """Whole hours that the newest stamps are ahead (behind: negative) because they are local time."""
    if lead_ns > _AHEAD_NS:
        return math.ceil((lead_ns - _AHEAD_NS) / _HOUR_NS)
    behind, over = divmod(-lead_ns, _HOUR_NS)
    return -behind if naive and live and 3 <= behind <= 10 and over < _AHEAD_NS else 0


def _zone_with(offset_h: int, at_ns: int, own: str) -> str:
    """A zone that is so far ahead of UTC at that time; empty = none that is known."""
    moment = datetime.fromtimestamp(at_ns // 10**9, UTC)
    for name in (own, *_ZONES):
        offset = moment.astimezone(ZoneInfo(name)).utcoffset() if name else None
        if offset is not None and offset.total_seconds() == offset_h * 3600:
            return name
    return ""
