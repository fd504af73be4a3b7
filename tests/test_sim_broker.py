"""The embedded broker: good enough for the demo, and it never outlives its owner."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from gaugecast_sim.broker import BrokerError, EmbeddedBroker
from gaugecast_sim.load import LoadGenerator
from gaugecast_sim.packets import LoadPlan
from gaugecast_sim.sink import Sink
from support.mosquitto import wait_until

START_NS = 1_700_000_000_000_000_000


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    """One embedded broker for the module."""

    with EmbeddedBroker() as started:
        yield started


def is_alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""

    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("qos", [0, 1])
def test_all_messages_pass_at_a_demo_s_rate(broker: EmbeddedBroker, qos: int) -> None:
    """1,000 messages at 1,000 a second, the last ones too though the publisher leaves at once."""
    plan = LoadPlan(5, START_NS, topic=f"pass{qos}/{{stream}}", qos=qos)
    with Sink(broker.host, broker.port, [f"pass{qos}/#"], qos=qos, record=True) as sink:
        LoadGenerator(broker.host, broker.port, plan, rate=1000, count=1000, window=100).run()
        assert sink.wait_for(1000, 20) == 1000
    assert len({(m.topic, m.payload) for m in sink.messages}) == 1000


def test_a_persistent_session_keeps_messages_over_a_disconnect(broker: EmbeddedBroker) -> None:
    """What came meanwhile is delivered on return, not marked as retained."""
    session: dict[str, Any] = {"qos": 1, "client_id": "demo-daemon", "clean": False, "record": True}
    plan = LoadPlan(3, START_NS, topic="away/{stream}", qos=1)
    with Sink(broker.host, broker.port, ["away/#"], **session):
        pass
    # for longer than amqtt takes to sweep sessions (once a second): the hazard that is tested here
    sent = LoadGenerator(broker.host, broker.port, plan, rate=40, seconds=1.6).run().acked
    with Sink(broker.host, broker.port, ["away/#"], **session) as back:
        assert back.wait_for(sent, 20) == sent
    assert not any(message.retain for message in back.messages)
    assert len({(m.topic, m.payload) for m in back.messages}) == sent


def test_paho_publishes_retains_and_hears_a_last_will(broker: EmbeddedBroker) -> None:
    """QoS 1 both ways at MQTT 3.1.1, a retained message, and the will of a client that is cut off."""
    client = paho.Client(CallbackAPIVersion.VERSION2, "dying", protocol=paho.MQTTv311)
    client.will_set("will/status", b"gone", qos=1)
    client.connect(broker.host, broker.port)
    client.loop_start()
    with Sink(broker.host, broker.port, ["will/#"], qos=1, record=True) as sink:
        client.publish("will/kept", b"here", qos=1, retain=True).wait_for_publish(10)
        sink.wait_for(1, 10)
        sock = client.socket()
        assert sock is not None
        client.loop_stop()
        sock.close()
        sink.wait_for(2, 10)
    assert [m.payload for m in sink.messages] == [b"here", b"gone"]
    with Sink(broker.host, broker.port, ["will/kept"], record=True) as later:
        later.wait_for(1, 10)
    assert later.messages[0].retain


def test_stopping_ends_the_child(broker: EmbeddedBroker) -> None:
    """Though a client is still connected."""
    with EmbeddedBroker() as other:
        pid = other.pid
        assert other.port != broker.port
        sink = Sink(other.host, other.port, ["#"])
        sink.open()
    assert not is_alive(pid)
    sink.close()


def test_the_child_ends_with_a_killed_parent() -> None:
    """kill -9 of the process that started it leaves no broker behind."""
    program = (
        "import time\nfrom gaugecast_sim.broker import EmbeddedBroker\n"
        "b = EmbeddedBroker(); b.start(); print(b.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert is_alive(child)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait(10)
    wait_until(lambda: not is_alive(child), what="the broker's end", deadline_s=10)


def test_a_taken_port_is_said(broker: EmbeddedBroker) -> None:
    """The child's own words are in the message."""
    with pytest.raises(BrokerError, match="in use"):
        EmbeddedBroker(broker.port).start()
