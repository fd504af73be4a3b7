"""Layouts of topics and payloads: whose a reading is, which features a topic brings, and what is not ours."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from gaugecast.config import resolve_fleets
from gaugecast.config.schema import Loop, Settings
from gaugecast.errors import ConfigError
from gaugecast.payloads import Decoded, Decoder
from gaugecast.records import Kind
from support.formats import sparkplug_metric, varint
from support.payloads import NOW_NS, make_message, values_of


def decoder_of(text: str) -> Decoder:
    """What reads by a file's fleets."""
    return Decoder(resolve_fleets(Settings.model_validate(tomllib.loads(text))), Loop())


def read(decoder: Decoder, *messages: tuple[str, Any]) -> Decoded:
    """What messages become, topic and payload each."""
    return decoder.decode([make_message(payload, topic) for topic, payload in messages], NOW_NS)


def said(decoded: Decoded) -> list[tuple[str, str, list[float]]]:
    """Fleet, stream and values of each reading; no reject may be among them."""
    assert [one.reason for one in decoded.inputs if one.kind is Kind.REJECT] == []
    return [(one.fleet, one.stream, values_of(one)) for one in decoded.inputs]


def test_several_fleets_share_a_topic_where_where_tells_them_apart() -> None:
    """Each takes its own; what is nobody's is counted once."""
    decoder = decoder_of("""
[fleet.rooms]
subscribe = ["rtl/{host}"]
stream = "{$.id}"
where = {"$.model" = ["TH-*", "!TH-9"]}
period = "1m"
[fleet.rooms.features.temp]
[fleet.tyres]
subscribe = ["rtl/{host}"]
stream = "{$.id}"
where = {"$.model" = "TPMS", "$.ok" = true}
period = "1m"
[fleet.tyres.features.kPa]
""")
    rows = [{"model": m, "id": i, "temp": 5, "kPa": 220, "ok": True} for i, m in enumerate(("TH-1", "TH-9", "TPMS"))]
    decoded = read(decoder, *[("rtl/a", row) for row in rows], ("rtl/a", {**rows[2], "ok": False}))
    assert said(decoded) == [("rooms", "0", [5]), ("tyres", "2", [220])]
    assert decoded.not_ours.total() == 2
    refused = read(decoder, ("rtl/a", b"{"))
    assert [one.reason for one in refused.inputs] == ["not_json"]


def test_a_captured_level_can_be_asked_for() -> None:
    """By its name in braces."""
    decoder = decoder_of("""
[fleet.x]
subscribe = ["ha/{entity}/state"]
payload = "number"
where = {"{entity}" = ["*_temperature", "!*_battery_*"]}
period = 1
[fleet.x.features.value]
""")
    names = ("hall_temperature", "hall_battery_temperature", "sun")
    decoded = read(decoder, *[(f"ha/{name}/state", b"5") for name in names])
    assert [stream for _, stream, _ in said(decoded)] == ["hall_temperature"]
    assert decoded.not_ours == {"x": 2}


def test_a_topic_for_each_feature_and_what_is_ignored() -> None:
    """Two topics whose last level is the same are two features; `ignore` is not ours."""
    decoder = decoder_of("""
[fleet.x]
period = 1
subscribe = ["n/{portal}/+/json"]
ignore = ["n/+/old/json"]
[fleet.x.features.battery]
topic = "n/{portal}/Battery/Power"
path = "$.value"
[fleet.x.features.sun]
topic = "n/{portal}/Pv/Power"
path = "$.value"
[fleet.x.features."a/b"]
""")
    decoded = read(
        decoder, ("n/p/Battery/Power", {"value": 1}), ("n/p/Pv/Power", {"value": 2}), ("n/p/new/json", {"a/b": 3}),
        ("n/p/old/json", {"a/b": 3}),
    )  # fmt: skip
    assert [[value for value in values if value == value] for _, _, values in said(decoded)] == [[1], [2], [3]]
    assert [values.index(value) for value, (_, _, values) in enumerate(said(decoded), 1)] == [0, 1, 2]
    assert decoded.not_ours == {"x": 1}


def test_of_two_topics_that_bring_the_same_feature_one_counts() -> None:
    """That of the pattern that stands first, also where it comes later; the other is named."""
    decoder = decoder_of("""
[fleet.x]
subscribe = ["a/{t}/{feature}", "b/{t}/{feature}"]
payload = "number"
period = 1
[fleet.x.features.p]
""")
    decoded = read(decoder, ("b/t/p", b"1"), ("a/t/p", b"2"), ("b/t/p", b"3"), ("b/u/p", b"4"))
    assert [(one.reason, values_of(one)) for one in decoded.inputs] == [
        ("", [1]), ("", [2]), ("two_topics", []), ("", [4]),
    ]  # fmt: skip
    assert "topic =" in decoded.refused[0].detail


def test_a_feature_may_come_under_other_names() -> None:
    """In the topic and in the payload; its own name comes first."""
    features = '[fleet.x.features.temp]\nmatch = ["temp*", "Temperature", "!temp_set"]'
    by_topic = decoder_of(f'[fleet.x]\nsubscribe = ["a/{{t}}/{{feature}}"]\npayload = "number"\nperiod = 1\n{features}')
    decoded = read(by_topic, *[(f"a/t/{name}", b"1") for name in ("temp", "temp_in", "Temperature", "temp_set")])
    assert (len(said(decoded)), decoded.not_ours) == (3, {"x": 1})
    by_key = decoder_of(f'[fleet.x]\nsubscribe = ["a/{{t}}"]\nperiod = 1\n{features}')
    decoded = read(by_key, ("a/t", {"temp_set": 1, "temp_in": 2}), ("a/t", {"temp_in": 2, "temp": 3}))
    assert [values for _, _, values in said(decoded)] == [[2], [3]]


def test_names_may_be_keys() -> None:
    """`records = "$.*"` reads each member; `$.@key` is its name, `$.@value` itself where it is no object."""
    decoder = decoder_of("""
[fleet.x]
subscribe = ["gw"]
records = "$.*"
stream = "{$.@key}"
time = "$.ts"
time_unit = "ms"
period = "1s"
[fleet.x.features.temp]
path = "$.values.temp"
[fleet.bare]
subscribe = ["bare"]
records = "$.*"
stream = "{$.@key}"
period = "1s"
[fleet.bare.features.v]
path = "$.@value"
""")
    ms = NOW_NS // 10**6
    rows = {"Device A": [{"ts": ms, "values": {"temp": 2}}, {"ts": ms - 9, "values": {"temp": 1}}], "B": []}
    assert said(read(decoder, ("gw", rows))) == [("x", "Device A", [1]), ("x", "Device A", [2])]
    assert said(read(decoder, ("bare", {"A": 1, "B": "2,5 V"}))) == [("bare", "A", [1]), ("bare", "B", [2.5])]


def test_untimed_records_of_one_array_lie_a_period_apart() -> None:
    """The newest came when it came."""
    decoder = decoder_of('[fleet.x]\nsubscribe = ["a/{t}"]\nperiod = "10s"\n[fleet.x.features.v]')
    decoded = read(decoder, ("a/t", [{"v": 1}, {"v": 2}, {"v": 3}]))
    assert [(NOW_NS - one.at_ns) // 10**9 for one in decoded.inputs] == [20, 10, 0]


SPARKPLUG = """
[fleet.x]
subscribe = ["spBv1.0/{group}/DDATA/{node}/{device}"]
payload = "sparkplug"
period = "1s"
[fleet.x.features."Inlet Temp"]
"""


def birth(*metrics: bytes) -> bytes:
    """A payload of Sparkplug B."""
    return b"\x08" + varint(NOW_NS // 10**6) + b"".join(metrics)


def test_sparkplug_aliases_are_those_of_the_last_birth() -> None:
    """Unknown before it and after the death; a null is no value."""
    decoder = decoder_of(SPARKPLUG)
    topic = "spBv1.0/g/{}/n/d".format
    named = birth(sparkplug_metric("Inlet Temp", 5, alias=7))
    alias = birth(sparkplug_metric("", 6, alias=7))
    before = read(decoder, (topic("DDATA"), alias))
    assert [one.reason for one in before.inputs] == ["missing_field"]
    assert "rebirth" in before.refused[0].detail
    decoded = read(decoder, (topic("DBIRTH"), named), (topic("DDATA"), alias))
    assert said(decoded) == [("x", "g/n/d", [5]), ("x", "g/n/d", [6])]
    null = read(decoder, (topic("DDATA"), birth(sparkplug_metric("", None, alias=7))), (topic("DDEATH"), b"\x08\x01"))
    assert (list(null.inputs), dict(null.not_ours)) == ([], {"x": 2})
    assert [one.reason for one in read(decoder, (topic("DDATA"), alias)).inputs] == ["missing_field"]


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ('where = {"{b}" = 1}', "where: {b} is not captured"),
        ('where = {"$.m" = []}', "expected a text, a number or a list"),
        ('ignore = ["a/#/b"]', "ignore: topic filter"),
        ('name = "$.id"', "goes with `value`"),
        ('time = "$.t"\ntime_format = "now"', "expected a strptime format"),
        ('time = "$.t"\ntime_offset = "soon"', "time_offset: expected a duration"),
        ('[fleet.x.features.w]\nquality = "$.q"', "quality: goes with `good`"),
        ('[fleet.x.features.w]\ntrue_values = ["a"]', "goes with `false_values`"),
        ('[fleet.x.features.w]\ntopic = "c/{z}"', "captures {z}, the fleet's topics {t}"),
        ('[fleet.x.features.w]\npath = "$.w"\nmatch = ["v"]', "not needed beside `path`"),
    ],
)
def test_keys_that_make_no_sense_are_refused(keys: str, complaint: str) -> None:
    """At the start, by place and name."""
    with pytest.raises(ConfigError) as refused:
        decoder_of(f'[fleet.x]\nsubscribe = ["a/{{t}}"]\nperiod = 1\n{keys}\n[fleet.x.features.v]')
    assert complaint in str(refused.value)


def test_a_fleet_without_topics_is_refused() -> None:
    """Unless each feature has its own."""
    with pytest.raises(ConfigError, match="expected at least one topic"):
        decoder_of('[fleet.x]\nperiod = 1\n[fleet.x.features.v]\ntopic = "a/{t}"\n[fleet.x.features.w]')


def test_different_filters_must_not_meet() -> None:
    """A broker may send a message once for each."""
    fleets = "".join(
        f'[fleet.{name}]\nsubscribe = ["{topic}"]\nstream = "s"\nwhere = {{"$.m" = "{name}"}}\nperiod = 1\n'
        f"[fleet.{name}.features.v]\n"
        for name, topic in (("a", "x/+"), ("b", "x/#"))
    )
    with pytest.raises(ConfigError, match="overlaps"):
        decoder_of(fleets)
