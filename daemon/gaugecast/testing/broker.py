"""A broker in memory, of which one daemon is the client: it keeps the session, may be away, and may be cut off."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

import msgspec

from gaugecast.records import Message

#: So many of the newest are kept for whoever takes them.
_KEPT = 10_000


class Published(NamedTuple):
    """A message that the daemon has published."""

    topic: str
    body: bytes
    qos: int
    retain: bool

    def json(self) -> dict[str, Any]:
        """What it says, decoded."""
        found: dict[str, Any] = msgspec.json.decode(self.body)
        return found


class MemoryBroker:
    """Lives on while daemons come and go.

    Attributes:
        up: Whether anybody can connect; while it is not, what sensors publish is gone.
        cuts: How often the connections were cut; both sides look at it.
        published_total: Messages that it has taken from the daemon, copies included.
        announced: The newest text on the daemon's status topic.
    """

    def __init__(self) -> None:
        self.up = True
        self.cuts = 0
        self.published_total = 0
        self.announced = ""
        self._published: deque[Published] = deque(maxlen=_KEPT)
        self._session = False
        self._mid = 0
        self._queue: deque[tuple[str, bytes]] = deque()
        self._in_flight: dict[int, tuple[str, bytes]] = {}

    # -- for tests

    def take(self, topic: str, payload: bytes) -> bool:
        """A sensor publishes; whether it is kept for the daemon."""
        kept = self.up and self._session
        if kept:
            self._queue.append((topic, payload))
        return kept

    def cut(self) -> None:
        """Both connections end, before what was published last is confirmed: it comes again, the same to the byte."""
        self.cuts += 1

    def take_published(self) -> list[Published]:
        """What the daemon has published since the last call, the newest 10,000 of it."""
        taken = list(self._published)
        self._published.clear()
        return taken

    @property
    def idle(self) -> bool:
        """Whether nothing waits for the daemon."""
        return not self._queue and not self._in_flight

    # -- for the link

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

    def hear(self, message: Published) -> None:
        """The daemon publishes."""
        self.published_total += 1
        self._published.append(message)
