"""What a link promises, over {MQTT 5, 3.1.1} × {TCP, TLS}, against a real mosquitto."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gaugecast.config.schema import Mqtt, Tls
from gaugecast.errors import SessionTaken
from gaugecast.mqtt import Link
from gaugecast.mqtt.session import Session
from gaugecast.records import Message
from support.mosquitto import Certificates, Mosquitto, RawClient, make_certificates, wait_until
from support.relay import Relay

VARIANTS = [(protocol, tls) for protocol in ("5", "3.1.1") for tls in (False, True)]
RECONNECTS = int(os.environ.get("RECONNECTS", "25"))

Reach = Callable[..., Link]
Serve = Callable[..., Mosquitto]


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """One set for all tests."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(params=VARIANTS, ids=lambda v: f"v{v[0]}-{'tls' if v[1] else 'tcp'}")
def variant(request: pytest.FixtureRequest) -> tuple[str, bool]:
    """Protocol, and whether over TLS."""
    chosen: tuple[str, bool] = request.param
    return chosen


@pytest.fixture
def serve(tmp_path: Path, variant: tuple[str, bool], certificates: Certificates) -> Iterator[Serve]:
    """Starts brokers of the variant's transport."""
    brokers: list[Mosquitto] = []

    def make(**settings: Any) -> Mosquitto:
        files = certificates if variant[1] else None
        broker = Mosquitto(tmp_path / f"broker{len(brokers)}", certificates=files, client_certificates=True, **settings)
        broker.start()
        brokers.append(broker)
        return broker

    yield make
    for broker in brokers:
        broker.kill()


@pytest.fixture
def reach(variant: tuple[str, bool]) -> Iterator[Reach]:
    """Makes links to a broker, with the variant's protocol and transport."""
    links: list[Link] = []

    def make(
        broker: Mosquitto,
        filters: list[tuple[str, int]],
        *,
        via: int | None = None,
        connect: bool = True,
        forget: tuple[str, ...] = (),
        retained: tuple[str, ...] = (),
        flap_limit: int = 10_000,
        **settings: Any,
    ) -> Link:
        if broker.certificates is not None:
            files = broker.certificates
            settings["tls"] = Tls(ca=files.ca, certificate=files.client, key=files.client_key)
        settings = {"host": "127.0.0.1", "reconnect_max_s": 0.1, **settings}
        keepalive_s = settings.pop("keepalive_s", 30)
        mqtt = Mqtt(port=via or broker.port, protocol=variant[0], **settings)
        mqtt = mqtt.model_copy(update={"keepalive_s": keepalive_s})  # a test need not wait for the least allowed
        link = Link(mqtt, filters, forget=forget, retained=retained, flap_limit=flap_limit)
        links.append(link)
        if connect:
            subscribed = broker.count("Sending SUBACK")
            turn_until(link, lambda: broker.count("Sending SUBACK") > subscribed)
        return link

    yield make
    for link in links:
        link.close(0.0)


def turn_until(link: Link, condition: Callable[[], Any], *, what: str = "condition") -> Any:
    """Turn the link without taking messages until the condition holds."""

    def turned() -> Any:
        link.poll(0, 0.01)
        return condition()

    return wait_until(turned, what=f"{what}; last error {link.last_error}")


def take(link: Link, count: int, *, most: int = 1000, ack: bool = False) -> list[Message]:
    """Take messages until there are `count`; without `ack` a default broker sends no more than 20 on 3.1.1."""
    taken: list[Message] = []

    def enough() -> bool:
        batch = link.poll(most, 0.05)
        taken.extend(batch)
        if ack:
            link.ack(batch)
        return len(taken) >= count

    wait_until(enough, what=f"{count} messages; last error {link.last_error}")
    return taken


def publish_all(link: Link, bodies: list[tuple[str, bytes]], *, qos: int) -> list[int]:
    """Publish as a caller does, within the room; return the confirmed positions in order of confirmation."""
    confirmed: list[int] = []
    position = 0

    def all_confirmed() -> bool:
        nonlocal position
        for _ in range(min(link.room(qos), len(bodies) - position)):
            link.publish(position, *bodies[position], qos, False)
            position += 1
        link.poll(0, 0.05)
        confirmed.extend(link.take_confirmed())
        return len(confirmed) == len(bodies)

    wait_until(all_confirmed, what=f"{len(bodies)} publishes confirmed; last error {link.last_error}")
    return confirmed


@pytest.mark.parametrize("qos", [0, 1])
def test_messages_arrive_in_order_and_unchanged(serve: Serve, reach: Reach, qos: int) -> None:
    """Empty, odd and long payloads, and topics in UTF-8, arrive as they were sent."""
    broker = serve()
    link = reach(broker, [("in/#", qos)])
    sent = [(f"in/é/{n}", os.urandom(n * 37 % 5000)) for n in range(300)] + [("in/long", bytes(700_000))]
    with RawClient(broker) as client:
        client.publish(sent, qos=qos)
        taken = take(link, len(sent), most=64, ack=True)
    assert [(m.topic, m.payload) for m in taken] == sent
    assert {(m.qos, m.retain, m.dup, m.epoch) for m in taken} == {(qos, False, False, 1)}
    assert link.counters.acked_total == (len(sent) if qos else 0)


@pytest.mark.parametrize("qos", [0, 1])
def test_publishes_are_heard_in_order_and_confirmed_once(serve: Serve, reach: Reach, qos: int) -> None:
    """An independent subscriber hears what was published; each position is confirmed exactly once."""
    broker = serve(conf="max_queued_messages 0")
    link = reach(broker, [], connect=False)
    turn_until(link, lambda: link.connected)
    bodies = [(f"out/{n}", os.urandom(n * 31 % 3000)) for n in range(500)]
    with RawClient(broker, subscribe="out/#", qos=qos) as client:
        assert publish_all(link, bodies, qos=qos) == list(range(500))
        heard = client.wait_heard(500)
    assert [(h.topic, h.payload) for h in heard] == bodies
    assert link.counters.confirmed_total == 500
    assert link.take_refused() == []


def test_the_window_is_never_exceeded(serve: Serve, reach: Reach) -> None:
    """Room shrinks with each publish, is never negative, and comes back with the PUBACKs."""
    broker = serve()
    link = reach(broker, [], connect=False, publish_window=5)
    assert link.room() == 0
    turn_until(link, lambda: link.connected)
    for position in range(5):
        assert link.room() == 5 - position
        link.publish(position, "out", b"x", 1, False)
    assert link.room() == 0
    link.poll(0, 10.0)  # ends when half of the window is free, long before ten seconds are over
    assert link.room() >= 3


def test_unacked_messages_come_again_after_a_cut_and_old_acks_are_dropped(serve: Serve, reach: Reach) -> None:
    """An ack of the old connection must not count on the new one, where its packet id is in use again."""
    broker = serve()
    with Relay(broker.port) as relay, RawClient(broker) as client:
        link = reach(broker, [("in/#", 1)], via=relay.port)
        client.publish([(f"in/{n}", b"x") for n in range(10)])
        first = take(link, 10)
        assert link.ack(first[:4]) == 4
        turn_until(link, lambda: broker.count("Received PUBACK from gaugecast") == 4)
        for epoch in (2, 3):
            relay.cut()
            turn_until(link, lambda epoch=epoch: link.epoch == epoch and link.connected)
            assert [c.session_present for c in link.take_connects()][-1]
            again = take(link, 6)
            assert [m.topic for m in again] == [f"in/{n}" for n in range(4, 10)]
            assert all(m.dup and m.epoch == epoch for m in again)
            assert link.ack(first[4:]) == 0
        assert link.counters.stale_acks_total == 12
        assert link.ack(again) == 6
        relay.cut()
        turn_until(link, lambda: link.epoch == 4 and link.connected)
    assert link.counters.session_lost_total == 0
    assert link.counters.reconnects_total == 3


def test_reconnects_with_acks_pending_are_never_a_protocol_error(serve: Serve, reach: Reach) -> None:
    """Acks in every state of a connection: before CONNACK, after a cut that was not seen yet, while dialling."""
    broker = serve(conf="max_queued_messages 0")
    with Relay(broker.port) as relay, RawClient(broker) as client:
        link = reach(broker, [("in/#", 1)], via=relay.port)
        held: list[Message] = []
        for cut in range(RECONNECTS):
            client.publish([("in/x", b"%d" % cut)] * 3, wait=False)
            relay.cut(reset=cut % 2 == 0)
            link.ack(held)
            while link.epoch < cut + 2:
                held += link.poll(100, 0.01)
                link.ack(held)
        assert link.counters.reconnects_total == RECONNECTS
        link.ack(held)
        turn_until(link, lambda: link.connected)
    # "disconnected: Protocol error." is not among these: it is EPROTO, of a TLS record that the relay cut in two.
    for fault in ("due to protocol error", "due to malformed packet", "Protocol error from"):
        assert broker.count(fault) == 0


def test_a_broker_killed_and_started_again_is_found_and_its_lost_session_counted(serve: Serve, reach: Reach) -> None:
    """kill -9 of a broker without persistence: reconnected, subscribed anew, and the loss is told."""
    broker = serve()
    link = reach(broker, [("in/#", 1)])
    broker.kill()
    turn_until(link, lambda: not link.connected and link.counters.failed_dials_total > 0)
    assert link.room() == 0
    assert link.last_error
    broker.start()
    turn_until(link, lambda: broker.count("Sending SUBACK") == 2)
    assert [c.session_present for c in link.take_connects()] == [False, False]
    assert link.counters.session_lost_total == 1
    assert link.last_error is None
    with RawClient(broker) as client:
        client.publish([("in/1", b"again")])
        assert take(link, 1)[0].payload == b"again"


def test_a_persistent_session_outlives_both_sides(serve: Serve, reach: Reach) -> None:
    """What was published while we were away, and over a restart of the broker, is delivered on our return."""
    broker = serve(persistence=True)
    reach(broker, [("in/#", 1)]).close()
    with RawClient(broker) as client:
        client.publish([(f"in/{n}", b"x") for n in range(50)])
    broker.restart()
    link = reach(broker, [("in/#", 1)])
    assert link.take_connects()[0].session_present
    assert [m.topic for m in take(link, 50, ack=True)] == [f"in/{n}" for n in range(50)]


def test_a_refused_publish_is_told_on_mqtt_5(serve: Serve, reach: Reach, variant: tuple[str, bool]) -> None:
    """MQTT 5 says "not authorized" in the PUBACK; 3.1.1 has no word for it, and it looks confirmed."""
    broker = serve(acl="topic read out/#\ntopic write out/allowed\ntopic write gaugecast/status\n")
    link = reach(broker, [], connect=False, publish_window=20)
    turn_until(link, lambda: link.connected)
    for position, topic in enumerate(["out/allowed", "out/forbidden", "out/wild/+/card", ""]):
        link.publish(position, topic, b"x", 1, False)
    confirmed: list[int] = []
    turn_until(link, lambda: confirmed.extend(link.take_confirmed()) or link.room() == 20)
    refused = dict(link.take_refused())
    if variant[0] == "5":
        assert confirmed == [0]
        assert "ot authorized" in refused[1]
    else:
        assert confirmed == [0, 1]
    assert {2, 3} <= set(refused)
    assert link.connected


def test_a_refused_subscription_is_a_fault_that_is_told(serve: Serve, reach: Reach) -> None:
    """The link stays up; `last_error` names the filter."""
    broker = serve(acl="topic read in/#\ntopic write #\n", conf="")
    link = reach(broker, [("in/#", 1), ("secret/#", 1)], connect=False)
    turn_until(link, lambda: broker.count("Sending SUBACK"))
    with RawClient(broker) as client:
        client.publish([("in/1", b"x")])
        assert take(link, 1)
    if link.last_error is not None:  # mosquitto 2.0.11 grants it all the same, and filters on delivery
        assert "secret/#" in link.last_error


def test_a_broker_that_is_down_at_the_start_is_a_state(serve: Serve, reach: Reach) -> None:
    """No exception, `last_error` says why, and the link connects once the broker is there."""
    broker = serve()
    broker.stop()
    link = reach(broker, [("in/#", 1)], connect=False)
    turn_until(link, lambda: link.counters.failed_dials_total >= 3)
    assert "refused" in str(link.last_error)
    assert (link.connected, link.epoch, link.room(), link.backlog_bytes) == (False, 0, 0, 0)
    broker.start()
    turn_until(link, lambda: link.connected)


def test_the_will_says_offline_after_a_crash_and_the_link_itself_at_the_end(serve: Serve, reach: Reach) -> None:
    """The retained status topic is true whatever happens."""
    broker = serve()
    with Relay(broker.port) as relay, RawClient(broker, subscribe="gaugecast/status") as client:
        link = reach(broker, [("in/#", 1)], via=relay.port)
        client.wait_heard(1)
        relay.cut()
        client.wait_heard(2)
        turn_until(link, lambda: len(client.heard) == 3)
        link.close()
        heard = client.wait_heard(4)
    assert [h.payload for h in heard] == [
        b'{"status": "online"}',
        b'{"status": "offline"}',
        b'{"status": "online"}',
        b'{"status": "offline"}',
    ]
    with RawClient(broker, subscribe="gaugecast/status") as late:
        assert late.wait_heard(1)[0].retain
    assert broker.count("Received DISCONNECT from gaugecast") == 1


def test_close_sends_what_is_pending_though_messages_are_unread(serve: Serve, reach: Reach) -> None:
    """The last acks, publishes and DISCONNECT arrive, though the broker has more for us than we read."""
    broker = serve(conf="max_queued_messages 0\nmax_inflight_messages 0")
    link = reach(broker, [("in/#", 1)])
    with RawClient(broker, subscribe="out", qos=1) as client:
        client.publish([("in/x", bytes(2000))] * 2000)
        first = take(link, 1, most=10)
        link.ack(first)
        link.publish(0, "out", b"last words", 1, False)
        link.close()
        assert client.wait_heard(1)[0].payload == b"last words"
        assert link.take_confirmed() == [0]
    broker.wait_for("Received DISCONNECT from gaugecast")
    assert broker.count("Received PUBACK from gaugecast") == len(first)


def test_filters_that_left_the_configuration_are_forgotten(serve: Serve, reach: Reach) -> None:
    """A persistent session would deliver them for ever."""
    broker = serve()
    reach(broker, [("old/#", 1), ("in/#", 1)]).close()
    link = reach(broker, [("in/#", 1)], forget=("old/#", "in/#"))
    with RawClient(broker) as client:
        client.publish([("old/1", b"x"), ("in/1", b"x")])
        assert [m.topic for m in take(link, 1)] == ["in/1"]


def test_retained_messages_come_only_where_wanted_and_ours_never_come_back(
    serve: Serve, reach: Reach, variant: tuple[str, bool]
) -> None:
    """MQTT 5 spares us both; on 3.1.1 the caller sees the retain flag."""
    broker = serve()
    with RawClient(broker) as client:
        client.publish([("in/kept", b"old"), ("wanted/kept", b"old")], retain=True)
        link = reach(broker, [("in/#", 1), ("wanted/#", 1)], retained=("wanted/#",))
        link.publish(0, "in/own", b"ours", 1, False)
        turn_until(link, link.take_confirmed)
        client.publish([("in/live", b"new")])
        taken = take(link, 2 if variant[0] == "5" else 4)
    live = {m.topic for m in taken if not m.retain}
    kept = {m.topic for m in taken if m.retain}
    if variant[0] == "5":
        assert (live, kept) == ({"in/live"}, {"wanted/kept"})
    else:
        assert (live, kept) == ({"in/live", "in/own"}, {"wanted/kept", "in/kept"})


def test_an_inherited_qos_2_message_is_delivered_and_settled(serve: Serve, reach: Reach) -> None:
    """The daemon never asks for QoS 2, but a session made by another program may hold such messages."""
    broker = serve()
    with RawClient(broker) as client:
        link = reach(broker, [("in/#", 2)])
        client.publish([("in/1", b"x")], qos=2)
        taken = take(link, 1)
        assert taken[0].qos == 2
        assert link.ack(taken) == 1
        wait_until(lambda: link.poll(1, 0.01) or broker.count("Received PUBCOMP from gaugecast"), what="PUBCOMP")


def test_properties_of_a_message_are_passed_over(serve: Serve, reach: Reach) -> None:
    """User properties, more than a one-byte length can say, leave the payload whole."""
    broker = serve()
    link = reach(broker, [("in/#", 1)])
    with RawClient(broker) as client:
        client.publish_with_properties("in/1", b"body", [("key", "v" * 300)])
        assert [(m.topic, m.payload) for m in take(link, 1)] == [("in/1", b"body")]


def test_a_large_backlog_does_not_grow_our_memory(serve: Serve, reach: Reach) -> None:
    """40 MB wait at the broker; while nothing is taken, little of it is read, and all of it comes in the end."""
    broker = serve(conf="max_queued_messages 0", log_all=False)
    link = reach(broker, [("in/#", 1)], connect=False)
    turn_until(link, lambda: link.connected)
    link.close()
    count = 10_000
    with RawClient(broker) as client:
        client.publish([("in/x", n.to_bytes(4, "big") * 1000) for n in range(count)])
    link = reach(broker, [("in/#", 1)], connect=False)
    turn_until(link, lambda: link.connected)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    link.poll(0, 0.2)
    seen = []
    while len(seen) < count:
        batch = link.poll(200, 5.0)
        assert len(batch) <= 200
        seen += [m.payload[:4] for m in batch]
        link.ack(batch)
    assert seen == [n.to_bytes(4, "big") for n in range(count)]
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 24


def test_the_keepalive_is_kept_while_idle_and_under_back_pressure(serve: Serve, reach: Reach) -> None:
    """PINGREQ goes out, and a PINGRESP that waits behind unread messages does not end the connection."""
    broker = serve()
    idle = reach(broker, [], connect=False, client_id="idle", keepalive_s=1)
    pressed = reach(broker, [("in/#", 1)], client_id="pressed", keepalive_s=1)
    with RawClient(broker) as client:
        client.publish([("in/1", b"x")] * 10)

        def pinged_thrice() -> bool:
            idle.poll(10, 0.02)
            pressed.poll(0, 0.02)
            return all(broker.count(f"Received PINGREQ from {name}") >= 3 for name in ("idle", "pressed"))

        wait_until(pinged_thrice, what="three PINGREQ of each")
    assert (idle.epoch, pressed.epoch, idle.connected, pressed.connected) == (1, 1, True, True)
    assert len(take(pressed, 10)) == 10
    assert broker.count("exceeded timeout") == 0


def test_a_broker_that_stands_still_is_given_up(serve: Serve, reach: Reach) -> None:
    """Half-open: the socket is fine, nobody answers. The keepalive ends it, and the link comes back."""
    broker = serve()
    link = reach(broker, [], connect=False, keepalive_s=1)
    turn_until(link, lambda: link.connected)
    broker.pause()
    wait_until(lambda: link.poll(1, 0.01) or not link.connected, what="the silence noticed")
    broker.resume()
    turn_until(link, lambda: link.connected)
    assert link.epoch == 2


def test_puback_is_reached_behind_messages_that_are_not_taken(serve: Serve, reach: Reach) -> None:
    """Back-pressure until all is published must not wait for PUBACKs that lie behind unread messages."""
    broker = serve(conf="max_queued_messages 0", log_all=False)
    link = reach(broker, [("in/#", 0)], connect=False)
    turn_until(link, lambda: link.connected)
    with RawClient(broker) as client:
        client.publish([("in/x", b"x" * 100)] * 20_000, qos=0)
        bodies = [("out/x", b"y" * 100)] * 2000
        assert publish_all(link, bodies, qos=1) == list(range(2000))
    assert len(link._surplus) < 20_000


def test_descriptors_beyond_1024_work(serve: Serve, reach: Reach) -> None:
    """`select` would fail for ever there."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        broker = serve()
        link = reach(broker, [], connect=False)
        turn_until(link, lambda: link.connected)
        assert publish_all(link, [("out", b"x")] * 50, qos=1) == list(range(50))
    finally:
        for descriptor in opened:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("callback", ["_on_connect", "_on_subscribe"])
def test_an_exception_in_a_callback_surfaces(
    serve: Serve, reach: Reach, monkeypatch: pytest.MonkeyPatch, callback: str
) -> None:
    """In paho's own thread it would end the thread, and `is_connected()` would go on saying True."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(Session, callback, fail)
    broker = serve()
    link = reach(broker, [("in/#", 1)], connect=False)
    with pytest.raises(ZeroDivisionError, match="a defect"):
        turn_until(link, lambda: False)


def test_two_clients_that_fight_over_one_id_are_found_out(serve: Serve, reach: Reach) -> None:
    """mosquitto 2.0.11 only hangs up on the one taken over; in the end a link says so, instead of fighting on."""
    broker = serve()
    links = [reach(broker, [], connect=False, flap_limit=20) for _ in range(2)]

    def fight() -> None:
        for link in links:
            link.poll(10, 0.01)

    with pytest.raises(SessionTaken, match="another client uses this id"):
        wait_until(fight, what="one of them gives up", deadline_s=30)
