"""The link as the loop knows it, over a made wire. What it promises is what `mqtt.Link` promises."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from random import Random

from gaugecast.mqtt.facts import Connect, LinkCounters
from gaugecast.records import Message
from simulation.broker import Broker, Delivery, PubAck, Published, Wire
from simulation.points import Clock, Points, Violation

WINDOW = 6


class SimLink:
    """One process's link; dies with it."""

    last_error = deaf = lowered = None

    def __init__(self, broker: Broker, clock: Clock, points: Points, rng: Random) -> None:
        self.connected = False
        self.counters = LinkCounters()
        self.epoch = 0
        self.reachable = True
        self._broker, self._clock, self._points, self._rng = broker, clock, points, rng
        self._wire: Wire | None = None
        self._surplus: deque[Message] = deque()
        self._connects: list[Connect] = []
        self._in_flight: dict[int, int] = {}
        self._mid = 1
        self._confirmed: list[int] = []
        self._refused: list[tuple[int, str]] = []
        self._filters: set[str] = set()
        self._forget: set[str] = set()

    def dial(self, filters: Sequence[tuple[str, int]], forget: Sequence[str]) -> None:
        """What the core asks for when it begins: subscribed on each connect."""
        self._filters = {name for name, _ in filters}
        self._forget = set(forget) - self._filters

    def resubscribe(self, filters: Sequence[tuple[str, int]], *, retained: Sequence[str] = ()) -> None:
        """As `Link.resubscribe`."""
        wanted = {name for name, _ in filters}
        self._forget = (self._forget | self._filters) - wanted
        self._filters = wanted
        if self.connected:
            self._broker.subscribe(self._filters, forget=self._forget)

    def close(self) -> None:
        """As `Link.close`."""
        self.connected = False

    def poll(self, most: int, wait_s: float, linger_s: float = 0.0) -> list[Message]:
        """As `Link.poll`; waiting is time that passes."""
        self._points("poll:before")
        if self._wire is None and self.reachable and self._rng.random() < 0.7:
            self._connect()
        if self._wire is not None:
            self._broker.exchange()
            self._read(most)
            if not self._wire.open:
                self._hang_up()
        taken = [self._surplus.popleft() for _ in range(min(most, len(self._surplus)))]
        self._clock.advance(0.001 if taken else max(wait_s, 0.001))
        self._points("poll:after")
        return taken

    def ack(self, messages: Sequence[Message]) -> int:
        """As `Link.ack`."""
        self._points("ack:before")
        sent = 0
        for message in messages:
            if self.connected and self.may_ack(message):
                assert self._wire is not None
                self._wire.up.append(message.mid)
                sent += 1
                if sent == 1 and len(messages) > 1:
                    self._points("ack:half")
        self._points("ack:after")
        return sent

    def may_ack(self, message: Message) -> bool:
        """Whether the message came on the connection that there is now."""
        return message.epoch == self.epoch

    def room(self, qos: int = 1) -> int:
        """As `Link.room`."""
        return WINDOW - len(self._in_flight) if self.connected else 0

    def publish(self, position: int, topic: str, body: bytes, qos: int, retain: bool) -> None:
        """As `Link.publish`."""
        self._points("publish:before")
        if self._wire is None:
            return
        if len(self._in_flight) >= WINDOW:
            raise Violation("I8: more publishes than the window has room for")
        self._mid += 1
        self._in_flight[self._mid] = position
        self._wire.up.append(Published(self._mid, topic, body))
        self._points("publish:after")

    def take_confirmed(self) -> list[int]:
        """As `Link.take_confirmed`."""
        taken, self._confirmed = self._confirmed, []
        if taken:
            self._points("confirmed:taken")
        return taken

    def take_refused(self) -> list[tuple[int, str]]:
        """As `Link.take_refused`."""
        taken, self._refused = self._refused, []
        return taken

    def take_connects(self) -> list[Connect]:
        """As `Link.take_connects`."""
        taken, self._connects = self._connects, []
        return taken

    def _connect(self) -> None:
        self._wire, present = self._broker.connect()
        self._broker.subscribe(self._filters, forget=self._forget)
        self.epoch += 1
        self.connected = True
        self._connects.append(Connect(self.epoch, present))

    def _hang_up(self) -> None:
        self._wire, self.connected = None, False
        self._in_flight.clear()

    def _read(self, most: int) -> None:
        """Read some of what has come; all that is left of a wire that is cut."""
        wire = self._wire
        assert wire is not None
        count = len(wire.down)
        if wire.open and self._rng.random() < 0.3:
            count = self._rng.randint(0, count)
        for _ in range(count):
            packet = wire.down.popleft()
            if isinstance(packet, PubAck):
                self._settle(packet)
            else:
                self._take(packet)

    def _settle(self, answer: PubAck) -> None:
        position = self._in_flight.pop(answer.mid, None)
        if position is None:
            return
        if answer.refused:
            self._refused.append((position, answer.refused))
        else:
            self._confirmed.append(position)

    def _take(self, packet: Delivery) -> None:
        sent = packet.sent
        self._surplus.append(Message(sent.topic, sent.payload, 1, packet.dup, False, packet.mid, self.epoch))
