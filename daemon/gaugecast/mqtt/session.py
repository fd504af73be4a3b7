"""The control packets of one connection: CONNECT, SUBSCRIBE, UNSUBSCRIBE, PINGREQ.

paho writes them, and reads the CONNACK of a broker that took us. Whatever has reason codes is read here, since paho
raises at codes that it does not know of that packet.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from paho.mqtt import MQTTException
from paho.mqtt.client import MQTT_CLEAN_START_FIRST_ONLY, Client, ConnectFlags, DisconnectFlags, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from gaugecast.config.schema import Mqtt
from gaugecast.errors import Defect
from gaugecast.mqtt.causes import explain_refusal
from gaugecast.mqtt.packets import MalformedPacket, read_varint
from gaugecast.mqtt.reasons import BLAMELESS, CONNACK, DISCONNECT, SESSION_TAKEN_OVER, name_reason
from gaugecast.mqtt.role import Role
from gaugecast.mqtt.wire import Wire

ONLINE = json.dumps({"status": "online"})
OFFLINE = json.dumps({"status": "offline"})
PINGRESP = b"\xd0\x00"
FILTERS_PER_PACKET = 100
LAST_CONTROL_MID = 1023  # packet ids of SUBSCRIBE and UNSUBSCRIBE; those of our publishes lie above

#: Packets by the first half of their first byte.
_CONNACK, _PUBREC, _PUBCOMP, _SUBACK, _UNSUBACK, _PINGRESP, _DISCONNECT = 2, 5, 7, 9, 11, 13, 14
#: What paho raises at a CONNACK that contradicts itself.
_MALFORMED = (MQTTException, MalformedPacket, struct.error, LookupError, ValueError, TypeError)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the broker allows, from CONNACK (MQTT 5, 3.2.2.3); without a word of it, what the protocol allows."""

    receive_maximum: int = 65535
    packet_bytes: int = 268_435_455
    qos: int = 2
    retain: bool = True


@dataclass(frozen=True, slots=True)
class Accepted:
    """CONNACK said yes."""

    session_present: bool
    limits: Limits


@dataclass(frozen=True, slots=True)
class Ended:
    """The connection is over, or was refused.

    Attributes:
        taken_over: Another client came with our id (0x8E).
        blamed: The broker speaks of what we sent.
        code: Of a CONNACK that says no.
    """

    reason: str
    taken_over: bool = False
    blamed: bool = False
    code: int = 0


@dataclass(frozen=True, slots=True)
class Granted:
    """SUBACK: what the broker made of each filter: the filter, the QoS asked for, the reason code."""

    answers: tuple[tuple[str, int, int], ...]


class _ClientOnWire(Client):
    """paho's client, given an open socket instead of opening one, and its share of the packet ids."""

    wire: Wire

    def _create_socket(self) -> Wire:
        return self.wire

    def _mid_generate(self) -> int:
        self._last_mid: int = self._last_mid % LAST_CONTROL_MID + 1
        return self._last_mid


class Session:
    """One connection's control plane. Owned by the loop's thread; made anew for each connection.

    A new paho client for each connection has no memory: none of its queues outlives a connection.

    Attributes:
        events: What the broker said, in order. paho's callbacks only append here; exceptions in them surface.
    """

    def __init__(self, settings: Mqtt, wire: Wire, *, role: Role, password: str | None) -> None:
        self.events: list[Accepted | Ended | Granted] = []
        self._v5 = settings.protocol == "5"
        self._retains = True
        self._asked: dict[int | None, Sequence[tuple[str, int]]] = {}
        self._wire = wire
        self._settings, self._role, self._password_sent = settings, role, password is not None
        self._client = client = _ClientOnWire(
            CallbackAPIVersion.VERSION2,
            settings.client_id,
            clean_session=None if self._v5 else not role.keeps_session,
            protocol=MQTTv5 if self._v5 else MQTTv311,
            reconnect_on_failure=False,  # else paho answers some refusals with a connection of its own
            manual_ack=True,
        )
        client.wire = wire
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.username_pw_set(settings.username, password)
        if role.will_topic:
            client.will_set(role.will_topic, OFFLINE, qos=role.will_qos, retain=role.will_retain)
        connect_properties = None
        if self._v5 and role.keeps_session:
            connect_properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            connect_properties.ReceiveMaximum = settings.receive_maximum
            connect_properties.SessionExpiryInterval = settings.session_expiry_s
            # TopicAliasMaximum stays absent: the broker may use none, and paho would not resolve them.
        client.connect(
            settings.host,
            settings.port,
            settings.keepalive_s,
            clean_start=not role.keeps_session if self._v5 else MQTT_CLEAN_START_FIRST_ONLY,  # the latter: not said
            properties=connect_properties,
        )
        if client.socket() is not wire:
            raise Defect("expected paho-mqtt 2.x to take the socket that `_create_socket` gives; it took another")

    def take(self, packet: bytes) -> None:
        """Take one whole control packet; what it says is in `events`.

        Raises:
            MalformedPacket: it is shorter than its own fields.
        """
        kind = packet[0] >> 4
        body = packet[read_varint(packet, 1)[1] :]
        if kind == _CONNACK:
            self._take_connack(packet, body)
        elif kind == _SUBACK:
            self._take_suback(body)
        elif kind == _DISCONNECT and self._v5:
            code = body[0] if body else 0  # absent means a normal disconnection (3.14.2.1)
            reason = f"the broker ended the connection: {name_reason(code, DISCONNECT)}"
            taken_over = code == SESSION_TAKEN_OVER
            self.events.append(Ended(reason, taken_over=taken_over, blamed=code not in BLAMELESS))
        elif kind == _PINGRESP:
            self._tell_paho(PINGRESP)
        elif kind not in (_UNSUBACK, _PUBREC, _PUBCOMP):  # these bear on nothing
            raise MalformedPacket(f"the broker sent a packet of type {kind}, which is none that we wait for")

    def keep_alive(self, *, reading: bool) -> None:
        """Let paho send a PINGREQ when due, and end a connection that is silent. Call it once a second or so.

        Any byte is a sign of life. While we do not read (back-pressure), the broker's PINGRESP waits behind the
        messages: paho is told that it came, and TCP's own timeout is what ends a dead connection.
        """
        if not reading:
            self._wire.pinged = False
        if not self._wire.pinged:
            self._tell_paho(PINGRESP)
        self._client.loop_misc()

    def subscribe(self, filters: Sequence[tuple[str, int]], *, retained: Sequence[str] = ()) -> None:
        """Ask for the filters; on MQTT 5 retained messages only for those in `retained`."""
        for first in range(0, len(filters), FILTERS_PER_PACKET):
            part = list(filters[first : first + FILTERS_PER_PACKET])
            if self._v5:
                _, mid = self._client.subscribe([(name, _options(name, qos, name in retained)) for name, qos in part])
            else:
                _, mid = self._client.subscribe(part)
            self._asked[mid] = part

    def unsubscribe(self, filters: Sequence[str]) -> None:
        """Let go of filters that a session kept from an earlier configuration."""
        for first in range(0, len(filters), FILTERS_PER_PACKET):
            self._client.unsubscribe(list(filters[first : first + FILTERS_PER_PACKET]))

    def disconnect(self) -> None:
        """Push a DISCONNECT, so that the broker drops the will; the session stays with the broker."""
        self._wire.push(b"\xe0\x00")  # by hand: paho would close the socket as soon as the wire has taken the packet

    def push_status(self, text: str) -> None:
        """Push the status message, retained where the broker does that, at QoS 0: TCP keeps it in order and whole."""
        for topic in self._role.status_topics:
            self._client.publish(topic, text, qos=0, retain=self._retains)

    def push_command(self, topic: str, body: bytes) -> None:
        """Push a message at QoS 0, not retained."""
        self._client.publish(topic, body, qos=0)

    def _on_connect(
        self, _client: Client, _userdata: Any, flags: ConnectFlags, _reason: ReasonCode, properties: Properties | None
    ) -> None:
        limits = _read_limits(properties)
        if not self._role.will_retain:  # it took us only so: it would hang up on what is to be kept, too
            limits = replace(limits, retain=False)
        self._retains = limits.retain
        self.events.append(Accepted(flags.session_present, limits))

    def _on_disconnect(
        self, _client: Client, _userdata: Any, _flags: DisconnectFlags, reason: ReasonCode, _props: Properties | None
    ) -> None:
        self.events.append(Ended(f"we ended the connection: {reason}"))

    def _tell_paho(self, packet: bytes) -> None:
        self._wire.feed(packet)
        if self._client.loop_read() != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self.events.append(Ended("the broker's answer ended the connection"))
        self._client.loop_write()  # packets that paho made inside of a callback

    def _take_connack(self, packet: bytes, body: bytes) -> None:
        if len(body) < 2:
            raise MalformedPacket("a CONNACK without reason code")
        if body[1]:  # whatever is not success: the codes below 0x80 are none of CONNACK's
            reason = name_reason(body[1], CONNACK, v5=self._v5)
            mend = explain_refusal(body[1], self._settings, self._role, password_sent=self._password_sent)
            self.events.append(Ended(f"the broker refused the connection: {reason}{mend}", code=body[1]))
            return
        try:
            self._tell_paho(packet)
        except _MALFORMED as exc:
            raise MalformedPacket(f"a CONNACK that contradicts itself: {exc}") from exc

    def _take_suback(self, body: bytes) -> None:
        if len(body) < 3:
            raise MalformedPacket("a SUBACK without reason codes")
        asked = self._asked.pop(body[0] << 8 | body[1], ())
        first = 2
        if self._v5:
            size, first = read_varint(body, 2)
            first += size
        self.events.append(Granted(tuple((*one, code) for one, code in zip(asked, body[first:], strict=False))))


def _options(name: str, qos: int, retained: bool) -> SubscribeOptions:
    handling = SubscribeOptions.RETAIN_SEND_IF_NEW_SUB if retained else SubscribeOptions.RETAIN_DO_NOT_SEND
    if name.startswith("$SYS/"):  # what the broker says of itself is wanted as it is now, whenever we come
        handling = SubscribeOptions.RETAIN_SEND_ON_SUBSCRIBE
    return SubscribeOptions(qos, noLocal=False, retainAsPublished=False, retainHandling=handling)


def _read_limits(properties: Properties | None) -> Limits:
    unlimited = Limits()
    return Limits(
        receive_maximum=getattr(properties, "ReceiveMaximum", unlimited.receive_maximum),
        packet_bytes=getattr(properties, "MaximumPacketSize", unlimited.packet_bytes),
        qos=getattr(properties, "MaximumQoS", unlimited.qos),
        retain=bool(getattr(properties, "RetainAvailable", True)),
    )
