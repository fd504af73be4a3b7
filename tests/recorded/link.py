"""The link of `record`: what the loop needs of a connection, with nobody at the other end."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from gaugecast.mqtt.facts import Connect
from gaugecast.records import Message
from simulation.points import Clock


class ScriptLink:
    """A link to nobody: messages come as they were put in, publishes are confirmed in the next round.

    Attributes:
        mute: Nothing is confirmed any more.
        refusing: A topic whose publishes are refused; empty = none.
    """

    def __init__(self, clock: Clock, *, epoch: int, session_present: bool) -> None:
        self.connected, self.mute, self.refusing = True, False, ""
        self.coming: deque[Message] = deque()
        self._clock, self.epoch = clock, epoch
        self._connects = [Connect(epoch, session_present)]
        self._sent: list[tuple[int, str]] = []

    def lose_session(self) -> None:
        """The connection breaks, and the broker has forgotten us."""
        self.epoch += 1
        self._connects.append(Connect(self.epoch, False))

    def poll(self, most: int, wait_s: float, linger_s: float = 0.0) -> list[Message]:
        """As `Link.poll`; to wait is not needed."""
        self._clock.advance(0.001)
        return [self.coming.popleft() for _ in range(min(most, len(self.coming)))]

    def ack(self, messages: Sequence[Message]) -> int:
        """As `Link.ack`."""
        return len(messages)

    def room(self, qos: int = 1) -> int:
        """As `Link.room`."""
        return 0 if self.mute else 500

    def publish(self, position: int, topic: str, body: bytes, qos: int, retain: bool) -> None:
        """As `Link.publish`."""
        self._sent.append((position, topic))

    def take_confirmed(self) -> list[int]:
        """As `Link.take_confirmed`."""
        taken = [position for position, topic in self._sent if topic != self.refusing]
        self._sent = [(position, topic) for position, topic in self._sent if topic == self.refusing]
        return taken

    def take_refused(self) -> list[tuple[int, str]]:
        """As `Link.take_refused`."""
        taken, self._sent = [(position, "Not authorized (135)") for position, _ in self._sent], []
        return taken

    def take_connects(self) -> list[Connect]:
        """As `Link.take_connects`."""
        taken, self._connects = self._connects, []
        return taken
