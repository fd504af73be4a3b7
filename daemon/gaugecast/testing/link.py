"""One process's two connections to a broker in memory: what `mqtt.Link` is to a real one."""

from __future__ import annotations

from collections.abc import Sequence

from gaugecast.mqtt.facts import Connect, SenderCounters, SubscriberCounters
from gaugecast.records import Message
from gaugecast.testing.broker import MemoryBroker, Published
from gaugecast.testing.clock import Clock

#: Messages that may be under way unconfirmed.
_WINDOW = 20
_ADDRESS_SAYS = "Connection refused"


class MemorySubscriber:
    """The connection that hears; as `mqtt.Subscriber`."""

    deaf: str | None = None
    lowered: str | None = None

    def __init__(self, broker: MemoryBroker, *, resumed: bool) -> None:
        self.counters, self.epoch, self.connected = SubscriberCounters(), 0, False
        self.last_error: str | None = None
        self._broker, self._resumed, self._cuts = broker, resumed, broker.cuts
        self._connects: list[Connect] = []

    def turn(self) -> None:
        """Notice that the broker is away, or there again."""
        self.connected = self.connected and self._cuts == self._broker.cuts
        if not self._broker.up:
            self.connected, self.last_error = False, _ADDRESS_SAYS
        elif not self.connected:
            present = self._broker.resume()
            self.connected, self.epoch, self._cuts = True, self.epoch + 1, self._broker.cuts
            self.counters.reconnects_total += self.epoch > 1
            self.counters.session_lost_total += not present and (self._resumed or self.epoch > 1)
            self._connects.append(Connect(self.epoch, present))

    def take(self, most: int) -> list[Message]:
        """What has come."""
        return self._broker.deliver(most, self.epoch) if self.connected else []

    def ack(self, messages: Sequence[Message]) -> int:
        """Of this connection only."""
        ours = [one.mid for one in messages if self.connected and one.epoch == self.epoch]
        for mid in ours:
            self._broker.forget(mid)
        return len(ours)

    def take_connects(self) -> list[Connect]:
        """Since the last call."""
        taken, self._connects = self._connects, []
        return taken

    def resubscribe(self, filters: Sequence[tuple[str, int]], *, retained: Sequence[str] = ()) -> None:
        """All that sensors say is for us."""


class MemorySender:
    """The connection that speaks; as `mqtt.Sender`. What is handed over in one turn is confirmed in the next."""

    unkept: str | None = None

    def __init__(self, broker: MemoryBroker) -> None:
        self.counters, self.epoch, self.connected = SenderCounters(), 0, False
        self.last_error: str | None = None
        self._broker, self._cuts = broker, broker.cuts
        self._connects: list[Connect] = []
        self._handed: list[int] = []
        self._confirmed: list[int] = []

    def turn(self) -> None:
        """Notice that the broker is away, or there again; hear what it has confirmed."""
        if not self._broker.up or self._cuts != self._broker.cuts:
            self.connected, self._handed = False, []
        if not self._broker.up:
            self.last_error = _ADDRESS_SAYS
        elif not self.connected:
            self.connected, self.epoch, self._cuts = True, self.epoch + 1, self._broker.cuts
            self.counters.reconnects_total += self.epoch > 1
            self._connects.append(Connect(self.epoch, session_present=False))
        self._confirmed += self._handed
        self._handed = []

    @property
    def unconfirmed(self) -> int:
        """Messages that were handed over in this turn."""
        return len(self._handed)

    def room(self, qos: int = 1) -> int:  # noqa: ARG002
        """Of the window."""
        return _WINDOW - len(self._handed) if self.connected else 0

    def publish(self, position: int, topic: str, body: bytes, qos: int, retain: bool) -> None:
        """One."""
        self.publish_all([position], [topic], [body], qos=qos, retain=retain)

    def publish_all(
        self, positions: Sequence[int], topics: Sequence[str], bodies: Sequence[bytes], *, qos: int, retain: bool
    ) -> None:
        """Some."""
        if self.connected:
            self._handed += positions
            for topic, body in zip(topics, bodies, strict=True):
                self._broker.hear(Published(topic, body, qos, retain))

    def take_confirmed(self) -> list[int]:
        """Since the last call."""
        taken, self._confirmed = self._confirmed, []
        return taken

    def take_refused(self) -> list[tuple[int, str]]:
        """None ever is."""
        return []

    def take_connects(self) -> list[Connect]:
        """Since the last call."""
        taken, self._connects = self._connects, []
        return taken

    def announce(self, text: str) -> None:
        """On the status topic."""
        self._broker.announced = text

    def ask(self, topic: str, body: bytes) -> None:
        """At QoS 0, unconfirmed."""
        self._broker.hear(Published(topic, body, 0, False))


class MemoryLink:
    """Both connections of one process; as `mqtt.Link`. Waiting is time that passes on the clock."""

    def __init__(self, broker: MemoryBroker, clock: Clock, *, resumed: bool) -> None:
        self.subscriber, self.sender = MemorySubscriber(broker, resumed=resumed), MemorySender(broker)
        self._clock = clock

    def poll(self, most: int, wait_s: float, linger_s: float = 0.0) -> list[Message]:  # noqa: ARG002
        """What has come."""
        self.subscriber.turn()
        self.sender.turn()
        taken = self.subscriber.take(most)
        self._clock.advance(0.001 if taken else max(wait_s, 0.001))
        return taken

    def close(self, drain_s: float = 2.0) -> None:
        """Both connections; what was handed over has arrived, so nothing is waited for."""
