"""Messages of a fleet of tanks, and what the decoder makes of them: what the tests of payloads share."""

from __future__ import annotations

import json
import struct
from typing import Any

from gaugecast.config.schema import Loop
from gaugecast.fleet import Feature, Fleet
from gaugecast.payloads import Decoded, Decoder
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


class _Never:
    """A quick reader that leaves everything to the careful one."""

    def look(self, _: object) -> None:
        return None


def careful_decoder(fleet: Fleet, loop: Loop | None = None) -> Decoder:
    """A decoder that takes nothing the quick way."""
    decoder = Decoder([fleet], loop or Loop())
    decoder._plain = [_Never()] * len(decoder._plain)  # type: ignore[list-item]
    return decoder


def taken_quickly(decoder: Decoder, message: Message) -> int:
    """How many readings of a message the quick reader of the decoder's first fleet takes."""
    (reader, *_), route = decoder._plain, decoder._find_route(message.topic)
    readings = reader.look(message)
    return 0 if readings is None else len(reader.read([(1, message, route, readings)], NOW_NS).inputs)


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
    assert [refused.reason for refused in decoded.refused] == [taken.reason]
    assert taken.reason in REJECT_REASONS
    return taken.reason
