"""Arrays the quick way: the same inputs as the careful reader makes, for whatever lies in them."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gaugecast.config.schema import Loop
from gaugecast.fleet import Feature
from gaugecast.payloads import Decoder, careful, identity, plain
from gaugecast.records import Message
from support.payloads import (
    FEATURES,
    NOW_NS,
    careful_decoder,
    decode,
    make_fleet,
    make_message,
    taken_quickly,
    values_of,
)

LIMITS = Loop(max_readings=6, max_payload_bytes=2000)
CAPTURED = ("plant/{site}/{tank}/{part}",)
FLEETS = {
    "seconds": make_fleet(),
    "milliseconds": make_fleet(time_unit="ms"),
    "nanoseconds": make_fleet(time_unit="ns"),
    "iso8601": make_fleet(time_unit="iso8601", timezone="Europe/Berlin"),
    "untimed": make_fleet(time_path=None),
    "sequence": make_fleet(time_path=None, sequence_path=("t",)),
    "deep sequence": make_fleet(time_path=None, sequence_path=("m", "t")),
    "id": make_fleet(stream="{site}/{$.id}"),
    "two ids, untimed": make_fleet(stream="{$.id}/{$.m.id}", time_path=None),
    "nested": make_fleet(time_path=("m", "t"), features=(Feature("a", path=("m", "pressure")), FEATURES[1])),
    "envelope": make_fleet(records_path=("a",)),
    "deep envelope": make_fleet(records_path=("m", "a"), stream="{$.id}"),
    "nested in an envelope": make_fleet(records_path=("a",), time_path=("m", "t")),
    "feature in the topic": make_fleet(subscribe=CAPTURED, feature_capture="part", stream="{site}/{tank}"),
    "retained too": make_fleet(accept_retained=True),
}
TOPICS = ["plant/north/t7/telemetry", "plant/north/t7/temperature", "plant/north/t7/pressure"]
MIXED = [
    make_fleet(name="one", subscribe=("one/{site}",), stream="{site}/{$.id}"),
    make_fleet(name="two", subscribe=("two/{site}",), stream="{site}", time_path=None),
    make_fleet(name="parts", subscribe=("parts/{site}/{part}",), stream="{site}", feature_capture="part"),
]
MIXED_TOPICS = ["one/a", "two/a", "two/b", "parts/a/pressure", "parts/a/temperature", "parts/a/x", "none"]

ODD = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([2**63, -(2**63), 10**30, 1e300, "sNaN", "5", [], {}, [1], {"t": 1}])
)
NUMBERS = st.floats(-1, 11) | st.integers(0, 10)
STAMPS = st.sampled_from([1767225599, 1767225599.123456, 1767225599123, NOW_NS, 0, -1, 7, "2026-01-01T00:00:00.5"])
IDS = st.sampled_from(["x", "y", 1, "1", "ü", ""])


def elements(odd: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Readings; now and then with something odd in the place of one field."""
    m = {"t": STAMPS | odd, "id": IDS | odd, "pressure": NUMBERS | odd}
    fields = {"t": STAMPS | odd, "id": IDS | odd, "pressure": NUMBERS | odd, "temperature": NUMBERS | odd}
    return st.fixed_dictionaries({}, optional={**fields, "m": st.fixed_dictionaries({}, optional=m) | odd, "x": odd})


def whole_elements(stamp: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Readings that lack nothing."""
    m = st.fixed_dictionaries({"t": st.just(stamp), "id": st.sampled_from(["x", 7]), "pressure": NUMBERS | st.none()})
    return st.fixed_dictionaries(
        {
            "t": st.just(stamp),
            "id": st.sampled_from(["x", 7]),
            "pressure": NUMBERS,
            "temperature": st.none() | NUMBERS,
            "m": m,
        }
    )


ARRAYS = st.one_of(
    st.lists(elements(ODD), max_size=7),
    st.lists(elements(st.nothing()), max_size=7),
    STAMPS.flatmap(lambda stamp: st.lists(whole_elements(stamp), min_size=1, max_size=6)),
    st.lists(elements(st.nothing()) | ODD, max_size=4),
)
#: One reading, mostly whole.
SINGLE = (STAMPS.flatmap(whole_elements) | elements(ODD)).map(lambda one: json.dumps(one).encode())


@st.composite
def payloads(draw: st.DrawFn) -> bytes:
    """An array, or one in an envelope with more fields; sometimes with a key twice, or cut."""
    array = draw(ARRAYS)
    around = draw(st.sampled_from([None, {}, {"t": 1767225599, "id": "e", "pressure": 3}]))
    root = array if around is None else {**around, "a": array, "m": {"a": array}}
    text = json.dumps(root, ensure_ascii=draw(st.booleans()))
    if draw(st.integers(0, 9)) == 0:
        text = text.replace('"pressure":', '"pressure": 1, "pressure":').replace('"m":', '"m": {"t": 5}, "m":')
    body = text.encode(errors="surrogatepass")
    return body[: draw(st.integers(0, len(body)))] if draw(st.integers(0, 19)) == 0 else body


@settings(max_examples=250, deadline=None)
@given(
    payload=payloads(), name=st.sampled_from(sorted(FLEETS)), topic=st.sampled_from(TOPICS),
    qos=st.sampled_from([0, 1]), retain=st.just(False) | st.booleans(), dup=st.booleans(),
)  # fmt: skip
@example(
    payload=b'[{"t":1,"pressure":null,"temperature":1}]',
    name="seconds",
    topic=TOPICS[0],
    qos=1,
    retain=False,
    dup=False,
)
@example(
    payload=b'[{"t":-9223372036854775808,"pressure":1}]',
    name="sequence",
    topic=TOPICS[0],
    qos=1,
    retain=False,
    dup=False,
)
@example(
    payload=b'[{"t":1,"pressure":-0.0},{"t":1.5,"pressure":1e-320}]',
    name="seconds",
    topic=TOPICS[0],
    qos=1,
    retain=False,
    dup=False,
)
@example(b'[{"t":1,"pressure":1},{"t":2,"pressure":null}]', "seconds", TOPICS[0], 1, False, False)
@example(b'[{"t":1,"pressure":1},{"t":2,"pressure":10.5}]', "seconds", TOPICS[0], 1, False, False)
@example(b'[{"t":1,"pressure":1},{"t":1767225901,"pressure":1}]', "seconds", TOPICS[0], 1, False, False)
@example(b'[{"t":1,"pressure":1},{"t":1e12,"pressure":1}]', "seconds", TOPICS[0], 1, False, False)
@example(b'{"temperature":9,"a":[{"t":1,"pressure":1}]}', "envelope", TOPICS[0], 1, False, False)
def test_both_ways_give_the_same(payload: bytes, name: str, topic: str, qos: int, retain: bool, dup: bool) -> None:
    """To the bit: values, times, keys, deliveries, streams, reasons; in order, and single copies no less."""
    fleet = FLEETS[name]
    messages = [make_message(payload, topic, qos=qos, retain=retain, dup=dup, mid=mid) for mid in (3, 4)]
    quick = Decoder([fleet], LIMITS).decode(messages, NOW_NS)
    assert quick == careful_decoder(fleet, LIMITS).decode(messages, NOW_NS)
    assert [list(map(type, one)) for one in quick.inputs] == [
        list(map(type, one)) for one in careful_decoder(fleet, LIMITS).decode(messages, NOW_NS).inputs
    ]


@pytest.mark.parametrize("name", sorted(set(FLEETS) - {"deep envelope"}))
def test_plain_arrays_do_not_take_the_slow_way(name: str) -> None:
    """Else the comparison above would compare nothing."""
    fleet = FLEETS[name]
    stamp: Any = {"ms": 1767225599000, "ns": NOW_NS, "iso8601": "2025-12-31T00:00:00Z"}.get(fleet.time_unit, 1767225599)
    one = {"t": stamp, "id": "x", "pressure": 2.5, "temperature": 40, "m": {"t": stamp, "id": 4, "pressure": 1}}
    array: Any = [one, {**one, "temperature": None}]
    payload = {"a": array, "m": {"a": array}, "more": [1]} if fleet.records_path else array
    decoder = Decoder([fleet], LIMITS)
    message = make_message(payload, TOPICS[2] if fleet.feature_capture else TOPICS[0])
    assert taken_quickly(decoder, message) == 2


def test_what_a_reading_lacks_is_looked_for_in_the_envelope() -> None:
    """Then the message takes the careful reader, whole; an explicit null is not looked for."""
    fleet = make_fleet(records_path=("a",))
    decoded = decode(
        {"t": 5, "temperature": 9, "a": [{"pressure": 1}, {"t": 6, "pressure": 2, "temperature": None}]}, fleet
    )
    assert [one.key for one in decoded.inputs] == [5 * 10**9, 6 * 10**9]
    assert values_of(decoded.inputs[0]) == [1, 9]
    assert math.isnan(values_of(decoded.inputs[1])[1])


def test_equal_untimed_readings_of_one_array_are_not_copies() -> None:
    """Each delivery has its own name, and a redelivery the same ones."""
    array = [{"pressure": 1}] * 3
    first, again = (decode(array, FLEETS["untimed"], dup=dup).inputs for dup in (False, True))
    assert len({one.delivery for one in first}) == 3
    assert [one.delivery for one in first] == [one.delivery for one in again]


@settings(max_examples=150, deadline=None)
@given(
    batch=st.lists(st.tuples(payloads() | SINGLE, st.sampled_from(MIXED_TOPICS), st.booleans()), max_size=8),
    most=st.integers(1, 12),
)
def test_a_batch_says_what_its_messages_say_one_by_one(batch: list[tuple[bytes, str, bool]], most: int) -> None:
    """Plain ones, arrays and odd ones of several fleets, in any order: inputs and reasons keep that of the messages."""
    decoder = Decoder(MIXED, LIMITS)
    messages = [make_message(payload, topic, dup=dup, mid=i) for i, (payload, topic, dup) in enumerate(batch)]
    alone = [decoder.decode([message], NOW_NS) for message in messages]
    together = decoder.decode(messages, NOW_NS, most)
    read = alone[: together.messages]
    assert together.inputs == [one for decoded in read for one in decoded.inputs]
    assert together.refused == [one for decoded in read for one in decoded.refused]
    count = len(together.inputs)
    assert count + together.not_ours.total() >= most or together.messages == len(messages)
    assert count - len(read[-1].inputs if read else ()) < most


@pytest.mark.parametrize("odd", [False, True])
def test_a_message_is_hashed_once_however_many_readings_it_has(monkeypatch: pytest.MonkeyPatch, odd: bool) -> None:
    """Also where the careful reader takes it; both give a reading the same name."""
    hashed: list[bytes] = []
    real = identity.delivery_hash

    def count(message: Message) -> int:
        hashed.append(message.payload)
        return real(message)

    for module in (plain, careful):
        monkeypatch.setattr(module, "delivery_hash", count)
    array = [{"pressure": 1}] * 50 + ([{"pressure": "odd"}] if odd else [])
    inputs = decode(array, FLEETS["untimed"]).inputs
    assert len(hashed) == 1
    assert len({one.delivery for one in inputs[:50]}) == 50


def test_few_readings_and_many_are_judged_alike() -> None:
    """One by one, or column by column: the same inputs, the same of them odd."""
    nothing, high = b'{"t": 1767225600, "pressure": null}', b'{"t": 1767225600, "pressure": 99, "temperature": 1}'
    half = b'{"t": 1767225600.5, "temperature": 40}'
    bodies = [b'{"t": %d.25, "pressure": 2, "temperature": 3.5}' % (1_767_225_500 + i) for i in range(50)]
    messages = [make_message(body, mid=mid) for mid, body in enumerate([*bodies, nothing, high, half], 1)]
    decoder = Decoder([make_fleet()], Loop())
    whole = decoder.decode(messages, NOW_NS)
    alone = [decoder.decode([message], NOW_NS) for message in messages]
    assert list(whole.inputs) == [one for each in alone for one in each.inputs]
    assert [each.values for each in whole.inputs] == [one.values for each in alone for one in each.inputs]
    assert whole.not_ours == sum((each.not_ours for each in alone), Counter())
