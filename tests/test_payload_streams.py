"""Whose reading it is, and by what it is known when it comes again: topics, ids, sequences, deliveries."""

from __future__ import annotations

import math

import pytest

from gaugecast.config.schema import Loop
from gaugecast.fleet import Feature
from gaugecast.payloads import Decoder
from gaugecast.records import Kind
from support.payloads import NOW_NS, TOPIC, decode, make_fleet, make_message, only, reason_of, values_of


def test_a_stream_may_be_named_by_payload_fields_texts_or_whole_numbers() -> None:
    """What cannot be an id is refused."""
    fleet = make_fleet(stream="{site}/{$.device}")
    assert only(decode({"t": 1, "pressure": 1, "device": "d1"}, fleet)).stream == "north/d1"
    assert only(decode({"t": 1, "pressure": 1, "device": 12}, fleet)).stream == "north/12"
    for device, escaped in (("a+b", "a%2Bb"), ("a#", "a%23"), ("a%2Bb", "a%252Bb"), ("50%", "50%")):
        assert only(decode({"t": 1, "pressure": 1, "device": device}, fleet)).stream == f"north/{escaped}"
    refused: tuple[tuple[object, str], ...] = (
        ("", "bad_stream"),
        ("a\nb", "bad_stream"),
        ("x" * 251, "bad_stream"),
        ("a\ufffe", "bad_stream"),
        ("\ufdd0", "bad_stream"),
        ("\U0001ffff", "bad_stream"),
        ("\x85", "bad_stream"),
        ("/" * 199, "bad_stream"),
        (None, "missing_field"),
        (1.5, "wrong_type"),
        (True, "wrong_type"),
    )
    for named, reason in refused:
        assert reason_of(decode({"t": 1, "pressure": 1, "device": named}, fleet)) == reason
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
    decoded = decoder.decode([make_message(b"5", "plant/t7/colour")], NOW_NS)
    assert (list(decoded.inputs), decoded.refused, dict(decoded.not_ours)) == ([], [], {"tanks": 1})
    assert reason_of(decoder.decode([make_message(b"11", "plant/t7/pressure")], NOW_NS)) == "out_of_range"


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
