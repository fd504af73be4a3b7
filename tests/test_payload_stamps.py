"""Complaints about event times: each names the key that mends it, and speaks in hours."""

from __future__ import annotations

from typing import Any

import pytest

from gaugecast.errors import DecodeError
from gaugecast.fleet import FLOOR_NS
from gaugecast.payloads.stamps import Stamps
from support.payloads import NOW_NS, make_fleet

NOW_S = NOW_NS // 10**9


def complaint_of(stamp: Any, **keys: Any) -> str:
    """What is said of a stamp that is refused."""
    with pytest.raises(DecodeError) as refused:
        Stamps(make_fleet(time_floor_ns=FLOOR_NS, **keys)).read(stamp, NOW_NS)
    return str(refused.value)


@pytest.mark.parametrize(
    ("stamp", "unit", "remedy"),
    [
        ("2026-01-01T00:00:00Z", "s", 'time_unit = "iso8601"'),
        (NOW_S * 1000, "s", 'time_unit = "ms"'),
        (NOW_S, "ms", 'time_unit = "s"'),
        (str(NOW_S), "iso8601", 'time_unit = "s"'),
        (NOW_NS, "iso8601", 'time_unit = "ns"'),
        ("31.12.2025 23:59:00", "iso8601", 'time_format = "%d.%m.%Y %H:%M:%S"'),
        ("Wed, 31 Dec 2025 23:59:00 +0000", "s", 'time_format = "%a, %d %b %Y %H:%M:%S %z"'),
        ("251231235900W", "iso8601", 'time_format = "%y%m%d%H%M%SW"'),
        ("20251231235900", "iso8601", 'time_format = "%Y%m%d%H%M%S"'),
        ("2025-12-31", "iso8601", "leave `time` out"),
        ("23:59:00", "iso8601", "leave `time` out"),
        (4129.3, "s", "leave `time` out"),
        (0, "s", "leave `time` out"),
    ],
)
def test_a_time_that_cannot_be_read_names_the_key(stamp: Any, unit: Any, remedy: str) -> None:
    """Units, formats, and clocks that count from their own start."""
    assert remedy in complaint_of(stamp, time_unit=unit)


@pytest.mark.parametrize(
    ("stamp", "unit", "words"),
    [
        ("2026-01-01T01:00:00", "iso8601", ("1.0 h ahead", "timezone")),
        ("2026-01-01T02:00:00Z", "iso8601", ("2.0 h ahead", "time_offset")),
        (NOW_S + 3600, "s", ("1.0 h ahead", 'time_offset = "-1h"')),
        (NOW_S + 400, "s", ("6.7 min ahead",)),
        (NOW_S + 86_400 * 40, "s", ("40.0 days ahead", "clock right")),
    ],
)
def test_a_time_ahead_speaks_in_hours(stamp: Any, unit: Any, words: tuple[str, ...]) -> None:
    """And asks for the zone where local time is the likely cause."""
    said = complaint_of(stamp, time_unit=unit)
    assert all(word in said for word in ("far_future", *words))


def test_a_format_and_an_offset_of_ones_own() -> None:
    """Local time of the fleet's zone; numbers are read as their digits; the offset is added."""
    fleet = make_fleet(time_format="%Y%m%d%H%M%S", timezone="Europe/Berlin", time_offset_ns=-(10**9))
    assert Stamps(fleet).read(20260101010000, NOW_NS) == NOW_NS - 10**9
    assert Stamps(fleet).read(" 20260101005959 ", NOW_NS) == NOW_NS - 2 * 10**9


def test_a_day_alone_is_a_time_where_the_period_is_a_day() -> None:
    """Midnight in the fleet's zone."""
    fleet = make_fleet(time_unit="iso8601", period_ns=86_400 * 10**9)
    assert Stamps(fleet).read("2026-01-01", NOW_NS) == NOW_NS
