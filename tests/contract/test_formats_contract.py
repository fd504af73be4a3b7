"""One contract for all formats: the same readings out of each, limits, and no bytes that raise."""

from __future__ import annotations

import math
import os
import random
import struct

import pytest

from gaugecast.config.schema import Loop
from gaugecast.payloads import Decoder
from gaugecast.payloads.formats.guess import guess_format
from gaugecast.pipeline import Pipeline
from gaugecast.records import REJECT_REASONS, Kind, Order
from support.formats import BY_FILTER, FORMATS, NUMBER, SECOND, Written, some_readings
from support.payloads import NOW_NS, make_message, values_of

ALL = (*FORMATS, BY_FILTER, NUMBER)
#: A hundred thousand over all formats; a run by hand may ask for more.
FUZZED = int(os.environ.get("GAUGECAST_FUZZED", "16000"))
each = pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)


@each
@pytest.mark.parametrize("count", [1, 2, 7])
def test_the_same_readings_come_out_of_each_format(form: Written, count: int) -> None:
    """To the bit, in order of event time, whatever the order in the payload."""
    readings = some_readings(count)
    decoder = Decoder([form.fleet()], Loop())
    for order in (readings, readings[::-1]):
        decoded = decoder.decode([make_message(form.write(order), form.topic)], NOW_NS)
        assert [(one.kind, one.at_ns, values_of(one)) for one in decoded.inputs] == [
            (Kind.READING, at_s * SECOND, [pressure, temperature]) for at_s, pressure, temperature in readings
        ]
        assert (decoded.refused, decoded.not_ours) == ([], {})


@each
def test_a_payload_above_the_limits_is_refused_whole(form: Written) -> None:
    """By bytes unread, by readings unstepped."""
    message = make_message(form.write(some_readings(7)), form.topic)
    few = Decoder([form.fleet()], Loop(max_readings=6)).decode([message], NOW_NS)
    small = Decoder([form.fleet()], Loop(max_payload_bytes=16)).decode([message], NOW_NS)
    assert [one.reason for one in few.inputs] == ["too_many_readings"]
    assert [one.reason for one in small.inputs] == ["too_large"]


@each
def test_what_names_no_feature_is_not_ours(form: Written) -> None:
    """No reject, nothing for the quarantine; one of the two features alone is a reading."""
    strange = form.write(some_readings(1)).replace(b"pressure", b"pleasure")
    decoder = Decoder([form.fleet()], Loop())
    one = decoder.decode([make_message(strange, form.topic)], NOW_NS)
    if form.name != "csv":  # its columns are named by the fleet
        assert [math.isnan(value) for value in values_of(one.inputs[0])] == [True, False]
        decoded = decoder.decode([make_message(strange.replace(b"temper", b"tamper"), form.topic)], NOW_NS)
        assert (list(decoded.inputs), decoded.refused, decoded.not_ours.total()) == ([], [], 1)


@pytest.mark.parametrize("form", ALL, ids=lambda form: form.name)
@pytest.mark.parametrize("wrong", ["json", "number", "csv", "influx", "senml", "cbor", "msgpack", "sparkplug"])
def test_a_payload_of_another_format_is_named_as_what_it_is(form: Written, wrong: str) -> None:
    """Where it is refused, the complaint says what to set; nothing raises where it is not."""
    fleet = form.fleet(payload=wrong, columns=("a", "b"))
    decoded = Decoder([fleet], Loop()).decode([make_message(form.write(some_readings(3)), form.topic)], NOW_NS)
    own = form.keys.get("payload", "json")
    for refused in decoded.refused:
        if refused.reason in ("malformed", "not_json", "not_utf8"):
            assert wrong == own or f'set payload = "{own}"' in refused.detail, refused.detail


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_formats_are_recognised(form: Written) -> None:
    """Of several readings."""
    assert guess_format(form.write(some_readings(3))) == form.keys.get("payload", "json")


def _mangled(draw: random.Random, payload: bytes) -> bytes:
    """Bits flipped, bytes cut, doubled, put in or set to what lengths like."""
    body = bytearray(payload)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(body) + 1)
        match draw.randrange(6):
            case 0 if body:
                body[at % len(body)] ^= 1 << draw.randrange(8)
            case 1:
                del body[at:]
            case 2:
                body[at:at] = draw.randbytes(draw.randint(1, 8))
            case 3:
                body[at:at] = body[: draw.randint(0, 40)]
            case 4 if body:
                body[at % len(body)] = draw.choice((0, 0x7F, 0x80, 0x9F, 0xBF, 0xFF, 0x5B, 0xDD))
            case _:
                body[at:at] = draw.choice(
                    (b"-", b"1e999", b"NaN", b'"', b"\\", b"\xff" * 9, struct.pack("<d", math.inf))
                )
    return bytes(body)


def test_no_bytes_raise_in_any_format() -> None:
    """Readings mangled, and plain noise: each is readings, rejects with a reason of the closed set, or not ours."""
    draw = random.Random(7)
    scenes = [(form, Decoder([form.fleet()], Loop()), form.write(some_readings(2))) for form in ALL]
    scenes += [
        (other, Decoder([form.fleet()], Loop()), other.write(some_readings(2)))
        for form, other in zip(ALL, (*ALL[1:], ALL[0]), strict=True)
    ]
    for number in range(FUZZED):
        form, decoder, payload = scenes[number % len(scenes)]
        body = draw.randbytes(draw.randint(0, 48)) if draw.random() < 0.2 else _mangled(draw, payload)
        decoded = decoder.decode([make_message(body, form.topic)], NOW_NS)
        assert len(decoded.inputs) + decoded.not_ours.total() >= 1
        for one in decoded.inputs:
            assert one.kind is Kind.READING or one.reason in REJECT_REASONS
            assert all(-(2**63) <= each < 2**63 for each in (one.at_ns, one.key, one.delivery))
            assert not any(math.isinf(value) for value in values_of(one))


def _forecasts(form: Written, draw: random.Random, count: int) -> list[bytes]:
    """What is said of a healthy stream while another of its fleet sends so many mangled payloads."""
    fleet = form.fleet()
    decoder, pipeline = Decoder([fleet], Loop()), Pipeline(Loop(), lambda _fleet, _version: None)
    pipeline.advance([Order.configuring(fleet).stamped(NOW_NS)])
    payload, said = form.write(some_readings(2)), []
    sane = form.topic.replace("t7", "t8")
    for number in range(20):
        at_s = NOW_NS // SECOND - 100 + number
        messages = [make_message(_mangled(draw, payload), form.topic) for _ in range(count // 20)]
        messages.append(make_message(form.write([(at_s, 2.5 + number / 7, 40.0 - number)]), sane))
        outcome = pipeline.advance(decoder.decode(messages, NOW_NS + number * SECOND).inputs)
        said += [one.body for one in outcome.outputs if one.stream.endswith("t8")]
    return said


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_hostile_bytes_change_no_forecast_of_another_stream(form: Written) -> None:
    """By a bit, whatever is made of them."""
    alone = _forecasts(form, random.Random(3), 0)
    assert len(alone) == 20
    assert _forecasts(form, random.Random(3), FUZZED // 100) == alone
