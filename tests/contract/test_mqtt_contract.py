"""What goes through a link, over {MQTT 5, 3.1.1} × {TCP, TLS}, against a real mosquitto."""

from __future__ import annotations

import os
import resource

import pytest

from contract.links import PLAIN_EVERY_DAY, Reach, Serve, publish_all, take, turn_until
from gaugecast.config.broker import MqttVersion
from gaugecast.mqtt import Link
from support.mosquitto import RawClient, wait_until


def take_confirmed(link: Link, confirmed: list[int]) -> bool:
    """Add what is confirmed to those that were."""
    confirmed.extend(link.sender.take_confirmed())
    return True


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
    assert link.subscriber.counters.acked_total == (len(sent) if qos else 0)


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
    assert link.sender.counters.confirmed_total == 500
    assert link.sender.take_refused() == []


def test_the_window_is_never_exceeded(serve: Serve, reach: Reach) -> None:
    """Room shrinks with each publish, is never negative, and comes back with the PUBACKs."""
    broker = serve()
    link = reach(broker, [], connect=False, publish_window=5)
    assert link.sender.room() == 0
    turn_until(link, lambda: link.connected)
    for position in range(5):
        assert link.sender.room() == 5 - position
        link.sender.publish(position, "out", b"x", 1, False)
    assert link.sender.room() == 0
    link.poll(0, 10.0)  # ends when half of the window is free, long before ten seconds are over
    assert link.sender.room() >= 3


def test_a_refused_publish_is_told_on_mqtt_5(serve: Serve, reach: Reach, variant: tuple[MqttVersion, bool]) -> None:
    """MQTT 5 says "not authorized" in the PUBACK; 3.1.1 has no word for it, and it looks confirmed."""
    status = "topic write gaugecast/status-gaugecast\ntopic write gaugecast-notices/daemon/gaugecast\n"
    broker = serve(acl=f"topic read out/#\ntopic write out/allowed\n{status}")
    link = reach(broker, [], connect=False, publish_window=20)
    turn_until(link, lambda: link.connected)
    for position, topic in enumerate(["out/allowed", "out/forbidden", "out/wild/+/card", ""]):
        link.sender.publish(position, topic, b"x", 1, False)
    confirmed: list[int] = []
    turn_until(link, lambda: take_confirmed(link, confirmed) and link.sender.room() == 20)
    refused = dict(link.sender.take_refused())
    if variant[0] == "5":
        assert confirmed == [0]
        assert "ot authorized" in refused[1]
    else:
        assert confirmed == [0, 1]
    assert {2, 3} <= set(refused)
    assert link.connected


def test_rights_may_hang_on_the_client_id(serve: Serve, reach: Reach, variant: tuple[MqttVersion, bool]) -> None:
    """One id reads, the other writes, and neither needs the other's right."""
    broker = serve(acl="pattern read to/%c/#\npattern write from/%c/#\n")
    link = reach(broker, [("to/gaugecast/#", 1)], publish_window=20)
    link.sender.publish(0, "from/gaugecast-out/x", b"x", 1, False)
    link.sender.publish(1, "from/gaugecast/x", b"x", 1, False)
    confirmed: list[int] = []
    turn_until(link, lambda: take_confirmed(link, confirmed) and link.sender.room() == 20)
    if variant[0] == "5":
        assert confirmed == [0]
        assert "ot authorized" in dict(link.sender.take_refused())[1]
    assert (link.subscriber.deaf, link.connected) == (None, True)


def test_a_refused_subscription_is_a_fault_that_is_told(serve: Serve, reach: Reach) -> None:
    """The link stays up; `last_error` names the filter."""
    broker = serve(acl="topic read in/#\ntopic write #\n", conf="")
    link = reach(broker, [("in/#", 1), ("secret/#", 1)], connect=False)
    turn_until(link, lambda: broker.count("Sending SUBACK"))
    with RawClient(broker) as client:
        client.publish([("in/1", b"x")])
        assert take(link, 1)
    if link.subscriber.last_error is not None:  # mosquitto 2.0.11 grants it all the same, and filters on delivery
        assert "secret/#" in link.subscriber.last_error


@PLAIN_EVERY_DAY
def test_close_sends_what_is_pending_though_messages_are_unread(serve: Serve, reach: Reach) -> None:
    """The last acks, publishes and DISCONNECT arrive, though the broker has more for us than we read."""
    broker = serve(conf="max_queued_messages 0\nmax_inflight_messages 0")
    link = reach(broker, [("in/#", 1)])
    with RawClient(broker, subscribe="out", qos=1) as client:
        client.publish([("in/x", bytes(2000))] * 2000)
        first = take(link, 1, most=10)
        link.subscriber.ack(first)
        link.sender.publish(0, "out", b"last words", 1, False)
        link.close()
        assert client.wait_heard(1)[0].payload == b"last words"
        assert link.sender.take_confirmed() == [0]
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


def test_retained_messages_come_only_where_wanted(
    serve: Serve, reach: Reach, variant: tuple[MqttVersion, bool]
) -> None:
    """MQTT 5 spares us the others; on 3.1.1 the caller sees the retain flag."""
    broker = serve()
    with RawClient(broker) as client:
        client.publish([("in/kept", b"old"), ("wanted/kept", b"old")], retain=True)
        link = reach(broker, [("in/#", 1), ("wanted/#", 1)], retained=("wanted/#",))
        client.publish([("in/live", b"new")])
        taken = take(link, 2 if variant[0] == "5" else 3)
    live = {m.topic for m in taken if not m.retain}
    kept = {m.topic for m in taken if m.retain}
    assert live == {"in/live"}
    assert kept == ({"wanted/kept"} if variant[0] == "5" else {"wanted/kept", "in/kept"})


def test_what_we_publish_where_we_subscribe_comes_back(serve: Serve, reach: Reach) -> None:
    """The broker knows two clients, and one cannot be spared what the other says: the configuration must."""
    broker = serve()
    link = reach(broker, [("in/#", 1)])
    link.sender.publish(0, "in/own", b"ours", 1, False)
    assert [m.topic for m in take(link, 1)] == ["in/own"]


def test_an_inherited_qos_2_message_is_delivered_and_settled(serve: Serve, reach: Reach) -> None:
    """The daemon never asks for QoS 2, but a session made by another program may hold such messages."""
    broker = serve()
    with RawClient(broker) as client:
        link = reach(broker, [("in/#", 2)])
        client.publish([("in/1", b"x")], qos=2)
        taken = take(link, 1)
        assert taken[0].qos == 2
        assert link.subscriber.ack(taken) == 1
        wait_until(lambda: link.poll(1, 0.01) or broker.count("Received PUBCOMP from gaugecast"), what="PUBCOMP")


def test_properties_of_a_message_are_passed_over(serve: Serve, reach: Reach) -> None:
    """User properties, more than a one-byte length can say, leave the payload whole."""
    broker = serve()
    link = reach(broker, [("in/#", 1)])
    with RawClient(broker) as client:
        client.publish_with_properties("in/1", b"body", [("key", "v" * 300)])
        assert [(m.topic, m.payload) for m in take(link, 1)] == [("in/1", b"body")]


@PLAIN_EVERY_DAY
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
    seen: list[bytes] = []
    while len(seen) < count:
        batch = link.poll(200, 5.0)
        assert len(batch) <= 200
        seen += [m.payload[:4] for m in batch]
        link.subscriber.ack(batch)
    assert seen == [n.to_bytes(4, "big") for n in range(count)]
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 24


def test_confirmations_pass_a_backlog_that_is_not_read(serve: Serve, reach: Reach) -> None:
    """Back-pressure: 5,000 messages wait, none of them is read, and whatever we publish is confirmed meanwhile."""
    broker = serve(conf="max_queued_messages 0", log_all=False)
    link = reach(broker, [("in/#", 1)], connect=False)
    turn_until(link, lambda: link.connected)
    with RawClient(broker) as client:
        client.publish([("in/x", b"x" * 100)] * 5000)
        bodies = [("out/x", b"y" * 100)] * 2000
        assert publish_all(link, bodies, qos=1) == list(range(2000))
        assert link.subscriber.counters.received_total == 0
        assert len(take(link, 5000, ack=True)) == 5000


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
