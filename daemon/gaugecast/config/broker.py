"""The tables of the broker: `[mqtt]`, `[mqtt.publish]` and `[mqtt.tls]`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from gaugecast.config.table import Table


def plain_host(host: str | None) -> str | None:
    """Refuse URLs and `host:port`: each part of an address has a key of its own.

    Raises:
        ValueError: With what to write instead.
    """
    if host is None or (re.fullmatch(r"[^\s/]+", host) and not re.fullmatch(r"[^:]+:\d*", host)):
        return host
    scheme, _, rest = host.rpartition("://")
    name, _, port = rest.split("/")[0].strip().rpartition("@")[2].partition(":")
    mend = f'host = "{name or "broker.example"}"' + (f" and port = {port}" if port else "")
    if scheme in ("mqtts", "ssl", "tls", "mqtt+ssl", "https"):
        mend += " and the table [mqtt.tls]"
    elif scheme in ("ws", "wss"):
        mend += " with the broker's TCP port, for MQTT over WebSockets is not spoken"
    raise ValueError(f"a name or an address alone; write {mend}")


MqttVersion = Literal["5", "3.1.1"]


class Tls(Table):
    """TLS to the broker; the table being there switches it on, and the port is then usually 8883."""

    ca: Path | None = Field(default=None, description="CA certificates (PEM); the system's where absent")
    certificate: Path | None = Field(default=None, description="client certificate (PEM)")
    key: Path | None = Field(default=None, description="private key of the client certificate (PEM)")
    verify_hostname: bool = Field(default=True, description="whether the certificate must name `host`")


class Publish(Table):
    """The connection that publishes. What is absent is as in [mqtt]; beside a `host`, port, user and TLS are not.

    Another host is another broker: neither the port nor the account of the first is any business of it.
    """

    client_id: str = Field(
        default="{client_id}-out",
        min_length=1,
        max_length=128,
        description="names this connection at the broker; `{client_id}` is that of [mqtt]; never that itself",
    )
    host: str | None = Field(
        default=None, min_length=1, description="another broker to publish to; absent = the same", examples=['"other"']
    )
    port: int | None = Field(
        default=None, ge=1, le=65535, description="its port; 1883 where only `host` is given", examples=["1883"]
    )
    username: str | None = Field(default=None, description="user that publishes")
    password_file: Path | None = Field(default=None, description="file that holds the password of that user")
    tls: Tls | None = Field(default=None, description="present = TLS")

    _host = field_validator("host")(plain_host)


class Mqtt(Table):
    """The broker, and the connection that subscribes."""

    host: str = Field(default="localhost", min_length=1, description="name or address of the broker")
    port: int = Field(default=1883, ge=1, le=65535, description="1883 plain, 8883 TLS by custom")
    client_id: str = Field(
        default="gaugecast",
        min_length=1,
        max_length=128,
        description="names our session at the broker; one daemon an id, and keep it: the backlog hangs on it",
    )
    protocol: MqttVersion = Field(default="5", description="MQTT version: 5 or 3.1.1")
    keepalive_s: int = Field(default=30, ge=5, le=3600, description="seconds between pings of an idle connection")
    username: str | None = Field(default=None, description="user at the broker")
    password_file: Path | None = Field(default=None, description="file that holds the password; never the password")
    receive_maximum: int = Field(
        default=1000, ge=1, le=65535, description="messages that the broker may send unacknowledged (MQTT 5)"
    )
    publish_window: int = Field(default=200, ge=1, le=65535, description="forecasts on their way at QoS 1")
    session_expiry_s: int = Field(
        default=7 * 86400, ge=0, le=2**32 - 1, description="seconds that the broker keeps our session while we are away"
    )
    reconnect_max_s: float = Field(default=30.0, ge=0.1, le=3600, description="longest wait before a new connection, s")
    status_topic: str = Field(
        default="gaugecast-notices/daemon/{client_id}",
        min_length=1,
        description="retained `online`, or `offline` by the last will; `{client_id}` is that of [mqtt]",
    )
    watch_drops: bool = Field(
        default=True, description="subscribe to the broker's own count of dropped messages in $SYS, for the alarm"
    )
    tls: Tls | None = Field(default=None, description="present = TLS")
    publish: Publish = Publish()

    _host = field_validator("host")(plain_host)

    @property
    def own_status_topic(self) -> str:
        """Where this daemon says how it is."""
        return self.status_topic.replace("{client_id}", self.client_id)

    @property
    def old_status_topic(self) -> str:
        """Where it was said before, among the forecasts; empty where nothing is to be said there.

        Goes with 0.3. Its last will is that of the connection that subscribes, so that must be the same account.
        """
        said = self.publish.host is None and self.publish.port is None and self.publish.username is None
        default = Mqtt.model_fields["status_topic"].default
        return f"gaugecast/status-{self.client_id}" if said and self.status_topic == default else ""

    @property
    def publishing(self) -> Mqtt:
        """The same of the connection that publishes: what `publish` says in place of our own."""
        said = {key: value for key, value in self.publish if key != "client_id" and value is not None}
        other: dict[str, object] = {"username": None, "password_file": None} if "username" in said else {}
        if "host" in said:
            other = {"port": 1883, "username": None, "password_file": None, "tls": None}
        client_id = self.publish.client_id.replace("{client_id}", self.client_id)
        return self.model_copy(update={**other, **said, "client_id": client_id})
