"""Event times: from numbers and ISO 8601 texts to nanoseconds since 1970-01-01 UTC, without rounding on the way."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Raw

from gaugecast.fleet import Fleet
from gaugecast.records import FIRST_NS, LAST_NS

#: Of a clock: takes the raw value and when it came, ns; raises ValueError or ArithmeticError where it is no instant.
Clock = Callable[[Any, int], int]

SCALE_NS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
FAR_FUTURE_NS = 300 * 10**9

_LONGEST = 40  # digits and point of a plain number; that of any instant has fewer
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_NS = 86_400 * 10**9
_YEAR_NS = 31_556_952 * 10**9
_WITH_TIME = 11  # characters; a day alone has at most ten
_LONGEST = 40  # characters of a number that is read in a column; Python makes no int of more than 4300 digits
_FRACTION = re.compile(r"[.,](\d+)")
_WIDEST = Decimal(10) ** 20  # bounds the digits before a float with a huge exponent becomes an int


def clock_of(fleet: Fleet) -> Clock:
    """What turns the fleet's raw event times into nanoseconds, none of them before the fleet's floor."""
    zone = ZoneInfo(fleet.timezone)
    if fleet.time_format:
        return _text_clock(fleet, zone)
    if fleet.time_unit == "iso8601":
        return _iso_clock(fleet, zone)
    return _number_clock(fleet, SCALE_NS[fleet.time_unit])


def column_ns(texts: Sequence[Raw], scale_ns: int) -> list[int] | None:
    """Many plain numbers at once, exactly: digits, perhaps a point and not more digits than nanoseconds have.

    Args:
        texts: Each a number in JSON.
        scale_ns: Nanoseconds of the unit, a power of ten.

    Returns `None` where one of them is anything else: a sign, an exponent, more digits, no number.
    """
    try:
        joined = b",".join(texts)
    except TypeError:  # one is absent
        return None
    if joined.translate(None, b"0123456789.,") or max(map(len, joined.split(b","))) > _LONGEST:
        return None
    numbers = joined.split(b",")
    if max(map(len, numbers)) > _LONGEST:  # Python refuses to read thousands of digits
        return None
    if b"." not in joined:
        return [int(number) * scale_ns for number in numbers]
    digits = len(str(scale_ns)) - 1  # behind the point
    parts = [number.partition(b".") for number in numbers]
    if max(len(decimals) for _, _, decimals in parts) > digits:
        return None
    return [int(whole + decimals.ljust(digits, b"0")) for whole, _, decimals in parts]


def latest_ns(fleet: Fleet, received_at_ns: int) -> int:
    """The last event time that is not `far_future`: 5 minutes or 10 periods ahead, whichever is more."""
    return received_at_ns + max(FAR_FUTURE_NS, 10 * fleet.period_ns)


def _number_clock(fleet: Fleet, scale_ns: int) -> Clock:
    offset_ns, floor_ns = fleet.time_offset_ns, fleet.time_floor_ns

    def read(stamp: int | Decimal, _near_ns: int) -> int:
        """Integers exactly; decimals exactly to the nanosecond, then rounded half to even."""
        if type(stamp) is int:
            at_ns = stamp * scale_ns
        else:
            at_ns = round(stamp * scale_ns) if -_WIDEST < stamp < _WIDEST else LAST_NS + 1
        return _within(at_ns + offset_ns, floor_ns, stamp)

    return read


def _iso_clock(fleet: Fleet, zone: ZoneInfo) -> Clock:
    offset_ns, floor_ns = fleet.time_offset_ns, fleet.time_floor_ns
    shortest = 0 if fleet.period_ns >= _DAY_NS else _WITH_TIME

    def read(text: str, near_ns: int) -> int:
        """ISO 8601; a text without offset is local time in the fleet's zone.

        Of an hour that daylight saving repeats the pass nearer to its arrival is taken, one that it skips as if the
        clock had not been changed (PEP 495). A sensor whose readings come an hour late has to send an offset.
        """
        if len(text) < shortest:
            raise ValueError(f"expected a day with a time of day, got {text!r}")
        at_ns = _since_epoch(datetime.fromisoformat(text), zone, near_ns - offset_ns)
        if len(text) > 26:  # longer than to the microsecond without offset
            at_ns += _below_microseconds(text)
        return _within(at_ns + offset_ns, floor_ns, repr(text))

    return read


def _text_clock(fleet: Fleet, zone: ZoneInfo) -> Clock:
    offset_ns, floor_ns, form = fleet.time_offset_ns, fleet.time_floor_ns, fleet.time_format

    def read(stamp: Any, near_ns: int) -> int:
        """A text as `strptime` reads it by the fleet's format; local time in the fleet's zone without `%z`."""
        at_ns = _since_epoch(datetime.strptime(str(stamp).strip(), form), zone, near_ns - offset_ns)
        return _within(at_ns + offset_ns, floor_ns, repr(stamp))

    return read


def _since_epoch(moment: datetime, zone: ZoneInfo, near_ns: int) -> int:
    if moment.tzinfo is not None:
        return _unix_ns(moment)
    first_ns = _unix_ns(moment.replace(tzinfo=zone))
    if zone.key == "UTC":
        return first_ns
    later_ns = _unix_ns(moment.replace(tzinfo=zone, fold=1))  # less than the first where an hour is skipped
    nearer = later_ns > first_ns and abs(later_ns - near_ns) < abs(first_ns - near_ns)
    return later_ns if nearer and later_ns <= near_ns + FAR_FUTURE_NS else first_ns


def _unix_ns(moment: datetime) -> int:
    since = moment - _EPOCH
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000


def _within(at_ns: int, floor_ns: int, stamp: object) -> int:
    if at_ns < floor_ns:
        raise ValueError(f"expected a time after {_EPOCH.year + floor_ns // _YEAR_NS}, got {stamp}")
    if not FIRST_NS <= at_ns <= LAST_NS:
        raise ValueError(f"expected a time between the years 1830 and 2110, got {stamp}")
    return at_ns


def _below_microseconds(text: str) -> int:
    """The nanoseconds that `fromisoformat` cuts off."""
    fraction = _FRACTION.search(text)
    return int(fraction[1][6:9].ljust(3, "0")) if fraction else 0
