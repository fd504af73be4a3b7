"""A broker made of lists: QoS 1, one persistent session, packet ids, redelivery, refusals; it asserts what it sees.

The daemon is two clients: one subscribes and has the session, one publishes and has none. Each has a wire of its own.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

from simulation.journal import Journal, Name
from simulation.notices import CLEARED, END, is_notice, name_said
from simulation.points import Violation

#: Messages that the broker sends without waiting for their acks.
RECEIVE_MAXIMUM = 12
#: Messages that the daemon may send without waiting for theirs.
WINDOW = 6


@dataclass(slots=True, eq=False)
class Sent:
    """One message of a sensor.

    Attributes:
        lost: The broker forgot it with the session, nobody had subscribed to it, or a restore went back behind it.
        acked: Our daemon said that it has it.
    """

    serial: int
    topic: str
    payload: bytes
    lost: bool = False
    acked: bool = False
    tries: int = 0


class Delivery(NamedTuple):
    """A PUBLISH on its way to the daemon."""

    mid: int
    sent: Sent
    dup: bool


class Published(NamedTuple):
    """A PUBLISH on its way from the daemon."""

    mid: int
    topic: str
    body: bytes
    retain: bool


class PubAck(NamedTuple):
    """An answer to a `Published`; a reason, or empty."""

    mid: int
    refused: str


@dataclass(slots=True)
class Wire:
    """One TCP connection: what is under way in each direction."""

    up: deque[int | Published] = field(default_factory=deque)  # acks are packet ids
    down: deque[Delivery | PubAck] = field(default_factory=deque)
    open: bool = True
    given: dict[int, Sent] = field(default_factory=dict)  # sent on this connection, not acked on it


class Broker:
    """Lives through all crashes of the daemon.

    Attributes:
        wire, wire_out: The connection that subscribes, and the one that publishes.
        lets_subscribe, lets_publish: Whether it accepts connections of either kind.
        deaf: It takes nothing that is published, though connected.
        retained: What it would give to whoever subscribes to a notice's topic; `None`: a restore made it unknown.

    Args:
        reuse_ids: Give a packet id away again as soon as it is acked (keyed payloads only: without keys such a
            message cannot be told from a redelivery).
    """

    def __init__(self, rng: Random, journal: Journal, *, reuse_ids: bool) -> None:
        self._rng, self._journal, self._reuse = rng, journal, reuse_ids
        self.wire: Wire | None = None
        self.wire_out: Wire | None = None
        self.lets_subscribe = self.lets_publish = True
        self.deaf = False
        self.session = False
        self._filters: set[str] = set()
        self.sent: list[Sent] = []
        self.denied: set[str] = set()
        self._ever_denied: set[str] = set()
        self._queue: deque[Sent] = deque()
        self._in_flight: dict[int, Sent] = {}
        self._next_mid = 1
        self.heard: dict[Name, bytes] = {}
        self.retained: dict[str, bytes] | None = {}
        self._newest: dict[tuple[str, str], int] = {}
        self._ended: dict[
            str, Name
        ] = {}  # the last end that was heard on a topic: what clears it has no name of its own
        self.copies = 0
        self.copies_allowed = 0

    # -- towards the sensors

    def accept(self, topic: str, payload: bytes) -> Sent:
        """A sensor publishes."""
        wanted = self.session and any(_matches(name, topic) for name in self._filters)
        one = Sent(len(self.sent), topic, payload, lost=not wanted)
        self.sent.append(one)
        if wanted:
            self._queue.append(one)
        return one

    def subscribe(self, filters: set[str], *, forget: set[str]) -> None:
        """Filters are the session's; what comes on one that is let go is nobody's any more."""
        self._filters = (self._filters | filters) - forget
        for sent in [*self._queue, *self._in_flight.values()]:
            sent.lost |= not any(_matches(name, sent.topic) for name in self._filters)

    @property
    def idle(self) -> bool:
        """Whether the broker owes the daemon nothing."""
        return not self._queue and not self._in_flight

    def was_denied(self, fleet: str, stream: str) -> bool:
        """Whether publishes on this stream's topic were ever refused."""
        return f"gaugecast/{fleet}/{stream}" in self._ever_denied

    # -- connections

    def connect(self) -> tuple[Wire, bool]:
        """A connection that subscribes, and whether the session was still there; what was not acked comes with DUP."""
        present, self.session = self.session, True
        self.wire = wire = Wire()
        for mid, sent in self._in_flight.items():
            wire.down.append(Delivery(mid, sent, True))
            wire.given[mid] = sent
        self._send_more()
        return wire, present

    def connect_publisher(self) -> Wire:
        """A connection that publishes. The same id ends what it had before: nothing old comes after anything new."""
        self.cut_publisher()
        self.wire_out = Wire()
        return self.wire_out

    def cut(self) -> None:
        """Both connections end."""
        self.cut_subscriber()
        self.cut_publisher()

    def cut_subscriber(self) -> None:
        """The connection that subscribes ends."""
        wire, self.wire = self.wire, None
        if wire is not None:
            self._end(wire)

    def cut_publisher(self) -> None:
        """The connection that publishes ends: of what is under way, no more than a window may come once more."""
        wire, self.wire_out = self.wire_out, None
        if wire is not None:
            self._end(wire)
            self.copies_allowed += WINDOW

    def _end(self, wire: Wire) -> None:
        """Some of what was under way still arrives."""
        self._take(wire, self._rng.randint(0, len(wire.up)))
        wire.open = False
        wire.up.clear()
        keep = self._rng.randint(0, len(wire.down))
        while len(wire.down) > keep:
            wire.down.pop()

    def lose_session(self) -> None:
        """The broker is killed and comes back without its memory."""
        self.cut()
        for sent in [*self._queue, *self._in_flight.values()]:
            sent.lost = True
        self._queue.clear()
        self._in_flight.clear()
        self._next_mid = 1
        self.session = False
        self._filters.clear()

    def note_restore(self, confirmed: int) -> None:
        """A backup was put in place: what was acked or heard since is not in it, and may come once more.

        Args:
            confirmed: The position up to which the backup knows that it was heard.
        """
        for sent in self.sent:
            sent.lost |= sent.acked and not all(self._journal.has(sent.topic, sent.payload))
        self.heard = {name: body for name, body in self.heard.items() if self._journal.knows(name, body)}
        self.copies_allowed += sum(self._journal.by_step[name].position > confirmed for name in self.heard)
        self.retained = None
        self._newest, ended = {}, set(self._ended.items())
        self._ended = {topic: name for topic, name in ended if name in self.heard}
        for fleet, stream, step, what in self.heard:
            if not what:
                self._newest[fleet, stream] = max(step, self._newest.get((fleet, stream), 0))

    def heal(self) -> None:
        """Nothing is refused any more."""
        self.denied.clear()
        self.lets_subscribe = self.lets_publish = True
        self.deaf = False

    def exchange(self) -> None:
        """Take what has come, as far as it came; send what may be sent."""
        if self.wire is not None:
            self._take_some(self.wire)
            self._send_more()
        if self.wire_out is not None and not self.deaf:
            self._take_some(self.wire_out)

    def _take_some(self, wire: Wire) -> None:
        self._take(wire, len(wire.up) if self._rng.random() < 0.8 else self._rng.randint(0, len(wire.up)))

    def _send_more(self) -> None:
        wire = self.wire
        assert wire is not None
        while self._queue and len(self._in_flight) < RECEIVE_MAXIMUM:
            mid, sent = self._mid(), self._queue.popleft()
            self._in_flight[mid] = wire.given[mid] = sent
            wire.down.append(Delivery(mid, sent, False))

    def _mid(self) -> int:
        if self._reuse:
            return next(mid for mid in range(1, 65536) if mid not in self._in_flight)
        self._next_mid += 1
        return self._next_mid

    # -- what the daemon says

    def _take(self, wire: Wire, packets: int) -> None:
        for _ in range(packets):
            packet = wire.up.popleft()
            if isinstance(packet, Published):
                wire.down.append(PubAck(packet.mid, self._hear(packet)))
            else:
                self._acked(wire, packet)

    def _acked(self, wire: Wire, mid: int) -> None:
        sent = wire.given.pop(mid, None)
        if sent is None:
            raise Violation(f"I6: packet id {mid} was acked on a connection that did not bring it")
        sent.acked = True
        self._in_flight.pop(mid, None)
        if not sent.lost:
            self._journal.check_acked(sent.topic, sent.payload, sent.serial)

    def _hear(self, packet: Published) -> str:
        if packet.topic in self.denied:
            self._ever_denied.add(packet.topic)
            return "Not authorized (135)"
        name = self._name(packet)
        self._journal.check_published(name, packet.body)
        if self.retained is not None and packet.retain and is_notice(packet.topic):
            self.retained[packet.topic] = packet.body
        known = self.heard.get(name)
        if known is not None:
            self.copies += 1
            if known != packet.body:
                raise Violation(f"I4: two bodies for {name}")
            if self.copies > self.copies_allowed:
                raise Violation(f"I4: {self.copies} copies, {self.copies_allowed} explained by cuts and crashes")
            return ""
        self._journal.heard_since_commit += 1
        self.heard[name] = packet.body
        self._check_order(packet.topic, name)
        return ""

    def _name(self, packet: Published) -> Name:
        """What names a message for ever; what clears a topic goes by the end before it."""
        if packet.body:
            name = name_said(packet.topic, packet.body)
        elif packet.topic in self._ended:
            name = (*self._ended[packet.topic][:3], CLEARED)
        else:
            raise Violation(f"I10: {packet.topic} is cleared, and nothing has ended there")
        if name[3] == END:
            self._ended[packet.topic] = name
        return name

    def _check_order(self, topic: str, name: Name) -> None:
        """Forecasts come one after the other, and a notice behind the forecast of its step."""
        fleet, stream, step, what = name
        before = self._newest.get((fleet, stream), 0)
        if topic not in self._ever_denied and step != before + (not what):
            raise Violation(f"I5: {name} came after step {before}")
        if not what:
            self._newest[fleet, stream] = max(step, before)


def _matches(name: str, topic: str) -> bool:
    """Whether a filter takes a topic; here the first level tells them all apart."""
    return name.partition("/")[0] == topic.partition("/")[0]
