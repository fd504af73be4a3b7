"""Deaf, or hearing less than was asked for: told while it lasts, and asked for again, over MQTT 5 and 3.1.1."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gaugecast.config.broker import MqttVersion
from gaugecast.config.schema import Mqtt, Publish
from gaugecast.mqtt import Link
from gaugecast.mqtt.packets import write_publish
from gaugecast.mqtt.subscriptions import ASK_AGAIN_S, SUBACK_TIMEOUT_S
from support.mosquitto import RawClient, run_mosquitto, wait_until
from support.scripted_broker import CONNACK_V5, ScriptedBroker

FILTERS = [("in/#", 1), ("other/#", 1), ("$SYS/broker/version", 0)]


class Clock:
    """A monotonic clock that a test moves; otherwise it stands nearly still."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        self.now += 1e-6
        return self.now


class Scene:
    """A link, its clock, and the broker that answers its SUBSCRIBE packets."""

    def __init__(self, protocol: MqttVersion) -> None:
        self.v5 = protocol == "5"
        self.broker, self.other = ScriptedBroker(), ScriptedBroker()  # the other is published to, and says nothing
        self.clock = Clock()
        mqtt = Mqtt(
            host="127.0.0.1", port=self.broker.port, protocol=protocol, reconnect_max_s=0.1,
            publish=Publish(port=self.other.port),
        )  # fmt: skip
        self.link = Link(mqtt, FILTERS, clock=self.clock)

    def turn(self) -> None:
        """One round, which takes messages."""
        self.link.poll(10, 0)

    def connect(self) -> None:
        """Accept the link."""
        self.broker.accept(self.turn, CONNACK_V5 if self.v5 else b"\x20\x02\x00\x00")
        self.wait(lambda: self.link.subscriber.connected)

    def wait(self, condition: Callable[[], object]) -> None:
        """Rounds until the condition holds."""
        for _ in range(5000):
            if condition():
                return
            self.turn()
        raise AssertionError(f"expected the condition to come true; last error {self.link.subscriber.last_error}")

    def heard_subscribe(self) -> bytes:
        """The packet id of the next SUBSCRIBE."""
        said = self.broker.listen(self.turn, lambda said: b"in/#" in said)
        at = said.index(b"in/#") - (5 if self.v5 else 4)
        self.broker.said = b""
        return said[at : at + 2]

    def answer(self, mid: bytes, codes: bytes) -> None:
        """SUBACK."""
        rest = mid + (b"\x00" if self.v5 else b"") + codes
        self.broker.say(b"\x90" + bytes((len(rest),)) + rest)

    def pass_s(self, seconds: float) -> None:
        """Time passes, and the link has its rounds."""
        self.clock.now += seconds
        for _ in range(20):
            self.turn()

    def close(self) -> None:
        """End both."""
        self.link.close(0.0)
        self.broker.close()
        self.other.close()


@pytest.fixture(params=["5", "3.1.1"])
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    """Connected, nothing answered yet."""
    scene = Scene(request.param)
    scene.connect()
    yield scene
    scene.close()


def test_all_granted_is_neither_deaf_nor_lowered(scene: Scene) -> None:
    """And nothing is asked again."""
    scene.answer(scene.heard_subscribe(), b"\x01\x01\x00")
    scene.wait(lambda: not scene.link.subscriber._subscriptions._waiting)
    scene.pass_s(100)
    assert (scene.link.subscriber.deaf, scene.link.subscriber.lowered, scene.link.subscriber.last_error) == (
        None,
        None,
        None,
    )
    assert b"in/#" not in scene.broker.said


@pytest.mark.parametrize("code", [0x80, 0x87, 0x8F])
def test_a_refused_subscription_is_deaf_and_asked_for_again_until_it_is_granted(scene: Scene, code: int) -> None:
    """On the same connection, as far as it was refused, after half a minute or so each time."""
    scene.answer(scene.heard_subscribe(), bytes((code, 1, 0)))
    scene.wait(lambda: scene.link.subscriber.deaf)
    assert "subscription 'in/#': expected QoS 1, got" in str(scene.link.subscriber.deaf)
    assert "other" not in str(scene.link.subscriber.deaf)
    assert scene.link.subscriber.last_error == scene.link.subscriber.deaf
    for _ in range(3):
        scene.pass_s(ASK_AGAIN_S * 0.7)
        assert b"in/#" not in scene.broker.said
        scene.pass_s(ASK_AGAIN_S * 0.6)
        mid = scene.heard_subscribe()
        assert b"other/#" not in scene.broker.said
        assert scene.link.subscriber.deaf
        scene.answer(mid, bytes((code,)))
        scene.pass_s(0)
    scene.pass_s(ASK_AGAIN_S * 1.3)
    scene.answer(scene.heard_subscribe(), b"\x01")
    scene.wait(lambda: scene.link.subscriber.deaf is None)
    assert scene.link.subscriber.last_error is None
    assert (scene.link.subscriber.connected, scene.link.subscriber.epoch) == (True, 1)


def test_an_answer_that_does_not_come_is_deaf_after_ten_seconds_and_heals(scene: Scene) -> None:
    """Asked again; the late answer to the first would do as well."""
    first = scene.heard_subscribe()
    scene.pass_s(SUBACK_TIMEOUT_S - 1)
    assert scene.link.subscriber.deaf is None
    scene.pass_s(1.1)
    assert "expected a SUBACK within 10 s, got none" in str(scene.link.subscriber.deaf)
    assert "$SYS" not in str(scene.link.subscriber.deaf)
    scene.pass_s(ASK_AGAIN_S * 1.3)
    second = scene.heard_subscribe()
    assert second != first
    assert scene.link.subscriber.deaf
    scene.answer(second, b"\x01\x01\x00")
    scene.wait(lambda: scene.link.subscriber.deaf is None)


def test_a_late_answer_heals_too(scene: Scene) -> None:
    """Whichever comes."""
    first = scene.heard_subscribe()
    scene.pass_s(SUBACK_TIMEOUT_S + 0.1)
    assert scene.link.subscriber.deaf
    scene.answer(first, b"\x01\x01\x00")
    scene.wait(lambda: scene.link.subscriber.deaf is None)


def has_received(scene: Scene, count: int) -> bool:
    """Whether so many messages have come."""
    return scene.link.subscriber.counters.received_total >= count


def test_an_answer_behind_a_backlog_is_waited_for(scene: Scene) -> None:
    """While messages come, or are not read, nobody can say that the broker does not answer."""
    mid = scene.heard_subscribe()
    for n in range(5):
        scene.clock.now += SUBACK_TIMEOUT_S * 0.8
        scene.broker.say(write_publish(b"in/x", b"x", qos=0, retain=False, mid=0, v5=scene.v5))
        scene.wait(partial(has_received, scene, n + 1))
    assert scene.link.subscriber.deaf is None
    for _ in range(5):
        scene.clock.now += SUBACK_TIMEOUT_S * 0.8
        for _ in range(20):
            scene.link.poll(0, 0)
    assert scene.link.subscriber.deaf is None
    scene.answer(mid, b"\x01\x01\x00")
    scene.wait(lambda: not scene.link.subscriber._subscriptions._waiting)
    scene.pass_s(100)
    assert scene.link.subscriber.deaf is None


def test_a_lower_qos_is_told_and_is_no_deafness(scene: Scene) -> None:
    """It hears, but the promise is gone; asking again would change nothing."""
    scene.answer(scene.heard_subscribe(), b"\x00\x01\x00")
    scene.wait(lambda: scene.link.subscriber.lowered)
    assert scene.link.subscriber.lowered == "subscription 'in/#': expected QoS 1, granted QoS 0"
    assert scene.link.subscriber.deaf is None
    scene.pass_s(ASK_AGAIN_S * 2)
    assert b"in/#" not in scene.broker.said


def test_what_the_broker_does_not_say_of_itself_is_no_deafness(scene: Scene) -> None:
    """A refused `$SYS` filter is a fault that is told, no more."""
    scene.answer(scene.heard_subscribe(), b"\x01\x01\x80")
    scene.wait(lambda: scene.link.subscriber.last_error)
    assert "$SYS/broker/version" in str(scene.link.subscriber.last_error)
    assert (scene.link.subscriber.deaf, scene.link.subscriber.lowered) == (None, None)
    scene.pass_s(ASK_AGAIN_S * 2)
    assert b"$SYS" not in scene.broker.said


def test_a_broker_that_hangs_up_on_news_of_itself_is_not_asked_again(scene: Scene) -> None:
    """Nor is it told as another client that has our id."""
    scene.heard_subscribe()
    for _ in range(4):
        scene.broker.hang_up()
        scene.wait(lambda: not scene.link.subscriber.connected)
        scene.clock.now += 1.0
        scene.connect()
        said = scene.broker.listen(scene.turn, lambda said: b"in/#" in said)
        assert b"$SYS" not in said
        scene.answer(scene.heard_subscribe(), b"\x01\x01")
        scene.wait(lambda: not scene.link.subscriber._subscriptions._waiting)
        scene.clock.now += 60.0
        scene.turn()
    assert scene.link.subscriber.deaf is None


def test_deafness_ends_with_the_connection_and_with_the_filter(scene: Scene) -> None:
    """What is not subscribed any more cannot be refused; a new connection asks anew."""
    scene.answer(scene.heard_subscribe(), b"\x80\x80\x00")
    scene.wait(lambda: scene.link.subscriber.deaf)
    scene.link.subscriber.resubscribe(FILTERS[1:])
    assert "in/#" not in str(scene.link.subscriber.deaf)
    scene.link.subscriber.resubscribe(FILTERS)
    scene.broker.hang_up()
    scene.wait(lambda: not scene.link.subscriber.connected)
    assert scene.link.subscriber.deaf is None
    scene.clock.now += 1.0
    scene.connect()
    scene.answer(scene.heard_subscribe(), b"\x01\x01\x00")
    scene.wait(lambda: not scene.link.subscriber._subscriptions._waiting)
    scene.pass_s(100)
    assert scene.link.subscriber.deaf is None


def test_packet_ids_of_endless_asking_never_meet_those_of_publishes(scene: Scene) -> None:
    """A broker that refuses for days on one connection."""
    scene.answer(scene.heard_subscribe(), b"\x80\x01\x00")
    scene.wait(lambda: scene.link.subscriber.deaf)
    session: Any = scene.link.subscriber.line.connection._session  # type: ignore[union-attr]
    assert all(1 <= session._client._mid_generate() <= 1023 for _ in range(3000))


PLUGIN = next(
    (place for root in ("/usr/lib", "/usr/local/lib") for place in Path(root).rglob("mosquitto_dynamic_security.so")),
    None,
)


@pytest.mark.skipif(PLUGIN is None, reason="mosquitto's dynamic security plugin is not installed")
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_mended_acl_heals_without_a_reconnect(tmp_path: Path, protocol: MqttVersion) -> None:
    """By mosquitto's plugin: its ACL file grants each SUBSCRIBE in 2.0.11, and filters on delivery."""
    clock = Clock()
    access = {"publishClientSend": True, "publishClientReceive": True, "subscribe": False, "unsubscribe": True}
    control = {"acltype": "publishClientSend", "topic": "$CONTROL/dynamic-security/#", "allow": True}
    security = {
        "defaultACLAccess": access,
        "roles": [{"rolename": "controls", "acls": [control]}],
        "groups": [{"groupname": "nameless", "roles": [{"rolename": "controls"}]}],
        "anonymousGroup": "nameless",
    }
    (tmp_path / "security.json").write_text(json.dumps(security))
    conf = f"plugin {PLUGIN}\nplugin_opt_config_file {tmp_path / 'security.json'}"
    mend = {"command": "setDefaultACLAccess", "acls": [{"acltype": "subscribe", "allow": True}]}
    with run_mosquitto(tmp_path / "broker", conf=conf) as broker, RawClient(broker) as client:
        mqtt = Mqtt(host="127.0.0.1", port=broker.port, protocol=protocol)
        link = Link(mqtt, [("in/#", 1)], clock=clock)
        wait_until(lambda: link.poll(10, 0) or link.subscriber.deaf, what="deaf", deadline_s=5)
        assert "'in/#'" in str(link.subscriber.deaf)
        client.publish([("$CONTROL/dynamic-security/v1", json.dumps({"commands": [mend]}).encode())])
        clock.now += ASK_AGAIN_S * 1.3
        wait_until(lambda: link.poll(10, 0) or link.subscriber.deaf is None, what="healed", deadline_s=5)
        client.publish([("in/1", b"x")])
        assert wait_until(lambda: link.poll(10, 0), what="a message")[0].topic == "in/1"
        assert (link.subscriber.epoch, link.subscriber.last_error) == (1, None)
        link.close(0.0)
