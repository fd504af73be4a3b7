"""A paho client that publishes within a window of unconfirmed messages: what publisher and replay share."""

from __future__ import annotations

import threading
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode


class LinkError(Exception):
    """The broker cannot be reached, refused, or did not confirm in time."""


class PublishLink:
    """A connection to publish over (MQTT 3.1.1), with paho's network thread. `publish`, `drain`: from one thread only.

    Args:
        window: Messages that may be unconfirmed; `publish` waits while there are so many.
        wait_s: How long to wait for the connection, for room in the window, and for the last confirmations.

    Attributes:
        confirmed: PUBACKs at QoS 1; at QoS 0, messages handed to the kernel.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        client_id: str = "",
        username: str = "",
        password: str = "",
        window: int = 200,
        wait_s: float = 30.0,
    ) -> None:
        self.confirmed = 0
        self._published = 0
        self._window, self._wait_s = window, wait_s
        self._changed = threading.Condition()
        self._refusal = ""
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=mqtt.MQTTv311)
        self._client.max_inflight_messages_set(window)
        self._client.reconnect_delay_set(1, 10)
        self._client.on_connect = self._on_connect
        self._client.on_publish = self._on_publish
        if username:
            self._client.username_pw_set(username, password or None)
        self._address = (host, port)

    def __enter__(self) -> PublishLink:
        host, port = self._address
        try:
            self._client.connect(host, port, keepalive=30)
        except OSError as exc:
            raise LinkError(f"expected a broker at {host}:{port}: {exc}") from exc
        self._client.loop_start()
        with self._changed:
            self._changed.wait_for(lambda: self._client.is_connected() or self._refusal, self._wait_s)
        if not self._client.is_connected():
            self._client.loop_stop()
            raise LinkError(f"expected the broker at {host}:{port} to accept: {self._refusal or 'no answer'}")
        return self

    def __exit__(self, *exc: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, payload: bytes, *, qos: int = 0, retain: bool = False) -> None:
        """Publish, once there is room in the window.

        Raises:
            LinkError: no room within `wait_s`: the broker is gone or does not ack.
        """
        self._wait_below(self._window)
        self._published += 1
        outcome = self._client.publish(topic, payload, qos, retain)
        if outcome.rc == mqtt.MQTT_ERR_NO_CONN and qos == 0:
            self._published -= 1  # lost, as QoS 0 may be; nobody will confirm it

    def drain(self) -> int:
        """Wait until everything is confirmed; returns how much was.

        Raises:
            LinkError: not within `wait_s`.
        """
        self._wait_below(1)
        return self.confirmed

    def _wait_below(self, unconfirmed: int) -> None:
        with self._changed:
            room = self._changed.wait_for(lambda: self._published - self.confirmed < unconfirmed, self._wait_s)
        if not room:
            raise LinkError(
                f"expected confirmations within {self._wait_s} s, got {self.confirmed} of {self._published}"
            )

    def _on_connect(self, _client: mqtt.Client, _state: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
        with self._changed:
            self._refusal = str(reason) if reason.is_failure else ""
            self._changed.notify_all()

    def _on_publish(self, _client: mqtt.Client, _state: Any, _mid: int, _reason: ReasonCode, _properties: Any) -> None:
        with self._changed:
            self.confirmed += 1
            self._changed.notify_all()
