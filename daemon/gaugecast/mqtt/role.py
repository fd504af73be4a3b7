"""What each of our two connections is for."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gaugecast.config.schema import Mqtt
from gaugecast.mqtt.reasons import QOS_NOT_SUPPORTED, RETAIN_NOT_SUPPORTED


@dataclass(frozen=True, slots=True)
class Role:
    """One of the two.

    Attributes:
        place: Its table in the configuration, for messages.
        keeps_session: The broker keeps a session for us, and what comes in while we are away. Else every connection
            begins clean: what we publish is kept by the ledger, and an old session could only bring old packets.
        publishes: Forecasts leave here, and so does the status, with the last will: nothing can follow `offline`.
        will_topic: Where the broker says `offline` when the connection breaks; empty = nowhere.
        status_topics: Where the status is said.
        will_qos, will_retain: Of the last will, as far as the broker takes them.
    """

    place: str
    keeps_session: bool
    publishes: bool
    will_topic: str = ""
    status_topics: tuple[str, ...] = ()
    will_qos: int = 1
    will_retain: bool = True

    def without(self, code: int) -> Role:
        """The same, asking for less where the broker refused a CONNECT with this code."""
        if code == RETAIN_NOT_SUPPORTED:
            return self.unkept()
        return replace(self, will_qos=0) if code == QOS_NOT_SUPPORTED else self

    def unkept(self) -> Role:
        """The same with a last will that nobody who comes later sees."""
        return replace(self, will_retain=False)

    def saying(self, mqtt: Mqtt) -> Role:
        """The same with the topics that the configuration gives it; a guest, with no `status_topic`, says none."""
        own, old = mqtt.own_status_topic, mqtt.old_status_topic
        if not self.publishes:
            return replace(self, will_topic=old)
        return replace(self, will_topic=own, status_topics=tuple(filter(None, (own, old))))


SUBSCRIBING = Role("mqtt", keeps_session=True, publishes=False)
PUBLISHING = Role("mqtt.publish", keeps_session=False, publishes=True)
