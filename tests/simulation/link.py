"""The link as the loop knows it, over two made wires. What it promises is what `mqtt.Link` promises."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from random import Random

from gaugecast.mqtt.facts import Connect, SenderCounters, SubscriberCounters
from gaugecast.records import Message
from gaugecast.testing import Clock
from simulation.broker import WINDOW, Broker, Delivery, PubAck, Published, Wire
from simulation.points import Points, Violation


class SimSubscriber:
    """The side that hears."""

    last_error = deaf = lowered = None

    def __init__(self, broker: Broker, points: Points, rng: Random) -> None:
        self.counters = SubscriberCounters()
        self.epoch = 0
        self._broker, self._points, self._rng = broker, points, rng
        self._wire: Wire | None = None
        self._inbound: deque[Message] = deque()
        self._connects: list[Connect] = []
        self._filters: set[str] = set()
        self._forget: set[str] = set()

    @property
    def connected(self) -> bool:
        """As `Subscriber.connected`."""
        return self._wire is not None

    def dial(self, filters: Sequence[tuple[str, int]], forget: Sequence[str]) -> None:
        """What the core asks for when it begins: subscribed on each connect."""
        self._filters = {name for name, _ in filters}
        self._forget = set(forget) - self._filters

    def resubscribe(self, filters: Sequence[tuple[str, int]], *, retained: Sequence[str] = ()) -> None:
        """As `Subscriber.resubscribe`."""
        wanted = {name for name, _ in filters}
        self._forget = (self._forget | self._filters) - wanted
        self._filters = wanted
        if self.connected:
            self._broker.subscribe(self._filters, forget=self._forget)

    def ack(self, messages: Sequence[Message]) -> int:
        """As `Subscriber.ack`."""
        self._points("ack:before")
        sent = 0
        for message in messages:
            if self._wire is not None and self.may_ack(message):
                self._wire.up.append(message.mid)
                sent += 1
                if sent == 1 and len(messages) > 1:
                    self._points("ack:half")
        self._points("ack:after")
        return sent

    def may_ack(self, message: Message) -> bool:
        """Whether the message came on the connection that there is now."""
        return message.epoch == self.epoch

    def take_connects(self) -> list[Connect]:
        """As `Subscriber.take_connects`."""
        taken, self._connects = self._connects, []
        return taken

    # -- what the link calls

    def turn(self, most: int) -> None:
        """Dial, or read some of what has come, if messages are wanted; all that is left of a wire that is cut."""
        if self._wire is None and self._broker.lets_subscribe and self._rng.random() < 0.7:
            self._wire, present = self._broker.connect()
            self._broker.subscribe(self._filters, forget=self._forget)
            self.epoch += 1
            self._connects.append(Connect(self.epoch, present))
        wire = self._wire
        if wire is None:
            return
        count = len(wire.down)
        if wire.open:
            count = 0 if len(self._inbound) >= most else count
            if self._rng.random() < 0.3:
                count = self._rng.randint(0, count)
        for _ in range(count):
            packet = wire.down.popleft()
            assert isinstance(packet, Delivery)
            sent = packet.sent
            self._inbound.append(Message(sent.topic, sent.payload, 1, packet.dup, False, packet.mid, self.epoch))
        if not wire.open:
            self._wire = None

    def take(self, most: int) -> list[Message]:
        """Up to `most` messages."""
        return [self._inbound.popleft() for _ in range(min(most, len(self._inbound)))]


class SimSender:
    """The side that speaks."""

    last_error = unkept = None

    def __init__(self, broker: Broker, points: Points, rng: Random) -> None:
        self.counters = SenderCounters()
        self.epoch = 0
        self._broker, self._points, self._rng = broker, points, rng
        self._wire: Wire | None = None
        self._connects: list[Connect] = []
        self._in_flight: dict[int, int] = {}
        self._mid = 1
        self._confirmed: list[int] = []
        self._refused: list[tuple[int, str]] = []

    @property
    def connected(self) -> bool:
        """As `Sender.connected`."""
        return self._wire is not None

    def room(self, qos: int = 1) -> int:
        """As `Sender.room`."""
        return WINDOW - len(self._in_flight) if self.connected else 0

    def publish(self, position: int, topic: str, body: bytes, qos: int, retain: bool) -> None:
        """As `Sender.publish`."""
        self._points("publish:before")
        if self._wire is None:
            return
        if len(self._in_flight) >= WINDOW:
            raise Violation("I8: more publishes than the window has room for")
        self._mid += 1
        self._in_flight[self._mid] = position
        self._wire.up.append(Published(self._mid, topic, body, retain))
        self._points("publish:after")

    def publish_all(
        self, positions: Sequence[int], topics: Sequence[str], bodies: Sequence[bytes], *, qos: int, retain: bool
    ) -> None:
        """As `Sender.publish_all`."""
        for position, topic, body in zip(positions, topics, bodies, strict=True):
            self.publish(position, topic, body, qos, retain)

    def take_confirmed(self) -> list[int]:
        """As `Sender.take_confirmed`."""
        taken, self._confirmed = self._confirmed, []
        if taken:
            self._points("confirmed:taken")
        return taken

    def take_refused(self) -> list[tuple[int, str]]:
        """As `Sender.take_refused`."""
        taken, self._refused = self._refused, []
        return taken

    def take_connects(self) -> list[Connect]:
        """As `Sender.take_connects`."""
        taken, self._connects = self._connects, []
        return taken

    def announce(self, text: str) -> None:
        """As `Sender.announce`; nobody listens here."""

    def ask(self, topic: str, body: bytes) -> None:
        """As `Sender.ask`; nobody answers here."""

    # -- what the link calls

    def turn(self) -> None:
        """Dial, or read some of the answers that came; all that is left of a wire that is cut."""
        if self._wire is None and self._broker.lets_publish and self._rng.random() < 0.7:
            self._wire = self._broker.connect_publisher()
            self.epoch += 1
            self._connects.append(Connect(self.epoch, session_present=False))
        wire = self._wire
        if wire is None:
            return
        count = len(wire.down)
        if wire.open and self._rng.random() < 0.3:
            count = self._rng.randint(0, count)
        for _ in range(count):
            packet = wire.down.popleft()
            assert isinstance(packet, PubAck)
            position = self._in_flight.pop(packet.mid)
            if packet.refused:
                self._refused.append((position, packet.refused))
            else:
                self._confirmed.append(position)
        if not wire.open:
            self._wire = None
            self._in_flight.clear()


class SimLink:
    """One process's link; dies with it."""

    def __init__(self, broker: Broker, clock: Clock, points: Points, rng: Random) -> None:
        self.subscriber = SimSubscriber(broker, points, rng)
        self.sender = SimSender(broker, points, rng)
        self._broker, self._clock, self._points = broker, clock, points

    def poll(self, most: int, wait_s: float, linger_s: float = 0.0) -> list[Message]:
        """As `Link.poll`; waiting is time that passes."""
        self._points("poll:before")
        self._broker.exchange()
        self.sender.turn()
        self.subscriber.turn(most)
        taken = self.subscriber.take(most)
        self._clock.advance(0.001 if taken else max(wait_s, 0.001))
        self._points("poll:after")
        return taken

    def close(self, drain_s: float = 0.0) -> None:
        """As `Link.close`."""
