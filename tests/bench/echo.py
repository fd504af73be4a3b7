"""The peer: a bare paho client with paho's default settings that sends every message back on another topic."""

from __future__ import annotations

import sys

import paho.mqtt.client as paho


def main() -> None:
    """`python -m bench.echo PORT QOS PROTOCOL`: echo `load/…` to `echo/…` until killed."""
    port, qos, protocol = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    version = paho.MQTTv5 if protocol == "5" else paho.MQTTv311
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="echo", protocol=version)

    def on_connect(client: paho.Client, *_: object) -> None:
        client.subscribe("load/#", qos)

    def on_message(client: paho.Client, _: object, message: paho.MQTTMessage) -> None:
        client.publish("echo" + message.topic[4:], message.payload, qos)

    client.on_connect, client.on_message = on_connect, on_message
    client.connect("127.0.0.1", port)
    client.loop_forever()


if __name__ == "__main__":
    main()
