"""What the peers behind paho share: its default settings, `on_message`, `loop_forever`. And the bare echo itself."""

from __future__ import annotations

import sys
from collections.abc import Callable

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

#: From a topic and a payload to what is published on `echo/…`.
Answer = Callable[[str, bytes], "bytes | str"]


def serve(answer: Answer) -> None:
    """Answer every message until killed."""
    port, qos = int(sys.argv[1]), int(sys.argv[2])
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id="peer", protocol=paho.MQTTv5)

    def on_message(client: paho.Client, _: object, message: paho.MQTTMessage) -> None:
        client.publish("echo" + message.topic[4:], answer(message.topic, bytes(message.payload)), qos)

    client.on_connect = lambda client, *_: client.subscribe("load/#", qos)
    client.on_subscribe = lambda client, *_: client.publish("ready", b"", 1)
    client.on_message = on_message
    client.connect("127.0.0.1", port)
    client.loop_forever()


if __name__ == "__main__":
    serve(lambda _topic, payload: payload)
