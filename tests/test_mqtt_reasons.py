"""Every reason code, in every packet that can bring one: told in words or as a number, never raised."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from gaugecast.config.broker import MqttVersion
from gaugecast.config.schema import Mqtt, Publish
from gaugecast.errors import SessionTaken
from gaugecast.mqtt import Link
from gaugecast.mqtt.causes import explain_refusal
from gaugecast.mqtt.reasons import CONNACK, DISCONNECT, PUBACK, SUBACK, name_reason
from gaugecast.mqtt.role import SUBSCRIBING
from support.scripted_broker import CONNACK_V5, ScriptedBroker

CONNACK_3_1_1 = b"\x20\x02\x00\x00"

#: A code without a name is read as any other; the first and the last of them stand for all.
_EVERY_DAY = {
    code
    for code in range(256)
    if code in (6, 0x7F, 0xFF) or not name_reason(code, CONNACK).startswith("reason code") or code < 6
}
CODES = [code if code in _EVERY_DAY else pytest.param(code, marks=pytest.mark.long) for code in range(256)]


@pytest.fixture
def broker() -> Iterator[ScriptedBroker]:
    """A scripted broker."""
    broker = ScriptedBroker()
    yield broker
    broker.close()


@pytest.fixture
def other() -> Iterator[ScriptedBroker]:
    """Another, to publish to."""
    other = ScriptedBroker()
    yield other
    other.close()


@pytest.fixture
def make_link(broker: ScriptedBroker, other: ScriptedBroker) -> Iterator[Callable[..., Link]]:
    """Makes links to it."""
    links: list[Link] = []

    def make(protocol: MqttVersion = "5", filters: int = 1) -> Link:
        mqtt = Mqtt(
            host="127.0.0.1", port=broker.port, protocol=protocol, reconnect_max_s=0.1, publish_window=300,
            publish=Publish(port=other.port),
        )  # fmt: skip
        links.append(Link(mqtt, [(f"in/{n}", 1) for n in range(filters)]))
        return links[-1]

    yield make
    for side in (broker, other):
        side.hang_up()  # else each link would wait for that
    for link in links:
        link.close(0.0)


def turn(link: Link) -> Callable[[], object]:
    """One short round."""
    return lambda: link.poll(9, 0.001) and None


def turn_until(link: Link, condition: Callable[[], object]) -> None:
    """Rounds until the condition holds."""
    for _ in range(5000):
        if condition():
            return
        link.poll(9, 0.001)
    raise AssertionError(f"expected the condition to come true; last error {link.subscriber.last_error}")


def test_all_codes_of_puback(other: ScriptedBroker, make_link: Callable[..., Link]) -> None:
    """Below 0x80 it was taken; from there on it was refused, 0x95 included, which is none of PUBACK's."""
    link = make_link()
    other.accept(turn(link))
    turn_until(link, lambda: link.sender.connected)
    for code in range(256):
        link.sender.publish(code, "out", b"x", 1, False)
    other.listen(turn(link), lambda said: said.count(b"\x00\x03out") == 256)
    for code in range(256):
        other.say(b"\x40\x03" + (1024 + code).to_bytes(2, "big") + bytes((code,)))
    turn_until(link, lambda: link.sender.room() == 300)
    assert link.sender.take_confirmed() == list(range(128))
    refused = dict(link.sender.take_refused())
    assert refused == {code: name_reason(code, PUBACK) for code in range(128, 256)}
    assert (refused[0x95], refused[0x87]) == ("Packet too large (149)", "Not authorized (135)")
    assert refused[0xFF] == "reason code 255"


def test_all_codes_of_suback(broker: ScriptedBroker, make_link: Callable[..., Link]) -> None:
    """Whatever is not a QoS leaves us deaf, and is named."""
    link = make_link(filters=100)
    for first in (0, 100, 200):
        broker.accept(turn(link))
        said = broker.listen(turn(link), lambda said: b"in/99" in said)
        at = said.index(b"in/0") - 5
        codes = bytes(code % 256 for code in range(first, first + 100))
        broker.say(b"\x90\x67" + said[at : at + 2] + b"\x00" + codes)
        turn_until(link, lambda: link.subscriber.deaf)
        told = str(link.subscriber.deaf)
        assert told.count("expected QoS 1, got") == sum(code > 2 for code in codes)
        assert all(
            f"'in/{n}': expected QoS 1, got {name_reason(c, SUBACK)}" in told for n, c in enumerate(codes) if c > 2
        )
        assert (link.subscriber.lowered is None) == (first > 0 and 0 not in codes)
        broker.hang_up()
        turn_until(link, lambda: not link.subscriber.connected)
        assert (link.subscriber.deaf, link.subscriber.lowered) == (None, None)


@pytest.mark.parametrize("code", CODES)
def test_each_code_of_disconnect(broker: ScriptedBroker, make_link: Callable[..., Link], code: int) -> None:
    """The connection is over, the reason is told; 0x8E alone ends the process."""
    link = make_link()
    broker.accept(turn(link))
    turn_until(link, lambda: link.subscriber.connected)
    broker.say(b"\xe0\x01" + bytes((code,)))
    if code == 0x8E:
        with pytest.raises(SessionTaken, match="taken over"):
            turn_until(link, lambda: not link.subscriber.connected)
    else:
        turn_until(link, lambda: not link.subscriber.connected)
    assert link.subscriber.last_error == f"the broker ended the connection: {name_reason(code, DISCONNECT)}"


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("code", CODES[1:])
def test_each_code_of_connack(broker: ScriptedBroker, make_link: Callable[..., Link], code: int, protocol: str) -> None:
    """Not connected, and why."""
    link = make_link(protocol)
    broker.accept(
        turn(link), b"\x20\x03\x00" + bytes((code, 0)) if protocol == "5" else b"\x20\x02\x00" + bytes((code,))
    )
    turn_until(link, lambda: link.subscriber.counters.failed_dials_total)
    named = name_reason(code, CONNACK, v5=protocol == "5")
    mend = explain_refusal(code, Mqtt.model_validate({"protocol": protocol}), SUBSCRIBING, password_sent=False)
    assert link.subscriber.last_error == f"the broker refused the connection: {named}{mend}"
    assert not link.subscriber.connected


@pytest.mark.parametrize("code", CODES)
def test_each_code_of_suback_on_3_1_1(broker: ScriptedBroker, make_link: Callable[..., Link], code: int) -> None:
    """0, 1 and 2 are granted; 0x80 and what does not exist is not."""
    link = make_link("3.1.1")
    broker.accept(turn(link), CONNACK_3_1_1)
    said = broker.listen(turn(link), lambda said: b"in/0" in said)
    at = said.index(b"in/0") - 4
    broker.say(b"\x90\x03" + said[at : at + 2] + bytes((code,)))
    turn_until(link, lambda: not link.subscriber._subscriptions._waiting)
    assert (link.subscriber.deaf is None) == (code < 3)
    assert (link.subscriber.lowered is None) == (code != 0)
    assert link.subscriber.connected


def test_words_of_3_1_1_and_of_another_packet_are_found() -> None:
    """A code of another packet has that packet's words."""
    assert name_reason(5, CONNACK, v5=False) == "Not authorized (5)"
    assert name_reason(200, CONNACK, v5=False) == "reason code 200"
    assert name_reason(0, SUBACK) == "Granted QoS 0 (0)"
    assert name_reason(0x8B, PUBACK) == "Server shutting down (139)"


@pytest.mark.parametrize("packet", [
    b"\x20\x01\x00", b"\x20\x03\x00\x00\x7f", b"\x20\x05\x00\x00\x02\xee\x01", b"\x90\x02\x00\x01", b"\x90\x00",
    b"\xf0\x00", b"\x10\x00", b"\x20\x04\x00\x00\x01\x22",
])  # fmt: skip
def test_control_packets_that_contradict_themselves_end_the_connection_and_not_the_process(
    broker: ScriptedBroker, make_link: Callable[..., Link], packet: bytes
) -> None:
    """The next attempt starts from a clean slate."""
    link = make_link()
    if packet[0] == 0x20:
        broker.accept(turn(link), packet)
        turn_until(link, lambda: link.subscriber.counters.failed_dials_total)
    else:
        broker.accept(turn(link))
        turn_until(link, lambda: link.subscriber.connected)
        broker.say(packet)
        turn_until(link, lambda: not link.subscriber.connected)
    broker.accept(turn(link), CONNACK_V5)
    turn_until(link, lambda: link.subscriber.connected)
