"""An edge node of Sparkplug B is asked for its births where an alias is unknown, if the fleet says so, and seldom."""

from __future__ import annotations

import pytest

from gaugecast.config import resolve_fleets
from gaugecast.config.schema import Loop, Settings
from gaugecast.errors import ConfigError
from gaugecast.fleet import Feature, Fleet
from gaugecast.payloads import Decoded, Decoder
from gaugecast.payloads.formats.sparkplug import ASK_AGAIN_NS
from gaugecast.records import Kind
from support.formats import sparkplug_metric, varint
from support.payloads import NOW_NS, make_message

TOPICS = tuple(f"spBv1.0/{{group}}/{kind}/{{node}}/{{device}}" for kind in ("DDATA", "DBIRTH"))


def decoder_of(*, rebirth: bool) -> Decoder:
    """Of one fleet of pumps."""
    features = (Feature("flow", path=("values", "flow")),)
    fleet = Fleet(
        "pumps", TOPICS, "{device}", features, 10**9, payload="sparkplug", time_path=("time",), time_unit="ns",
        rebirth=rebirth,
    )  # fmt: skip
    return Decoder([fleet], Loop())


def say(decoder: Decoder, kind: str, metric: bytes, *, after_ns: int = 0, node: str = "n") -> Decoded:
    """A message of a pump."""
    payload = b"\x08" + varint(NOW_NS // 10**6) + metric
    return decoder.decode([make_message(payload, f"spBv1.0/g/{kind}/{node}/d")], NOW_NS + after_ns)


UNKNOWN = sparkplug_metric("", 5, alias=1, at_ms=NOW_NS // 10**6)
BIRTH = sparkplug_metric("flow", 5, alias=1, at_ms=NOW_NS // 10**6)


def test_a_node_is_asked_once_a_minute_until_its_birth_names_the_alias() -> None:
    """By `Node Control/Rebirth` on the node's command topic; each node for itself."""
    decoder = decoder_of(rebirth=True)
    refused = say(decoder, "DDATA", UNKNOWN)
    ((topic, body),) = refused.asks
    assert topic == "spBv1.0/g/NCMD/n"
    assert b"Node Control/Rebirth" in body
    assert [one.reason for one in refused.inputs] == ["missing_field"]
    assert say(decoder, "DDATA", UNKNOWN, after_ns=ASK_AGAIN_NS - 1).asks == []
    assert [topic for topic, _ in say(decoder, "DDATA", UNKNOWN, node="m").asks] == ["spBv1.0/g/NCMD/m"]
    assert len(say(decoder, "DDATA", UNKNOWN, after_ns=ASK_AGAIN_NS).asks) == 1
    assert say(decoder, "DBIRTH", BIRTH, after_ns=2 * ASK_AGAIN_NS).asks == []
    named = say(decoder, "DDATA", UNKNOWN, after_ns=9 * ASK_AGAIN_NS)
    assert ([one.kind for one in named.inputs], named.asks) == ([Kind.READING], [])


def test_nobody_is_asked_who_was_not_to_be() -> None:
    """The complaint names the key."""
    refused = say(decoder_of(rebirth=False), "DDATA", UNKNOWN)
    assert refused.asks == []
    assert "set rebirth = true" in refused.refused[0].detail


def test_the_key_goes_with_sparkplug() -> None:
    """Elsewhere it would say nothing."""
    fleet = {"subscribe": ["a/{b}"], "period": "1s", "rebirth": True, "features": {"v": {}}}
    with pytest.raises(ConfigError, match='rebirth: goes with payload = "sparkplug"'):
        resolve_fleets(Settings.model_validate({"fleet": {"x": fleet}}))
