"""What a link does where a real broker cannot be made to say it: limits, take-over, id reuse, silence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gaugecast.config.schema import Mqtt, Publish, Tls
from gaugecast.errors import ConfigError, SessionTaken
from gaugecast.mqtt import Link
from gaugecast.mqtt.credentials import read_password
from gaugecast.mqtt.packets import write_publish
from gaugecast.records import Message
from support.scripted_broker import CONNACK_V5, CONNACK_V5_SESSION, ScriptedBroker


class Clock:
    """A monotonic clock that a test moves; otherwise it stands still."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1e-3
        return self.now


@pytest.fixture
def broker() -> Iterator[ScriptedBroker]:
    """A scripted broker, to subscribe at."""
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
    """Makes links to the scripted brokers."""
    links: list[Link] = []

    def make(**settings: Any) -> Link:
        own = {name: settings.pop(name) for name in ("clock", "resumed") if name in settings}
        publish = Publish(port=other.port, **settings.pop("publish", {}))
        mqtt = Mqtt(host="127.0.0.1", port=broker.port, reconnect_max_s=0.1, publish=publish, **settings)
        links.append(Link(mqtt, [("in/#", 1)], **own))
        return links[-1]

    yield make
    for link in links:
        link.close(0.0)


def turn(link: Link) -> Callable[[], object]:
    """One short round of the link."""
    return lambda: link.poll(0, 0.002)


def take_one(link: Link) -> Message:
    """The next message, within some rounds."""
    for _ in range(2000):
        if taken := link.poll(1, 0.002):
            return taken[0]
    raise AssertionError(f"expected a message; last error {link.subscriber.last_error}")


def publish(mid: int, body: bytes) -> bytes:
    """A PUBLISH packet of the broker's, at QoS 1."""
    return write_publish(b"in/x", body, qos=1, retain=False, mid=mid, v5=True)


def test_an_ack_of_the_old_connection_never_acks_a_new_message_with_its_id(
    broker: ScriptedBroker, make_link: Callable[..., Link]
) -> None:
    """A broker that lost the session uses packet id 1 again at once, for another message."""
    link = make_link()
    broker.accept(turn(link))
    broker.say(publish(1, b"old"))
    old = take_one(link)
    broker.hang_up()
    broker.accept(turn(link))
    broker.say(publish(1, b"new"))
    new = take_one(link)
    assert (old.mid, old.epoch, new.mid, new.epoch) == (1, 1, 1, 2)
    assert link.subscriber.ack([old]) == 0
    assert link.subscriber.ack([new]) == 1
    said = broker.listen(turn(link), lambda said: b"\x40\x02\x00\x01" in said)
    assert said.count(b"\x40\x02\x00\x01") == 1
    assert link.subscriber.counters.session_lost_total == 1


@pytest.mark.parametrize(("resumed", "connack", "lost"), [
    (False, CONNACK_V5, 0), (True, CONNACK_V5, 1), (True, CONNACK_V5_SESSION, 0),
])  # fmt: skip
def test_a_session_that_an_earlier_process_had_can_be_lost_at_the_first_connect(
    broker: ScriptedBroker, make_link: Callable[..., Link], resumed: bool, connack: bytes, lost: int
) -> None:
    """The broker forgot it while we were away; the very first start has nothing to lose."""
    link = make_link(resumed=resumed)
    broker.accept(turn(link), connack)
    for _ in range(2000):
        if not link.subscriber.connected:
            turn(link)()
    assert link.subscriber.connected
    assert link.subscriber.counters.session_lost_total == lost
    assert link.subscriber.counters.reconnects_total == 0


def test_acks_between_two_connections_are_dropped(broker: ScriptedBroker, make_link: Callable[..., Link]) -> None:
    """Nothing but CONNECT may be the first packet of a connection."""
    link = make_link()
    broker.accept(turn(link))
    broker.say(publish(1, b"x"))
    message = take_one(link)
    broker.hang_up()
    while link.subscriber.connected:
        link.poll(0, 0.002)
    assert link.subscriber.ack([message]) == 0
    broker.accept(turn(link), CONNACK_V5_SESSION)
    assert broker.said[:1] == b"\x10"
    assert b"\x40\x02\x00\x01" not in broker.said


def test_messages_read_before_a_cut_are_still_given(broker: ScriptedBroker, make_link: Callable[..., Link]) -> None:
    """If the broker has lost the session, ours is the only copy."""
    link = make_link()
    broker.accept(turn(link))
    while not link.subscriber.connected:
        link.poll(0, 0.002)
    broker.say(publish(1, b"a") + publish(2, b"b"))
    broker.hang_up()
    assert [take_one(link).payload, take_one(link).payload] == [b"a", b"b"]


def test_a_session_taken_over_ends_with_a_clear_error(broker: ScriptedBroker, make_link: Callable[..., Link]) -> None:
    """DISCONNECT with reason code 0x8E."""
    link = make_link(client_id="twice")
    broker.accept(turn(link))
    broker.say(b"\xe0\x02\x8e\x00")
    with pytest.raises(SessionTaken, match=r"'twice'.*taken over"):
        broker.listen(lambda: link.poll(1, 0.002), lambda said: False)


def test_the_brokers_limits_are_kept(other: ScriptedBroker, make_link: Callable[..., Link]) -> None:
    """Receive Maximum 3, packets of 200 bytes, QoS 0 at most, no retained messages."""
    link = make_link(publish_window=20)
    limits = b"\x21\x00\x03" + b"\x27\x00\x00\x00\xc8" + b"\x24\x00" + b"\x25\x00"
    other.accept(turn(link), b"\x20" + bytes((3 + len(limits), 0, 0, len(limits))) + limits)
    while not link.sender.connected:
        link.poll(0, 0.002)
    assert link.sender.room() == 3
    link.sender.publish(0, "out", b"x", 1, True)
    link.sender.publish(1, "out", bytes(300), 1, False)
    assert link.sender.take_refused() == [(1, "the broker takes packets of at most 200 bytes")]
    other.listen(turn(link), lambda said: said.endswith(b"\x30\x07\x00\x03out\x00x"))
    assert link.sender.take_confirmed() == [0]


def test_pubacks_settle_positions_whatever_their_order(other: ScriptedBroker, make_link: Callable[..., Link]) -> None:
    """Confirmed, refused with its reason, unknown ids passed over."""
    link = make_link(publish_window=3)
    other.accept(turn(link))
    while not link.sender.connected:
        link.poll(0, 0.002)
    for position in (70, 71, 72):
        link.sender.publish(position, "out", b"x", 1, False)
    other.listen(turn(link), lambda said: said.count(b"\x00\x03out") == 3)
    other.say(b"\x40\x02\x04\x02" + b"\x40\x03\x04\x00\x87" + b"\x40\x02\x77\x77")
    while link.sender.room() < 2:
        link.poll(0, 0.002)
    assert link.sender.take_confirmed() == [72]
    assert link.sender.take_refused() == [(70, "Not authorized (135)")]


def test_connect_asks_for_what_the_design_says(broker: ScriptedBroker, make_link: Callable[..., Link]) -> None:
    """Session kept, Receive Maximum and session expiry announced, no topic alias; no retained messages."""
    link = make_link(receive_maximum=1000, session_expiry_s=604_800)
    broker.accept(turn(link))
    said = broker.listen(turn(link), lambda said: b"in/#" in said)
    connect = said[: said[1] + 2] if said[1] < 128 else said[: (said[1] & 127) + (said[2] << 7) + 3]
    assert not connect[connect.index(b"MQTT") + 5] & 2  # no clean start
    assert b"\x21\x03\xe8" in connect
    assert b"\x11\x00\x09\x3a\x80" in connect
    assert b"\x22" not in connect[connect.index(b"MQTT") + 8 : connect.index(b"gaugecast")]
    assert said[said.index(b"in/#") + 4] == 0b10_0_0_01  # retain handling 2, not as published, QoS 1


def test_a_broker_that_accepts_and_says_nothing_is_given_up(
    broker: ScriptedBroker, make_link: Callable[..., Link]
) -> None:
    """Ten seconds for CONNACK, then the next attempt."""
    clock = Clock()
    link = make_link(clock=clock)
    broker.accept(turn(link), b"")
    clock.now += 11.0
    link.poll(0, 0.002)
    assert "CONNACK" in str(link.subscriber.last_error)
    assert link.subscriber.counters.failed_dials_total == 1


def test_a_refused_connection_is_a_state(broker: ScriptedBroker, make_link: Callable[..., Link]) -> None:
    """A wrong password may be mended at the broker; the link goes on trying and says why it is not connected."""
    link = make_link()
    broker.accept(turn(link), b"\x20\x03\x00\x86\x00")
    while not link.subscriber.counters.failed_dials_total:
        link.poll(0, 0.002)
    assert "Bad user name or password" in str(link.subscriber.last_error)
    broker.accept(turn(link), CONNACK_V5)
    while not link.subscriber.connected:
        link.poll(0, 0.002)


def test_malformed_bytes_end_the_connection_and_not_the_process(
    broker: ScriptedBroker, make_link: Callable[..., Link]
) -> None:
    """The next connection starts from a clean slate."""
    link = make_link()
    broker.accept(turn(link))
    while not link.subscriber.connected:
        link.poll(0, 0.002)
    broker.say(b"\x36\x07\x00\x01a\x00\x01\x00x")
    while link.subscriber.connected:
        link.poll(1, 0.002)
    assert "contradicts itself" in str(link.subscriber.last_error)
    broker.accept(turn(link))
    broker.say(publish(1, b"well"))
    assert take_one(link).payload == b"well"


def test_waits_end_when_they_should(make_link: Callable[..., Link], broker: ScriptedBroker) -> None:
    """`poll` waits no longer than it was told, connected or not."""
    broker.close()
    clock = Clock()
    link = make_link(clock=clock)
    assert link.poll(10, 0.05) == []
    assert clock.now < 1.0


def test_passwords_come_from_files_and_systemd_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative name is looked for among the credentials; an unreadable file names the key."""
    (tmp_path / "mqtt").write_text("s3cret é\n")
    assert read_password(Mqtt(password_file=tmp_path / "mqtt")) == "s3cret é"
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert read_password(Mqtt(password_file=Path("mqtt"))) == "s3cret é"
    assert read_password(Mqtt()) is None
    with pytest.raises(ConfigError, match=r"\[mqtt\] password_file"):
        Link(Mqtt(password_file=tmp_path / "absent"), [])
    with pytest.raises(ConfigError, match=r"\[mqtt\.tls\]"):
        Link(Mqtt(tls=Tls(ca=tmp_path / "absent")), [])


def test_a_name_that_does_not_resolve_is_a_state() -> None:
    """Resolving happens beside the loop, and its failure is an attempt like others."""
    link = Link(Mqtt(host="no-such-host.invalid", reconnect_max_s=0.1), [])
    for _ in range(500):
        link.poll(0, 0.02)
        if link.subscriber.counters.failed_dials_total:
            break
    link.close(0.0)
    assert "cannot resolve 'no-such-host.invalid'" in str(link.subscriber.last_error)


def connect_of(said: bytes) -> bytes:
    """The CONNECT packet, whole."""
    return said[: said[1] + 2] if said[1] < 128 else said[: (said[1] & 127) + (said[2] << 7) + 3]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_the_connection_that_publishes_begins_clean_and_has_the_will(
    broker: ScriptedBroker, other: ScriptedBroker, make_link: Callable[..., Link], protocol: str
) -> None:
    """It asks for no session, and the status is its business alone: nothing can follow `offline`."""
    link = make_link(protocol=protocol, client_id="me", session_expiry_s=604_800)
    connack = CONNACK_V5 if protocol == "5" else b"\x20\x02\x00\x00"
    broker.accept(turn(link), connack)
    other.accept(turn(link), connack)
    speaks = connect_of(other.listen(turn(link), lambda said: b'"online"' in said))
    hears = connect_of(broker.said)
    flags = [packet[packet.index(b"MQTT") + 5] for packet in (hears, speaks)]
    assert [flag & 2 for flag in flags] == [0, 2]  # clean start
    assert [flag & 4 for flag in flags] == [0, 4]  # will
    assert b"status" not in hears
    assert b"gaugecast-notices/daemon/me" in speaks
    assert b"me-out" in speaks
    assert b"\x11\x00\x09\x3a\x80" not in speaks


def test_a_client_id_that_another_takes_over_is_named(other: ScriptedBroker, make_link: Callable[..., Link]) -> None:
    """Of the two: that of the connection that publishes, too."""
    link = make_link(client_id="twice")
    other.accept(turn(link))
    other.say(b"\xe0\x02\x8e\x00")
    with pytest.raises(SessionTaken, match=r"mqtt\.publish\.client_id 'twice-out'.*taken over"):
        other.listen(turn(link), lambda said: False)


def test_each_side_has_its_own_fate(
    broker: ScriptedBroker, other: ScriptedBroker, make_link: Callable[..., Link]
) -> None:
    """Where one is cut, the other goes on: acks stay those of their connection, publishes stay under way."""
    link = make_link()
    broker.accept(turn(link))
    other.accept(turn(link))
    broker.say(publish(1, b"x"))
    message = take_one(link)
    link.sender.publish(7, "out", b"y", 1, False)
    other.listen(turn(link), lambda said: b"\x00\x03out" in said)
    other.hang_up()
    while link.sender.connected:
        link.poll(0, 0.002)
    assert link.subscriber.connected
    assert link.subscriber.ack([message]) == 1
    other.accept(turn(link))
    while not link.sender.connected:
        link.poll(0, 0.002)
    assert [connect.epoch for connect in link.sender.take_connects()] == [1, 2]
    broker.hang_up()
    while link.subscriber.connected:
        link.poll(0, 0.002)
    assert (link.sender.connected, link.connected) == (True, False)
    assert len(link.subscriber.take_connects()) == 1


def test_while_nothing_is_read_an_end_is_seen_and_the_wait_is_no_spin(
    broker: ScriptedBroker, make_link: Callable[..., Link]
) -> None:
    """What came before the end is still given."""
    clock = Clock()
    link = make_link(clock=clock)
    broker.accept(turn(link))
    while not link.subscriber.connected:
        link.poll(0, 0.002)
    broker.say(publish(1, b"last"))
    began = clock.now
    link.poll(0, 0.05)
    assert clock.now - began < 0.2  # a millisecond for each look at the clock: a spin would look all the time
    broker.hang_up()
    while link.subscriber.connected:
        link.poll(0, 0.002)
    assert take_one(link).payload == b"last"


@pytest.mark.parametrize(("code", "qos", "retained"), [(0x9A, 1, False), (0x9B, 0, True)])
def test_the_will_follows_what_the_broker_takes(
    other: ScriptedBroker, make_link: Callable[..., Link], code: int, qos: int, retained: bool
) -> None:
    """A broker of QoS 0 only, or one that retains nothing, refuses CONNECT; the next one asks for less."""
    link = make_link()
    other.accept(turn(link), bytes((0x20, 3, 0, code, 0)))
    other.accept(turn(link), CONNACK_V5)
    said = other.listen(turn(link), lambda said: b'"online"' in said)
    flags = said[said.index(b"MQTT") + 5]
    assert (flags >> 3 & 3, bool(flags & 0x20)) == (qos, retained)


def test_nothing_is_retained_at_a_broker_that_does_not(other: ScriptedBroker, make_link: Callable[..., Link]) -> None:
    """CONNACK says so: the status and the forecasts go without the flag, which would end the connection."""
    link = make_link()
    other.accept(turn(link), b"\x20\x05\x00\x00\x02\x25\x00")
    other.listen(turn(link), lambda said: b'"online"' in said)
    link.sender.publish(1, "out", b"body", 0, True)
    said = other.listen(turn(link), lambda said: b"body" in said)
    assert said[said.index(b"\x00\x03out") - 2] == 0x30
    assert said[said.rindex(b"\x00\x22gaugecast-notices/daemon/gaugecast") - 2] == 0x30


def test_an_old_broker_that_hangs_up_on_a_retained_will_is_asked_without_one(
    other: ScriptedBroker, make_link: Callable[..., Link]
) -> None:
    """MQTT 3.1.1 has no word for it: said while it lasts, tried at the third attempt, and kept to from then on."""
    link = make_link(protocol="3.1.1")
    kept = []
    for attempt in range(1, 6):
        other.accept(turn(link), b"\x20\x02\x00\x00" if attempt in (3, 4) else b"")
        kept.append(bool(other.said[other.said.index(b"MQTT") + 5] & 0x20))
        if attempt in (3, 4):
            other.listen(turn(link), lambda said: b'"online"' in said)
            assert link.sender.unkept is not None
            assert other.said[other.said.rindex(b"\x00\x22gaugecast-notices/daemon/gaugecast") - 2] == 0x30
        other.hang_up()
        while link.sender.last_error is None or (attempt in (1, 2) and "no retained" not in link.sender.last_error):
            link.poll(0, 0.002)
    assert kept == [True, True, False, False, False]
    assert link.sender.unkept is None, "nobody knows while there is no connection"


def test_a_broker_that_does_not_answer_connect_5_is_perhaps_an_old_one(
    broker: ScriptedBroker, make_link: Callable[..., Link]
) -> None:
    """By silence, and in the words of 3.1.1: the key is named."""
    clock = Clock()
    link = make_link(clock=clock)
    broker.accept(turn(link), b"")
    clock.now += 11.0
    link.poll(0, 0.002)
    assert '[mqtt] protocol: does the broker speak MQTT 5? If not, set "3.1.1"' in str(link.subscriber.last_error)
    clock.now += 1.0
    broker.accept(turn(link), b"\x20\x02\x00\x01")
    while link.subscriber.counters.failed_dials_total < 2:
        link.poll(0, 0.002)
    assert 'see [mqtt] protocol: set "3.1.1"' in str(link.subscriber.last_error)
