"""What was polled and is not yet decoded: raw, in arrival order, and how much of it makes one batch."""

from __future__ import annotations

from collections import deque
from itertools import islice

from gaugecast.config.schema import Loop
from gaugecast.loop.poison_guard import PoisonGuard
from gaugecast.records import Message

#: Payload bytes of one batch, and of one poll as far as the last polls tell; one message more where it crosses this.
MOST_BYTES = 1 << 20


class Backlog:
    """Messages that wait because those before them fill a batch, or because the guard takes them with care.

    Nothing is polled while any wait, so there is never more than one poll's worth. Readings are some twenty times
    larger decoded than raw: that is why they wait as bytes. Owned by the loop's thread.

    Args:
        guard: Asked which messages may be taken together.

    Attributes:
        arrived_s: When the poll returned that brought them, monotonic seconds.
    """

    def __init__(self, guard: PoisonGuard, settings: Loop) -> None:
        self.arrived_s = 0.0
        self._guard = guard
        # Each message is at least one reading or reject, so more could not be decoded for one batch.
        self._most_decoded = min(settings.batch_messages, settings.batch_readings)
        self._most_polled = settings.batch_messages
        self._each_bytes = 0.0
        self._messages: deque[Message] = deque()

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def room(self) -> int:
        """How many messages to poll for, so that they are about `MOST_BYTES`, if they are as those before them."""
        if self._each_bytes * self._most_polled <= MOST_BYTES:
            return self._most_polled
        return max(1, int(MOST_BYTES / self._each_bytes))

    def add(self, messages: list[Message], arrived_s: float) -> None:
        """Let the messages of one poll wait."""
        if not messages:
            return
        self._messages.extend(messages)
        self.arrived_s = arrived_s
        mean = sum(len(message.payload) for message in messages) / len(messages)
        self._each_bytes = max(mean, self._each_bytes / 2)  # large ones are believed at once, small ones by and by

    def first(self) -> list[Message]:
        """The next of them that may be decoded together; they wait on until `drop`."""
        messages, left = [], MOST_BYTES
        for message in islice(self._messages, self._most_decoded):
            messages.append(message)
            left -= len(message.payload)
            if left <= 0:
                break
        return messages[: self._guard.span(messages)]

    def drop(self, count: int) -> None:
        """The first `count` have been decoded."""
        for _ in range(count):
            self._messages.popleft()
