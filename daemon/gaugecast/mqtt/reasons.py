"""What the broker's reason codes mean (MQTT 5.0, 2.4; 3.1.1, 3.2.2.3): looked up, so that no code ever raises.

paho reads codes, too, and raises at one that exists for other packets only. Brokers send such: mosquitto 2.0.11
answers a PUBLISH above its `message_size_limit` with 0x95, which is none of PUBACK's. So packets with codes are read
by ourselves.
"""

from __future__ import annotations

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

CONNACK, PUBACK, SUBACK, DISCONNECT = (
    PacketTypes.CONNACK, PacketTypes.PUBACK, PacketTypes.SUBACK, PacketTypes.DISCONNECT,
)  # fmt: skip

FAILURE = 0x80  # reason codes from here on mean no
SESSION_TAKEN_OVER = 0x8E
RETAIN_NOT_SUPPORTED, QOS_NOT_SUPPORTED = 0x9A, 0x9B
#: Of DISCONNECT: what speaks of the broker or the session, not of the packet that we sent last.
BLAMELESS = frozenset({0x00, 0x04, 0x89, 0x8B, 0x8D, SESSION_TAKEN_OVER, 0x96, 0x98, 0x9C, 0x9D, 0x9F, 0xA0})

_NAMES = ReasonCode(PacketTypes.PUBACK).names
_CONNACK_3_1_1 = {
    1: "Unsupported protocol version",
    2: "Client identifier not valid",
    3: "Server unavailable",
    4: "Bad user name or password",
    5: "Not authorized",
}


def name_reason(code: int, packet: int, *, v5: bool = True) -> str:
    """The code in words, with its number; in another packet's words, or the number alone, where there are no own."""
    if not v5 and packet == CONNACK:
        name = _CONNACK_3_1_1.get(code)
    else:
        names = _NAMES.get(code, {})
        name = next((name for name, packets in names.items() if packet in packets), next(iter(names), None))
    return f"reason code {code}" if name is None else f"{name} ({code})"
