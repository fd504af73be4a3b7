"""A partition's link: batches of ingests come in, forecasts go out over a connection of its own. One wait for both."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping

from gaugecast.cluster.inbox import Inbox
from gaugecast.config.schema import Mqtt
from gaugecast.mqtt.sender import Sender
from gaugecast.mqtt.waiting import Interest, Waiter
from gaugecast.records import Message

_LONGEST_WAIT_S, _FINISH_S = 0.5, 0.5


class InboxLink:
    """As `mqtt.Link`; owned by the loop's thread.

    Attributes:
        subscriber: The inbox.
        sender: Publishes.
    """

    def __init__(
        self, settings: Mqtt, committed: Mapping[str, int], *, clock: Callable[[], float] = time.monotonic,
        flap_limit: int = 20,
    ) -> None:  # fmt: skip
        self._clock, self._waiter, self._rung = clock, Waiter(), False
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.subscriber = Inbox(committed, wake=self.ring)
        self.sender = Sender(settings, flap_limit=flap_limit, waiter=self._waiter, clock=clock)

    def ring(self) -> None:
        """End a wait, for a batch or a question. Any thread, till `close`."""
        os.eventfd_write(self._bell, 1)

    def poll(self, most: int, wait_s: float, linger_s: float = 0.0) -> list[Message]:  # noqa: ARG002
        """As `mqtt.Link.poll`; nothing is waited for behind the first batch, for it is one."""
        self.sender.turn()
        until, self._rung = self._clock() + wait_s, False
        while not self._rung and not self.sender.news and not (most and self.subscriber.waiting):
            left = until - self._clock()
            if left <= 0:
                break
            self._wait(min(left, _LONGEST_WAIT_S))
            self.sender.turn()
        self.sender.news = False
        return self.subscriber.take(most)

    def close(self, drain_s: float = 2.0) -> None:
        """Say `offline`, after waiting up to `drain_s` for publishes to be confirmed."""
        until = self._clock() + drain_s
        while self.sender.unconfirmed and (left := until - self._clock()) > 0:
            self.poll(0, left)
        self.sender.finish(self._clock() + max(drain_s, _FINISH_S))
        self._waiter.close()
        os.close(self._bell)

    def _wait(self, seconds: float) -> None:
        line = self.sender.line
        heeded = Interest(self._bell, read=True, told=True)
        ended = self._waiter.wait(seconds, (line.interest(reading=True), heeded))
        if self._bell in ended:
            os.eventfd_read(self._bell)
            self._rung = True
        line.note_ended(ended)
