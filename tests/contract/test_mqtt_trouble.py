"""What a link promises when the connection breaks, over {MQTT 5, 3.1.1} × {TCP, TLS}, against a real mosquitto."""

from __future__ import annotations

import os
from functools import partial

import pytest

from contract.links import PLAIN_EVERY_DAY, Reach, Serve, take, turn_until
from gaugecast.errors import SessionTaken
from gaugecast.mqtt import Link
from gaugecast.mqtt.packets import write_publish
from gaugecast.mqtt.session import Session
from gaugecast.records import Message
from support.mosquitto import RawClient, wait_until
from support.relay import Relay

RECONNECTS = int(os.environ.get("RECONNECTS", "25"))


def is_at(link: Link, epoch: int) -> bool:
    """Whether it is connected, the side that hears for the so-many-th time."""
    return link.subscriber.epoch == epoch and link.connected


def test_unacked_messages_come_again_after_a_cut_and_old_acks_are_dropped(serve: Serve, reach: Reach) -> None:
    """An ack of the old connection must not count on the new one, where its packet id is in use again."""
    broker = serve()
    with Relay(broker.port) as relay, RawClient(broker) as client:
        link = reach(broker, [("in/#", 1)], via=relay.port)
        client.publish([(f"in/{n}", b"x") for n in range(10)])
        first = take(link, 10)
        assert link.subscriber.ack(first[:4]) == 4
        turn_until(link, lambda: broker.count("Received PUBACK from gaugecast") == 4)
        for epoch in (2, 3):
            relay.cut()
            turn_until(link, partial(is_at, link, epoch))
            assert [c.session_present for c in link.subscriber.take_connects()][-1]
            again = take(link, 6)
            assert [m.topic for m in again] == [f"in/{n}" for n in range(4, 10)]
            assert all(m.dup and m.epoch == epoch for m in again)
            assert link.subscriber.ack(first[4:]) == 0
        assert link.subscriber.counters.stale_acks_total == 12
        assert link.subscriber.ack(again) == 6
        relay.cut()
        turn_until(link, lambda: link.subscriber.epoch == 4 and link.connected)
    assert link.subscriber.counters.session_lost_total == 0
    assert link.subscriber.counters.reconnects_total == 3


@PLAIN_EVERY_DAY
def test_reconnects_with_acks_pending_are_never_a_protocol_error(serve: Serve, reach: Reach) -> None:
    """Acks in every state of a connection: before CONNACK, after a cut that was not seen yet, while dialling."""
    broker = serve(conf="max_queued_messages 0")
    with Relay(broker.port) as relay, RawClient(broker) as client:
        link = reach(broker, [("in/#", 1)], via=relay.port)
        held: list[Message] = []
        for cut in range(RECONNECTS):
            client.publish([("in/x", b"%d" % cut)] * 3, wait=False)
            relay.cut(reset=cut % 2 == 0)
            link.subscriber.ack(held)
            while link.subscriber.epoch < cut + 2:
                held += link.poll(100, 0.01)
                link.subscriber.ack(held)
        assert link.subscriber.counters.reconnects_total == RECONNECTS
        link.subscriber.ack(held)
        turn_until(link, lambda: link.connected)
    # "disconnected: Protocol error." is not among these: it is EPROTO, of a TLS record that the relay cut in two.
    for fault in ("due to protocol error", "due to malformed packet", "Protocol error from"):
        assert broker.count(fault) == 0


def test_a_broker_killed_and_started_again_is_found_and_its_lost_session_counted(serve: Serve, reach: Reach) -> None:
    """kill -9 of a broker without persistence: reconnected, subscribed anew, and the loss is told."""
    broker = serve()
    link = reach(broker, [("in/#", 1)])
    broker.kill()
    turn_until(link, lambda: not link.connected and link.subscriber.counters.failed_dials_total > 0)
    assert link.sender.room() == 0
    assert link.subscriber.last_error
    broker.start()
    turn_until(link, lambda: broker.count("Sending SUBACK") == 2)
    assert [c.session_present for c in link.subscriber.take_connects()] == [False, False]
    assert link.subscriber.counters.session_lost_total == 1
    assert link.subscriber.last_error is None
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
    assert link.subscriber.take_connects()[0].session_present
    assert [m.topic for m in take(link, 50, ack=True)] == [f"in/{n}" for n in range(50)]


def test_a_broker_that_is_down_at_the_start_is_a_state(serve: Serve, reach: Reach) -> None:
    """No exception, `last_error` says why, and the link connects once the broker is there."""
    broker = serve()
    broker.stop()
    link = reach(broker, [("in/#", 1)], connect=False)
    turn_until(link, lambda: link.subscriber.counters.failed_dials_total >= 3)
    assert "refused" in str(link.subscriber.last_error)
    assert "refused" in str(link.sender.last_error)
    assert (link.connected, link.subscriber.epoch, link.sender.epoch, link.sender.room()) == (False, 0, 0, 0)
    broker.start()
    turn_until(link, lambda: link.connected)


def test_the_will_says_offline_after_a_crash_and_the_link_itself_at_the_end(serve: Serve, reach: Reach) -> None:
    """The retained status topic is true whatever happens."""
    broker = serve()
    with Relay(broker.port) as relay, RawClient(broker, subscribe="gaugecast-notices/daemon/gaugecast") as client:
        link = reach(broker, [("in/#", 1)], via=relay.port)
        client.wait_heard(1)
        relay.cut()
        client.wait_heard(2)
        turn_until(link, lambda: len(client.heard) == 3 and link.connected)
        link.close()
        heard = client.wait_heard(4)
    assert [h.payload for h in heard] == [
        b'{"status": "online"}',
        b'{"status": "offline"}',
        b'{"status": "online"}',
        b'{"status": "offline"}',
    ]
    with RawClient(broker, subscribe="gaugecast-notices/daemon/gaugecast") as late:
        assert late.wait_heard(1)[0].retain
    assert broker.count("Received DISCONNECT from gaugecast-out") == 1


def test_the_status_is_said_where_it_was_before_too(serve: Serve, reach: Reach) -> None:
    """The topic among the forecasts is true after a crash, too, by the will of the other connection."""
    broker = serve()
    with Relay(broker.port) as relay, RawClient(broker, subscribe="gaugecast/status-gaugecast") as client:
        link = reach(broker, [("in/#", 1)], via=relay.port)
        client.wait_heard(1)
        relay.cut()
        turn_until(link, lambda: len(client.heard) == 3 and link.connected)
        link.close()
        heard = client.wait_heard(4)
    assert [h.payload for h in heard] == [b'{"status": "online"}', b'{"status": "offline"}'] * 2


@PLAIN_EVERY_DAY
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
            names = ("idle", "idle-out", "pressed", "pressed-out")
            lines = broker.log_lines()
            return all(sum(line.endswith(f"Received PINGREQ from {name}") for line in lines) >= 3 for name in names)

        wait_until(pinged_thrice, what="three PINGREQ of each")
    assert (idle.subscriber.epoch, pressed.subscriber.epoch, idle.connected, pressed.connected) == (1, 1, True, True)
    assert len(take(pressed, 10)) == 10
    assert broker.count("exceeded timeout") == 0


@PLAIN_EVERY_DAY
def test_a_broker_that_stands_still_is_given_up(serve: Serve, reach: Reach) -> None:
    """Half-open: the socket is fine, nobody answers. The keepalive ends it, and the link comes back."""
    broker = serve()
    link = reach(broker, [], connect=False, keepalive_s=1)
    turn_until(link, lambda: link.connected)
    broker.pause()
    wait_until(
        lambda: link.poll(1, 0.01) or not (link.subscriber.connected or link.sender.connected),
        what="the silence noticed on both connections",
    )
    broker.resume()
    turn_until(link, lambda: link.connected)
    assert (link.subscriber.epoch, link.sender.epoch) == (2, 2)


@pytest.mark.parametrize("callback", ["_on_connect", "_take_suback"])
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
        wait_until(lambda: link.poll(1, 0.01), what="the defect")


@PLAIN_EVERY_DAY
def test_two_clients_that_fight_over_one_id_are_found_out(serve: Serve, reach: Reach) -> None:
    """mosquitto 2.0.11 only hangs up on the one taken over; in the end a link says so, instead of fighting on."""
    broker = serve()
    links = [reach(broker, [], connect=False, flap_limit=20) for _ in range(2)]

    def fight() -> None:
        for link in links:
            link.poll(10, 0.01)

    with pytest.raises(SessionTaken, match="another client uses this id"):
        wait_until(fight, what="one of them gives up", deadline_s=30)


def is_beyond(link: Link, cuts: int) -> bool:
    """Whether both sides have connected again after so many cuts."""
    return min(link.subscriber.epoch, link.sender.epoch) > cuts and link.connected


def is_sending(link: Link, epoch: int) -> bool:
    """Whether the side that speaks is connected for the so-many-th time."""
    return link.sender.epoch == epoch and link.sender.connected


@PLAIN_EVERY_DAY
def test_cuts_of_a_bad_network_are_no_fight(serve: Serve, reach: Reach) -> None:
    """Thirty resets in a row, each soon after the broker took us: the link goes on."""
    broker = serve()
    with Relay(broker.port) as relay:
        link = reach(broker, [], connect=False, via=relay.port, flap_limit=20)
        for cut in range(30):
            turn_until(link, partial(is_beyond, link, cut))
            relay.cut(reset=True)
        turn_until(link, partial(is_beyond, link, 30))
    assert link.subscriber.counters.reconnects_total >= 30


@PLAIN_EVERY_DAY
def test_hang_ups_on_what_we_publish_are_no_fight(serve: Serve, reach: Reach) -> None:
    """Thirty sessions that the broker ends at a publish of ours."""
    broker = serve()
    link = reach(broker, [], connect=False, flap_limit=20)
    for session in range(30):
        turn_until(link, partial(is_sending, link, session + 1))
        connection = link.sender.line.connection
        assert connection is not None
        assert connection.outgoing is not None
        v5 = connection._settings.protocol == "5"
        poison = write_publish(b"out/\xef\xbf\xbe", b"", qos=1, retain=False, mid=9, v5=v5)
        connection.wire.push(poison)  # by hand: no topic that we let through would do it
        connection.outgoing._in_flight[9] = session
        turn_until(link, lambda: not link.sender.connected)
    assert link.sender.counters.reconnects_total == 29
