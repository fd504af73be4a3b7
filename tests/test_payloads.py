"""Payloads: what a reading is, each reason to refuse one, and that no bytes ever raise."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gaugecast.config.schema import Loop
from gaugecast.fleet import Feature, Fleet
from gaugecast.payloads import Decoded, Decoder
from gaugecast.payloads import plain as plain_reader
from gaugecast.records import REJECT_REASONS, Input, Kind, Message

NOW_NS = 1_767_225_600 * 10**9  # 2026-01-01T00:00:00Z
TOPIC = "plant/north/t7/telemetry"
FEATURES = (
    Feature("pressure", path=("pressure",), valid_min=0, valid_max=10),
    Feature("temperature", path=("temperature",)),
)


def make_fleet(**keys: Any) -> Fleet:
    """A fleet of tanks with the time at `$.t`, or what `keys` say."""
    defaults: dict[str, Any] = {
        "name": "tanks",
        "subscribe": ("plant/{site}/{tank}/telemetry",),
        "stream": "{site}/{tank}",
        "features": FEATURES,
        "period_ns": 10**9,
        "time_path": ("t",),
    }
    return Fleet(**{**defaults, **keys})


def make_message(payload: bytes | object, topic: str = TOPIC, **keys: Any) -> Message:
    """A message at QoS 1; a payload that is not bytes is written as JSON."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    flags: dict[str, Any] = {"qos": 1, "dup": False, "retain": False, "mid": 7, "epoch": 1}
    return Message(topic, body, **{**flags, **keys})


def decode(payload: bytes | object, fleet: Fleet | None = None, *, loop: Loop | None = None, **keys: Any) -> Decoded:
    """What one message becomes."""
    return Decoder([fleet or make_fleet()], loop or Loop()).decode([make_message(payload, **keys)], NOW_NS)


def only(decoded: Decoded) -> Input:
    """The one input that it must be."""
    assert len(decoded.inputs) == 1
    return decoded.inputs[0]


def values_of(taken: Input) -> list[float]:
    """The features' values, NaN = absent."""
    return list(struct.unpack(f"<{len(taken.values) // 8}d", taken.values))


def reason_of(decoded: Decoded) -> str:
    """Why the one reading was refused; checks that the quarantine was told the same."""
    taken = only(decoded)
    assert taken.kind is Kind.REJECT
    assert taken.values == b""
    assert [refused.reason for refused in decoded.refused] == [taken.detail]
    assert taken.detail in REJECT_REASONS
    return taken.detail


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
        detail="",
    )
    assert decoded.refused == []
    assert decoded.message_of_input == [0]


@pytest.mark.parametrize("absent", [{}, {"temperature": None}])
def test_an_absent_feature_and_a_null_are_nan(absent: dict[str, None]) -> None:
    """The other features are taken."""
    pressure, temperature = values_of(only(decode({"t": 1, "pressure": 2, **absent})))
    assert pressure == 2
    assert math.isnan(temperature)


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
        ("2025-10-26T02:30:00", "2025-10-26T00:30:00Z"),  # comes twice: the first pass
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
    ("value", "reason"),
    [
        ("11", "out_of_range"),
        ("-0.1", "out_of_range"),
        ("1e999", "not_finite"),
        ("NaN", "not_finite"),
        ("-Infinity", "not_finite"),
        ("9" * 400, "not_finite"),
        ('"2.5"', "wrong_type"),
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
        (b"", "not_json"),
        (b"{", "not_json"),
        (b'{"t": 1, "pressure": 01}', "not_json"),
        (b"[" * 100_000, "not_json"),
        (b'{"x": NaN' + b"[" * 100_000, "not_json"),
        (b'{"t": 1, "pressure": 1, "name": "\xff"}', "not_utf8"),
        (b'{"t": 1}', "no_features"),
        (b"[]", "no_features"),
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
    assert [taken.detail for taken in decoded.inputs] == ["", "wrong_type", "out_of_range", ""]
    assert [taken.key for taken in decoded.inputs if taken.kind is Kind.READING] == [10**9, 3 * 10**9]
    assert decoded.message_of_input == [0, 0, 0, 0]


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
    assert reason_of(decode({"t": 1, "data": 3}, make_fleet(features=features[:1]))) == "no_features"


def test_a_stream_may_be_named_by_payload_fields_texts_or_whole_numbers() -> None:
    """What cannot be an id is refused."""
    fleet = make_fleet(stream="{site}/{$.device}")
    assert only(decode({"t": 1, "pressure": 1, "device": "d1"}, fleet)).stream == "north/d1"
    assert only(decode({"t": 1, "pressure": 1, "device": 12}, fleet)).stream == "north/12"
    for device, reason in (
        ("", "bad_stream"),
        ("a+b", "bad_stream"),
        ("a\nb", "bad_stream"),
        ("x" * 251, "bad_stream"),
        (None, "missing_field"),
        (1.5, "wrong_type"),
        (True, "wrong_type"),
    ):
        assert reason_of(decode({"t": 1, "pressure": 1, "device": device}, fleet)) == reason
    assert reason_of(decode({"t": 1, "pressure": 1}, fleet)) == "missing_field"


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        ("plant//t7/telemetry", "bad_stream"),
        ("plant/a\x07/t7/telemetry", "bad_stream"),
        (f"plant/{'x' * 300}/t7/telemetry", "bad_stream"),
        ("plant/north/t7/other", "unknown_topic"),
        ("plant/\ud800/t7/telemetry", "not_utf8"),
    ],
)
def test_a_topic_that_names_no_stream_is_refused(topic: str, reason: str) -> None:
    """The quarantine's text can be stored whatever the topic was."""
    decoded = decode({"t": 1, "pressure": 1}, topic=topic)
    assert reason_of(decoded) == reason
    decoded.refused[0].topic.encode()


def test_features_that_come_on_topics_of_their_own_fill_their_own_place() -> None:
    """Bare numbers, the feature named by the topic; an unknown feature is refused."""
    fleet = make_fleet(
        subscribe=("plant/{tank}/{feature}",),
        stream="{tank}",
        payload="number",
        time_path=None,
        feature_capture="feature",
        features=(Feature("pressure", valid_max=10), Feature("temperature"), Feature("level")),
    )
    decoder = Decoder([fleet], Loop())
    topics = ("plant/t7/temperature", "plant/t7/level", "plant/t7/pressure")
    decoded = decoder.decode([make_message(b" 5.5\n", topic) for topic in topics], NOW_NS)
    present = [[not math.isnan(value) for value in values_of(taken)] for taken in decoded.inputs]
    assert present == [[False, True, False], [False, False, True], [True, False, False]]
    assert {taken.stream for taken in decoded.inputs} == {"t7"}
    assert reason_of(decoder.decode([make_message(b"5", "plant/t7/colour")], NOW_NS)) == "no_features"
    assert reason_of(decoder.decode([make_message(b"11", "plant/t7/pressure")], NOW_NS)) == "out_of_range"


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
        (b"21,5", "not_a_number"),
        (b"1_000", "not_a_number"),
        (b"0x10", "not_a_number"),
        (b'"5"', "not_a_number"),
        (b"true", "not_a_number"),
        (b"", "not_a_number"),
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


def test_a_sequence_number_is_the_key_where_there_is_no_time() -> None:
    """Whole numbers of 64 bits."""
    fleet = make_fleet(time_path=None, sequence_path=("n",))
    taken = only(decode({"n": 12, "pressure": 1}, fleet))
    assert (taken.key, taken.at_ns, taken.delivery) == (12, NOW_NS, 0)
    assert reason_of(decode({"n": 2**63, "pressure": 1}, fleet)) == "wrong_type"
    assert reason_of(decode({"n": 1.5, "pressure": 1}, fleet)) == "wrong_type"
    assert reason_of(decode({"pressure": 1}, fleet)) == "missing_field"


def test_a_payload_without_key_is_known_by_its_delivery() -> None:
    """The same for a redelivery; another for another packet id, topic, payload, or place in an array."""
    fleet = make_fleet(time_path=None)
    first = only(decode({"pressure": 1}, fleet))
    assert first.delivery != 0
    assert -(2**63) <= first.delivery < 2**63
    assert only(decode({"pressure": 1}, fleet, dup=True)).delivery == first.delivery
    others = [
        only(decode({"pressure": 1}, fleet, mid=8)),
        only(decode({"pressure": 2}, fleet)),
        only(decode({"pressure": 1}, fleet, topic="plant/north/t8/telemetry")),
        *decode([{"pressure": 1}, {"pressure": 1}], fleet).inputs,
    ]
    assert len({first.delivery, *(other.delivery for other in others)}) == 6
    assert only(decode({"pressure": 1}, fleet, qos=0, mid=0)).delivery == 0


def test_several_fleets_take_their_own_topics() -> None:
    """By their patterns."""
    pumps = make_fleet(name="pumps", subscribe=("pump/{id}",), stream="{id}")
    decoder = Decoder([make_fleet(), pumps], Loop())
    decoded = decoder.decode([make_message({"t": 1, "pressure": 1}, topic) for topic in (TOPIC, "pump/p1")], NOW_NS)
    assert [(taken.fleet, taken.stream) for taken in decoded.inputs] == [("tanks", "north/t7"), ("pumps", "p1")]


def test_a_flood_of_topics_does_not_grow_the_memory_of_topics() -> None:
    """It is emptied when full, and readings go on."""
    decoder = Decoder([make_fleet()], Loop(max_streams=1))
    for number in range(3000):
        topic = f"plant/north/t{number}/telemetry"
        assert only(decoder.decode([make_message({"t": 1, "pressure": 1}, topic)], NOW_NS)).kind is Kind.READING
        assert len(decoder._routes) <= 1 + 1024


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


@settings(max_examples=1500, deadline=None)
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
    assert len(decoded.inputs) >= 1
    assert decoded.message_of_input == [0] * len(decoded.inputs)
    for taken in decoded.inputs:
        assert taken.kind in (Kind.READING, Kind.REJECT)
        assert all(-(2**63) <= number < 2**63 for number in (taken.at_ns, taken.key, taken.delivery))
        taken.stream.encode()
        if taken.kind is Kind.REJECT:
            assert taken.detail in REJECT_REASONS
        else:
            assert any(math.isfinite(value) for value in values_of(taken))
            assert not any(math.isinf(value) for value in values_of(taken))
    for refused in decoded.refused:
        assert refused.reason in REJECT_REASONS
        assert len(refused.head) <= 256
        (refused.topic + refused.detail + refused.stream).encode()
    careful = Decoder([fleet], Loop())
    careful._plain = [_NeverPlain()] * len(careful._plain)  # type: ignore[list-item]
    assert careful.decode([message], NOW_NS) == decoded


class _NeverPlain:
    """A quick reader that leaves everything to the careful one."""

    def read(self, *_: object) -> None:
        return None


def test_plain_payloads_do_not_take_the_slow_way() -> None:
    """The quick reader takes the typical message; else the comparison above would compare nothing."""
    decoder = Decoder([make_fleet()], Loop())
    message = make_message({"t": 1767225599.5, "pressure": 2.5, "temperature": 40})
    route = decoder._find_route(message.topic)
    assert isinstance(decoder._plain[0], plain_reader.PlainReader)
    assert decoder._plain[0].read(message, route, NOW_NS) is not None
