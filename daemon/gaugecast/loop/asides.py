"""Messages that are no readings: what the broker says of itself, and Home Assistant of itself. They come at QoS 0."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from gaugecast.events import Announced
from gaugecast.fleet import Fleet
from gaugecast.pipeline import Pipeline
from gaugecast.records import Message, Order
from gaugecast.topics.system import SYS_DROPPED

#: So many streams are announced with one commit: the broker gets breath.
SLICE = 100
_BORN = b"online"


class Asides:
    """Owned by the loop's thread.

    Attributes:
        dropped_total: What the broker last said of messages that it dropped; `None` = nothing.
        born: Birth topics on which somebody said so; whoever has seen it clears.
        birth_topics: Where that is listened to.
    """

    def __init__(self) -> None:
        self.dropped_total: int | None = None
        self.birth_topics: frozenset[str] = frozenset()
        self.born: set[str] = set()

    def listen_for(self, fleets: Iterable[Fleet]) -> None:
        """Take note of what concerns these fleets."""
        self.birth_topics = frozenset(birth_topics(fleets))

    def take_out(self, messages: list[Message]) -> list[Message]:
        """Note what is said, and leave the readings."""
        apart = self.birth_topics | {SYS_DROPPED}
        if not any(message.topic in apart for message in messages):
            return messages
        for message in messages:
            if message.topic == SYS_DROPPED and message.payload.isdigit() and len(message.payload) < 20:
                self.dropped_total = int(message.payload)
            elif message.topic in self.birth_topics and message.payload == _BORN:
                self.born.add(message.topic)
        return [message for message in messages if message.topic not in apart]

    def announcements(self, pipeline: Pipeline) -> Iterator[Order]:
        """Orders that announce all streams to whoever was born, in slices."""
        born, self.born = self.born, set()
        for name, part in pipeline.parts.items() if born else ():
            if part.fleet.home is not None and part.fleet.home.birth_topic in born:
                streams: Sequence[str] = sorted(part.table.slots)
                for first in range(0, len(streams), SLICE):
                    yield Order(Announced(tuple(streams[first : first + SLICE])), name)


def birth_topics(fleets: Iterable[Fleet]) -> list[str]:
    """Where Home Assistant says that it has come, for the fleets that are announced to it."""
    return sorted({fleet.home.birth_topic for fleet in fleets if fleet.home is not None})
