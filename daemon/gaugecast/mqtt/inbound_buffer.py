"""What was read from the broker and not yet taken by the caller: the only queue of ours, and its bound."""

from __future__ import annotations

from gaugecast.records import Message

MOST_AHEAD = 8192  # messages read before they are asked for


class InboundBuffer:
    """Messages in arrival order. Owned by the loop's thread.

    As a rule nothing is read while there is enough to give: the kernel's buffer and the broker are the queue. But
    PUBACKs come behind messages in one stream of bytes. So while publishes of ours wait for them, reading goes on,
    up to `MOST_AHEAD` (and one read more). Where the caller takes nothing until its publishes are confirmed,
    QoS 0 messages in the way are dropped; the others are bounded by Receive Maximum.

    Attributes:
        dropped_total: QoS 0 messages dropped so.
    """

    def __init__(self) -> None:
        self.dropped_total = 0
        self._messages: list[Message] = []

    def __len__(self) -> int:
        return len(self._messages)

    def add(self, messages: list[Message]) -> None:
        """Keep messages that were read."""
        self._messages += messages

    def take(self, most: int) -> list[Message]:
        """Give up to `most` of them."""
        taken = self._messages[:most]
        del self._messages[:most]
        return taken

    def may_read(self, most: int, *, awaiting_acks: bool) -> bool:
        """Whether to read on, for a caller that would take `most` messages now."""
        if len(self._messages) < most:
            return True
        if not awaiting_acks:
            return False
        if len(self._messages) >= MOST_AHEAD and most == 0:
            kept = [message for message in self._messages if message.qos]
            self.dropped_total += len(self._messages) - len(kept)
            self._messages = kept
        return len(self._messages) < MOST_AHEAD
