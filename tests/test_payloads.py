"""Payloads: what a reading is, each reason to refuse one, and that no bytes ever raise."""

from __future__ import annotations

import json
import math
import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gaugecast.config.schema import Loop
from gaugecast.fleet import Feature, Fleet
from gaugecast.payloads import Decoder
from gaugecast.pipeline.intake import Deliveries
from gaugecast.records import REJECT_REASONS, Input, Kind
from support.payloads import (
    FEATURES,
    NOW_NS,
    TOPIC,
    careful_decoder,
    decode,
    make_fleet,
    make_message,
    only,
    reason_of,
    taken_quickly,
    values_of,
)


def test_a_json_object_is_one_reading_of_the_stream_that_its_topic_names() -> None:
    """All fields of the input are as the message says."""
    decoded = decode({"t": 1767225599.25, "pressure": 2.5, "temperature": 40}, dup=True)
    assert only(decoded) == Input(
        kind=Kind.READING,
        fleet="tanks",
        stream="north/t7",
        at_ns=NOW_NS - 750_000_000,
        received_at_ns=NOW_NS,
        values=struct.pack("<2d", 2.5, 40.0),
        key=NOW_NS - 750_000_000,
        delivery=0,
        dup=True,
        reason="",
    )
    assert decoded.refused == []


@pytest.mark.parametrize("absent", [{}, {"temperature": None}])
def test_an_absent_feature_and_a_null_are_nan(absent: dict[str, None]) -> None:
    """The other features are taken."""
    pressure, temperature = values_of(only(decode({"t": 1, "pressure": 2, **absent})))
    assert pressure == 2
    assert math.isnan(temperature)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("11", "out_of_range"),
        ("-0.1", "out_of_range"),
        ("1e999", "not_finite"),
        ("NaN", "not_finite"),
        ("-Infinity", "not_finite"),
        ("9" * 400, "not_finite"),
        ('"high"', "wrong_type"),
        ("true", "wrong_type"),
        ("[2.5]", "wrong_type"),
        ("{}", "wrong_type"),
    ],
)
def test_a_bad_feature_is_refused_alone_and_with_none_left_the_reading(value: str, reason: str) -> None:
    """The good feature is taken as if the bad one were absent, and the quarantine is told."""
    decoded = decode(b'{"t": 1, "pressure": %s, "temperature": 20}' % value.encode())
    pressure, temperature = values_of(only(decoded))
    assert math.isnan(pressure)
    assert temperature == 20
    assert [refused.reason for refused in decoded.refused] == [reason]
    assert "pressure" in decoded.refused[0].detail
    assert reason_of(decode(b'{"t": 1, "pressure": %s}' % value.encode())) == reason


def test_the_bounds_of_a_valid_range_are_valid() -> None:
    """0 and 10 themselves."""
    assert [values_of(only(decode({"t": 1, "pressure": p})))[0] for p in (0, 10)] == [0, 10]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"{", "not_json"),
        (b'{"t": 1, "pressure": 01}', "not_json"),
        (b"[" * 100_000, "not_json"),
        (b'{"x": NaN' + b"[" * 100_000, "not_json"),
        (b'{"t": 1, "pressure": 1, "name": "\xff"}', "not_utf8"),
        (b"17", "wrong_type"),
        (b'"text"', "wrong_type"),
        (b"null", "wrong_type"),
        (b'{"pressure": 1}', "missing_field"),
        (b" " * 262_145, "too_large"),
        (b"[" + b"{}," * 10_000 + b"{}]", "too_many_readings"),
    ],
)
def test_a_message_that_holds_no_reading_is_one_reject(payload: bytes, reason: str) -> None:
    """With its reason, and the payload's first bytes in the quarantine."""
    decoded = decode(payload)
    assert reason_of(decoded) == reason
    assert decoded.refused[0].head == payload[:256]
    assert decoded.refused[0].topic == TOPIC


def test_an_array_is_as_many_readings_each_with_its_own_fate() -> None:
    """In order; a bad element does not hurt its neighbours."""
    decoded = decode([{"t": 1, "pressure": 1}, 5, {"t": 2, "pressure": 99}, {"t": 3, "temperature": 3}])
    assert [taken.kind for taken in decoded.inputs] == [Kind.READING, Kind.REJECT, Kind.REJECT, Kind.READING]
    assert [taken.reason for taken in decoded.inputs] == ["", "wrong_type", "out_of_range", ""]
    assert [taken.key for taken in decoded.inputs if taken.kind is Kind.READING] == [10**9, 3 * 10**9]


def test_readings_in_an_envelope_take_what_they_lack_from_the_envelope() -> None:
    """The device is named once, around the readings; a reading's own field comes first."""
    fleet = make_fleet(stream="{site}/{$.device}", records_path=("values",))
    rows = [{"t": 1, "pressure": 1}, {"t": 2, "pressure": 2, "device": "other"}]
    decoded = decode({"device": "d1", "values": rows}, fleet)
    assert [taken.stream for taken in decoded.inputs] == ["north/d1", "north/other"]
    assert reason_of(decode({"device": "d1"}, fleet)) == "missing_field"


def test_nested_paths_and_places_in_arrays_are_found() -> None:
    """Plain ones by the quick reader, places in arrays by the careful one."""
    features = (Feature("a", path=("data", "x y")), Feature("b", path=("list", "1")))
    payload = {"t": 1, "data": {"x y": 5}, "list": [1, 2]}
    assert values_of(only(decode(payload, make_fleet(features=features)))) == [5, 2]
    assert values_of(only(decode(payload, make_fleet(features=features[:1])))) == [5]
    assert decode({"t": 1, "data": 3}, make_fleet(features=features[:1])).not_ours == {"tanks": 1}


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"21.5", 21.5),
        (b" -3 \r\n", -3.0),
        (b"+5", 5.0),
        (b"1e3", 1000.0),
        (b".5", 0.5),
        (b"nan", "not_finite"),
        (b"1e999", "not_finite"),
        (b"21,5", 21.5),
        (b"1_000", "not_a_number"),
        (b"0x10", "not_a_number"),
        (b'"5"', 5.0),
        (b"true", "not_a_number"),
        ("٣".encode(), "not_a_number"),
        (b"\xff", "not_utf8"),
    ],
)
def test_a_bare_number_is_a_decimal(payload: bytes, expected: float | str) -> None:
    """As sensors write it; nothing else."""
    fleet = make_fleet(payload="number", time_path=None, features=(Feature("temperature"),))
    decoded = decode(payload, fleet)
    if isinstance(expected, str):
        assert reason_of(decoded) == expected
    else:
        assert values_of(only(decoded)) == [expected]
        assert only(decoded).at_ns == NOW_NS


def test_a_retained_message_is_refused_unless_wanted() -> None:
    """It may be from last year."""
    assert reason_of(decode({"t": 1, "pressure": 1}, retain=True)) == "retained"
    wanted = make_fleet(accept_retained=True)
    assert only(decode({"t": 1, "pressure": 1}, wanted, retain=True)).kind is Kind.READING


FLEETS = [
    make_fleet(),
    make_fleet(time_unit="iso8601", timezone="Europe/Berlin"),
    make_fleet(time_path=None),
    make_fleet(time_path=None, sequence_path=("t",)),
    make_fleet(stream="{$.t}"),
    make_fleet(stream="{site}/{$.x}"),
    make_fleet(records_path=("a",)),
    make_fleet(payload="number", time_path=None, features=FEATURES[:1]),
    make_fleet(features=(Feature("a", path=("pressure", "temperature")), Feature("b", path=("pressure", "0")))),
]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from([0, 1.5, 1767225599.123456, "2026-01-01T00:00:00", "2025-12-31T23:59:59.123456789Z", "5"])
)
KEYS = st.sampled_from(["t", "pressure", "temperature", "a", "x"])
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=12
)
READINGS = st.fixed_dictionaries({}, optional=dict.fromkeys(["t", "pressure", "temperature", "x"], SCALARS))
PAYLOADS = st.one_of(
    st.binary(max_size=300),
    JSON.map(lambda value: json.dumps(value).encode()),
    READINGS.map(lambda value: json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass")),
    st.from_regex(r'\{"t": ?-?[0-9]{1,25}(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,9})?, ?"pressure": ?[0-9]\}').map(
        str.encode
    ),
)


@settings(max_examples=350, deadline=None)
@given(payload=PAYLOADS, fleet=st.sampled_from(FLEETS), topic=st.just(TOPIC) | st.text(max_size=30))
@example(payload=b'{"t": 1e999999999, "pressure": 1}', fleet=FLEETS[0], topic=TOPIC)
@example(payload=b'{"t": 1e99999999999999999999, "pressure": 1}', fleet=FLEETS[0], topic=TOPIC)
@example(payload=b'{"t": 1e99999999999999999999, "pressure": 1}', fleet=FLEETS[2], topic=TOPIC)
@example(payload=b'{"t": 1e-99999999999999999999, "pressure": 1}', fleet=FLEETS[0], topic=TOPIC)
@example(payload=b'{"t": "sNaN", "pressure": 1}', fleet=FLEETS[0], topic=TOPIC)
@example(payload=b'{"t": "\\ud800", "pressure": 1}', fleet=FLEETS[4], topic=TOPIC)
@example(payload=b'{"t": ' + b"9" * 5000 + b', "pressure": 1}', fleet=FLEETS[4], topic=TOPIC)
def test_no_bytes_raise_and_each_reading_is_exactly_one_input(payload: bytes, fleet: Fleet, topic: str) -> None:
    """Whatever comes; what is taken is finite, dated and fits the ledger, and both readers agree on it."""
    message = make_message(payload, topic)
    decoded = Decoder([fleet], Loop()).decode([message], NOW_NS)
    assert len(decoded.inputs) + decoded.not_ours.total() >= 1
    for taken in decoded.inputs:
        assert taken.kind in (Kind.READING, Kind.REJECT)
        assert all(-(2**63) <= number < 2**63 for number in (taken.at_ns, taken.key, taken.delivery))
        taken.stream.encode()
        if taken.kind is Kind.REJECT:
            assert taken.reason in REJECT_REASONS
        else:
            assert any(math.isfinite(value) for value in values_of(taken))
            assert not any(math.isinf(value) for value in values_of(taken))
    for refused in decoded.refused:
        assert refused.reason in REJECT_REASONS
        assert len(refused.head) <= 256
        (refused.topic + refused.detail + refused.stream).encode()
    assert careful_decoder(fleet).decode([message], NOW_NS) == decoded


def test_plain_payloads_do_not_take_the_slow_way() -> None:
    """The quick reader takes the typical message; else the comparison above would compare nothing."""
    decoder = Decoder([make_fleet()], Loop())
    message = make_message({"t": 1767225599.5, "pressure": 2.5, "temperature": 40})
    assert taken_quickly(decoder, message) == 1


@pytest.mark.parametrize("payload", [b'{"pressure": 1, "temperature": 2}', b'{"pressure": "1,5"}'])
def test_what_the_broker_kept_is_one_reading_however_often_it_is_sent(payload: bytes) -> None:
    """With 3.1.1 it comes at each start, under a new packet id and without DUP; another value is another reading."""
    fleet = make_fleet(accept_retained=True, time_path=None)
    first, again, other = (
        only(decode(body, fleet, retain=True, mid=mid))
        for mid, body in ((1, payload), (9, payload), (10, payload.replace(b"1", b"3")))
    )
    assert first.delivery == again.delivery != other.delivery
    assert again.dup
    deliveries = Deliveries()
    assert [deliveries.seen(one.delivery, one.dup) for one in (first, again, other)] == [False, True, False]
    assert only(decode(payload, fleet, mid=9)).delivery != first.delivery
