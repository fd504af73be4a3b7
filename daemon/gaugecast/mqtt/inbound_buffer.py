"""What was read from the broker and not yet taken by the caller: the only queue of ours."""

from __future__ import annotations

from gaugecast.records import Message


class InboundBuffer:
    """Messages in arrival order. Owned by the loop's thread.

    Nothing is read while there is enough to give, so it holds one read of the socket at most beyond what the caller
    takes: the kernel's buffer and the broker are the queue, and not reading is back-pressure.
    """

    def __init__(self) -> None:
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
