"""When a payload says that it was measured: exactly, in the fleet's zone, or refused."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from gaugecast.config.schema import Loop
from gaugecast.payloads import Decoder
from gaugecast.records import Kind
from support.payloads import NOW_NS, decode, make_fleet, make_message, only, reason_of


@pytest.mark.parametrize(
    ("unit", "text", "at_ns"),
    [
        ("s", "1767225599", 1_767_225_599_000_000_000),
        ("s", "1767225599.123456789", 1_767_225_599_123_456_789),
        ("s", "1767225599.1", 1_767_225_599_100_000_000),
        ("s", "1.7672255991e9", 1_767_225_599_100_000_000),
        ("s", '"1767225599.5"', 1_767_225_599_500_000_000),
        ("s", "-1.5", -1_500_000_000),
        ("ms", "1767225599123", 1_767_225_599_123_000_000),
        ("ms", "1767225599123.5", 1_767_225_599_123_500_000),
        ("us", "1767225599123456", 1_767_225_599_123_456_000),
        ("ns", "1767225599123456789", 1_767_225_599_123_456_789),
        ("iso8601", '"2026-01-01T00:00:00Z"', NOW_NS),
        ("iso8601", '"2026-01-01T01:00:00.5+01:00"', NOW_NS + 500_000_000),
        ("iso8601", '"2025-12-31 23:59:59.123456789Z"', NOW_NS - 876_543_211),
        ("iso8601", '"2025-12-31T23:59:59.1234567+00:00"', NOW_NS - 876_543_300),
        ("iso8601", '"20260101T000000Z"', NOW_NS),
    ],
)
def test_times_are_exact_to_the_nanosecond_that_their_text_says(unit: Any, text: str, at_ns: int) -> None:
    """Floating point never touches them; both readers agree."""
    body = b'{"t": %s, "pressure": 1}' % text.encode()
    careful = b'{"t": %s, "pressure": 1, "temperature": "x"}' % text.encode()  # a wrong type is not plain
    fleet = make_fleet(time_unit=unit)
    assert only(decode(body, fleet)).key == at_ns
    assert only(decode(body, fleet)).at_ns == at_ns
    assert only(decode(careful, fleet)).key == at_ns


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2025-07-01T12:00:00", "2025-07-01T10:00:00Z"),
        ("2025-01-01T12:00:00", "2025-01-01T11:00:00Z"),
        ("2025-10-26T02:30:00", "2025-10-26T01:30:00Z"),  # came twice, both long ago: the second pass
        ("2025-03-30T02:30:00", "2025-03-30T01:30:00Z"),  # never comes: as if the clock had not been changed
        ("2025-10-26T02:30:00+01:00", "2025-10-26T01:30:00Z"),  # an offset overrules the zone
    ],
)
def test_a_time_without_offset_is_local_in_the_fleets_zone(text: str, utc: str) -> None:
    """Summer and winter, and the two nights of change."""
    local = only(decode({"t": text, "pressure": 1}, make_fleet(time_unit="iso8601", timezone="Europe/Berlin")))
    there = only(decode({"t": utc, "pressure": 1}, make_fleet(time_unit="iso8601")))
    assert local.at_ns == there.at_ns


@pytest.mark.parametrize(
    ("unit", "text", "reason"),
    [
        ("s", "1e30", "bad_time"),
        ("s", "1e999999", "bad_time"),
        ("s", "-1e99999999999999999999", "bad_time"),
        ("s", '"NaN"', "bad_time"),
        ("s", '"soon"', "bad_time"),
        ("ns", "9" * 30, "bad_time"),
        ("s", "true", "wrong_type"),
        ("s", "[1]", "wrong_type"),
        ("s", "null", "missing_field"),
        ("iso8601", '"yesterday"', "bad_time"),
        ("iso8601", '"9999-12-31T23:59:59Z"', "bad_time"),
        ("iso8601", '"0001-01-01T00:00:00+23:59"', "bad_time"),
        ("iso8601", "17", "wrong_type"),
    ],
)
def test_a_time_that_is_none_is_refused(unit: Any, text: str, reason: str) -> None:
    """With the reason that fits."""
    assert reason_of(decode(b'{"t": %s, "pressure": 1}' % text.encode(), make_fleet(time_unit=unit))) == reason


def test_a_reading_from_the_far_future_is_refused_and_one_at_the_cap_is_not() -> None:
    """The cap is the larger of 5 minutes and 10 periods."""
    soon = NOW_NS // 10**9 + 300
    assert only(decode({"t": soon, "pressure": 1})).kind is Kind.READING
    assert reason_of(decode({"t": soon + 1, "pressure": 1})) == "far_future"
    hourly = make_fleet(period_ns=3600 * 10**9)
    assert only(decode({"t": soon + 1, "pressure": 1}, hourly)).kind is Kind.READING
    assert reason_of(decode({"t": NOW_NS // 10**9 + 36_001, "pressure": 1}, hourly)) == "far_future"


@pytest.mark.parametrize(
    ("came", "utc"),
    [
        ("2025-10-26T00:31:00Z", "2025-10-26T00:30:00Z"),  # of the first pass, just now
        ("2025-10-26T01:10:00Z", "2025-10-26T00:30:00Z"),  # late; the second pass is nearer, but yet to come
        ("2025-10-26T01:31:00Z", "2025-10-26T01:30:00Z"),  # of the second pass
        ("2025-10-26T09:00:00Z", "2025-10-26T01:30:00Z"),
    ],
)
def test_of_an_hour_that_comes_twice_the_pass_nearer_to_now_is_meant(came: str, utc: str) -> None:
    """ISO 8601 or a format of one's own; plain payloads and others."""
    now_ns = round(datetime.fromisoformat(came).timestamp()) * 10**9
    at_ns = round(datetime.fromisoformat(utc).timestamp()) * 10**9
    iso = make_fleet(time_unit="iso8601", timezone="Europe/Berlin")
    own = make_fleet(time_format="%d.%m.%Y %H:%M", timezone="Europe/Berlin")
    for fleet, stamp in ((iso, "2025-10-26T02:30:00"), (own, "26.10.2025 02:30")):
        for temperature in (1, "x"):
            message = make_message({"t": stamp, "pressure": 1, "temperature": temperature})
            assert only(Decoder([fleet], Loop()).decode([message], now_ns)).at_ns == at_ns
