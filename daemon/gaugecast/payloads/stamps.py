"""Event times as the careful reader takes them: a complaint about one names the key that mends it."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from gaugecast.errors import DecodeError
from gaugecast.fleet import FLOOR_NS, Fleet
from gaugecast.payloads.instants import SCALE_NS, clock_of, latest_ns
from gaugecast.payloads.wording import cut, named

_HOUR_NS = 3600 * 10**9
_DAY_NS = 24 * _HOUR_NS
_AGO_NS = 3653 * 24 * _HOUR_NS
#: Formats that devices are known to write, tried for the hint. The day comes before the month where both fit.
KNOWN_FORMATS = (
    "%Y.%m.%d %H:%M:%S", "%d.%m.%Y %H:%M:%S", "%d.%m.%Y, %H:%M:%S", "%d.%m.%Y %H:%M", "%Y/%m/%d %H:%M:%S",
    "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p", "%Y%m%d%H%M%S", "%y%m%d%H%M%S", "%y%m%d%H%M%SW",
    "%y%m%d%H%M%SS", "%a, %d %b %Y %H:%M:%S %z", "%a, %d %b %Y %H:%M:%S %Z", "%a %b %d %H:%M:%S %Y",
    "%d %b %Y %H:%M:%S", "%d-%m-%Y %H:%M:%S",
)  # fmt: skip
_ARRIVAL = "leave `time` out, and the time of arrival counts"


class Stamps:
    """Reads the event times of one fleet."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet, self._clock = fleet, clock_of(fleet)

    def read(self, stamp: Any, received_at_ns: int) -> int:
        """An event time in nanoseconds.

        Raises:
            DecodeError: `wrong_type`, `bad_time` or `far_future`.
        """
        at_ns = self._instant(stamp, received_at_ns)
        if at_ns > latest_ns(self._fleet, received_at_ns):
            raise DecodeError("far_future", cut(self._ahead(stamp, at_ns, received_at_ns)))
        return at_ns

    def _instant(self, stamp: Any, received_at_ns: int) -> int:
        fleet = self._fleet
        if type(stamp) is float and math.isfinite(stamp):
            stamp = Decimal(repr(stamp))
        if type(stamp) not in (str, int, Decimal):
            raise DecodeError("wrong_type", f"time: expected a number or a text, got {named(stamp)}")
        try:
            if fleet.time_format:
                return self._clock(stamp, received_at_ns)
            if fleet.time_unit == "iso8601":
                if type(stamp) is not str:
                    raise DecodeError("wrong_type", self._complaint(stamp, received_at_ns))
                return self._clock(stamp, received_at_ns)
            return self._clock(Decimal(stamp) if type(stamp) is str else stamp, received_at_ns)
        except (ValueError, ArithmeticError) as exc:
            raise DecodeError("bad_time", cut(self._complaint(stamp, received_at_ns))) from exc

    def _complaint(self, stamp: Any, received_at_ns: int) -> str:
        fleet = self._fleet
        expected = repr(fleet.time_format) if fleet.time_format else f'time_unit = "{fleet.time_unit}"'
        got = f"the text {stamp[:40]!r}" if type(stamp) is str else str(stamp)[:40]
        return f"expected a time in {expected}, got {got}; {_remedy(fleet, stamp, received_at_ns)}"

    def _ahead(self, stamp: Any, at_ns: int, received_at_ns: int) -> str:
        ahead_ns = at_ns - received_at_ns
        text = f"{_hours(ahead_ns)} ahead of its arrival, {_shown(at_ns)}; "
        if ahead_ns > _DAY_NS:
            return text + "is the sensor's clock right?"
        if type(stamp) is str and not _is_number(stamp):
            if says_no_zone(stamp):
                return text + 'is it local time? set timezone = "Europe/Berlin", say, or a time_offset such as "-1h"'
            return text + "is the sensor's clock right? a time_offset mends a constant error"
        return text + 'is the clock set to local time? set time_offset = "-1h", or what it is'


def _remedy(fleet: Fleet, stamp: Any, received_at_ns: int) -> str:
    """What to write in the file so that this is a time near its arrival."""
    for unit in (*SCALE_NS, "iso8601"):
        if unit != fleet.time_unit or fleet.time_format:
            at_ns = _as_if(fleet, stamp, time_unit=unit, time_format="")
            if at_ns is not None and received_at_ns - _AGO_NS < at_ns < received_at_ns + 30 * _HOUR_NS:
                return f'set time_unit = "{unit}"'
    if (type(stamp) is str and not _is_number(stamp)) or len(str(stamp)) >= 12:
        for form in KNOWN_FORMATS:
            if _as_if(fleet, stamp, time_format=form) is not None:
                return f'set time_format = "{form}"'
    if _is_number(stamp):
        return f"a clock that counts from its start? {_ARRIVAL}, or set time_offset"
    return f"set time_format to its strptime format, or {_ARRIVAL}"


def _as_if(fleet: Fleet, stamp: Any, **keys: Any) -> int | None:
    read = clock_of(replace(fleet, time_floor_ns=FLOOR_NS, **keys))
    numeric = not keys["time_format"] and keys["time_unit"] != "iso8601"
    try:
        return read(Decimal(stamp) if numeric else str(stamp), 0)
    except (ValueError, ArithmeticError):
        return None


def _is_number(stamp: Any) -> bool:
    try:
        return Decimal(stamp).is_finite()
    except InvalidOperation:
        return False


def says_no_zone(stamp: str) -> bool:
    """Whether a text is a time without zone or offset."""
    return re.search(r"(?:[Zz]|[+-]\d\d:?\d\d|GMT|UTC)\s*$", stamp) is None


def _hours(span_ns: int) -> str:
    seconds = span_ns / 1e9
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size or (unit == "h" and seconds >= size):
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def _shown(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
