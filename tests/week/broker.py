"""A broker that keeps a session, and may be away; and one process's two connections to it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from gaugecast.mqtt.facts import Connect, SenderCounters, SubscriberCounters
from gaugecast.records import Message
from simulation.points import Clock

_WINDOW = 20
_ADDRESS_SAYS = "Connection refused"


class PlantBroker:
    """Lives on while daemons come and go.

    Attributes:
        up: Whether anybody can connect; while it is not, what sensors publish is gone.
        published: Forecasts that it has taken.
    """

    def __init__(self) -> None:
        self.up = True
        self.published = 0
        self._session = False
        self._mid = 0
        self._queue: deque[tuple[str, bytes]] = deque()
        self._in_flight: dict[int, tuple[str, bytes]] = {}

    def take(self, topic: str, payload: bytes) -> bool:
        """A sensor publishes; whether it is kept for the daemon."""
        kept = self.up and self._session
        if kept:
            self._queue.append((topic, payload))
        return kept

    @property
    def idle(self) -> bool:
        """Whether nothing waits for the daemon."""
        return not self._queue and not self._in_flight

    def resume(self) -> bool:
        """The daemon connects; whether its session was there. What it has not acked comes again."""
        present, self._session = self._session, True
        self._queue.extendleft(reversed(self._in_flight.values()))
        self._in_flight.clear()
        return present

    def deliver(self, most: int, epoch: int) -> list[Message]:
        """What waits, to be acked."""
        taken = []
        for _ in range(min(most, len(self._queue))):
            topic, payload = self._queue.popleft()
            self._mid = self._mid % 65535 + 1
            self._in_flight[self._mid] = (topic, payload)
            taken.append(Message(topic, payload, 1, False, False, self._mid, epoch))
        return taken

    def forget(self, mid: int) -> None:
        """It was acked."""
        self._in_flight.pop(mid, None)


class PlantSubscriber:
    """The connection that hears; as `mqtt.Subscriber`."""

    deaf = lowered = None

    def __init__(self, broker: PlantBroker, *, resumed: bool) -> None:
        self.counters, self.epoch, self.connected = SubscriberCounters(), 0, False
        self.last_error: str | None = None
        self._broker, self._resumed = broker, resumed
        self._connects: list[Connect] = []

    def turn(self) -> None:
        """Notice that the broker is away, or there again."""
        if not self._broker.up:
            self.connected, self.last_error = False, _ADDRESS_SAYS
        elif not self.connected:
            present = self._broker.resume()
            self.connected, self.epoch = True, self.epoch + 1
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


class PlantSender:
    """The connection that speaks; as `mqtt.Sender`. What is handed over in one turn is confirmed in the next."""

    def __init__(self, broker: PlantBroker) -> None:
        self.counters, self.epoch, self.connected = SenderCounters(), 0, False
        self.last_error: str | None = None
        self._broker = broker
        self._connects: list[Connect] = []
        self._handed: list[int] = []
        self._confirmed: list[int] = []

    def turn(self) -> None:
        """Notice that the broker is away, or there again; hear what it has confirmed."""
        if not self._broker.up:
            self.connected, self.last_error, self._handed = False, _ADDRESS_SAYS, []
        elif not self.connected:
            self.connected, self.epoch = True, self.epoch + 1
            self.counters.reconnects_total += self.epoch > 1
            self._connects.append(Connect(self.epoch, session_present=False))
        self._broker.published += len(self._handed)
        self._confirmed += self._handed
        self._handed = []

    def room(self, qos: int = 1) -> int:
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
        """Nobody listens."""

    def ask(self, topic: str, body: bytes) -> None:
        """Nobody answers."""


class PlantLink:
    """One process's link; as `mqtt.Link`. Waiting is time that passes."""

    def __init__(self, broker: PlantBroker, clock: Clock, *, resumed: bool) -> None:
        self.subscriber, self.sender = PlantSubscriber(broker, resumed=resumed), PlantSender(broker)
        self._clock = clock

    def poll(self, most: int, wait_s: float, linger_s: float = 0.0) -> list[Message]:
        """What has come."""
        self.subscriber.turn()
        self.sender.turn()
        taken = self.subscriber.take(most)
        self._clock.advance(0.001 if taken else max(wait_s, 0.001))
        return taken

    def close(self) -> None:
        """Both connections."""
