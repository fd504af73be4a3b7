"""Publishing is one cursor over the ledger's outputs, in order; a connection that breaks sends it back."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from gaugecast.loop.ports import Outbox, PublishLink
from gaugecast.records import Output

#: Outputs kept in memory between the ledger and the broker; the rest is read from the ledger when its turn comes.
MEMORY = 20_000
#: Refused outputs are tried again after so long, doubling up to the second.
RETRY_S, RETRY_MAX_S = 30.0, 600.0
_CHUNK = 2000


class _Queued(NamedTuple):
    position: int
    topic: str
    body: bytes
    qos: int
    retain: bool
    arrived_s: float | None  # monotonic; None where it was read back from the ledger


class Settled(NamedTuple):
    """What the next commit notes of publishing."""

    confirmed: int
    refused: tuple[tuple[int, str], ...]
    redelivered: tuple[int, ...]


class Publisher:
    """Owned by the loop's thread.

    Attributes:
        confirmed: All outputs up to this position are delivered or given up.
        refused_total: Publishes that the broker refused.
    """

    def __init__(self, link: PublishLink, outbox: Outbox) -> None:
        self._link, self._outbox = link, outbox
        self.confirmed = outbox.confirmed
        self.refused_total = 0
        self.mute: str | None = None
        self._tail = self.confirmed  # newest position that is queued or was handed over
        self._queue: deque[_Queued] = deque()
        self._done: set[int] = set()  # confirmed ahead of their turn
        self._refused: list[tuple[int, str]] = []
        self._redelivered: list[int] = []
        self._retrying: set[int] = set()
        self._retry_at_s, self._retry_s = 0.0, RETRY_S
        self._retried = 0  # position up to which the table was offered in this pass

    @property
    def lag(self) -> int:
        """Durable outputs that are not confirmed."""
        return self._outbox.last_position - self.confirmed

    @property
    def waiting(self) -> bool:
        """Whether outputs wait for room."""
        return bool(self._queue)

    def extend(self, first_position: int, outputs: Sequence[Output], arrived_s: float) -> None:
        """Take over the outputs of a commit, if the queue is not behind; else they wait in the ledger."""
        if self._tail != first_position - 1 or len(self._queue) >= MEMORY:
            return
        for position, (_, _, _, _, _, topic, body, retain, qos) in enumerate(outputs, first_position):
            self._queue.append(_Queued(position, topic, body, qos, retain, arrived_s))
        self._tail = first_position + len(outputs) - 1

    def reset(self) -> None:
        """A new connection: whatever was not confirmed is sent again, from the ledger."""
        self.settle()
        self._queue.clear()
        self._retrying.clear()
        self._tail = self.confirmed

    def pump(self, now_s: float) -> list[float]:
        """Hand over as much as there is room for; arrival-to-publish seconds of what came in this process."""
        latencies: list[float] = []
        link, queue = self._link, self._queue
        while queue or self._refill():
            qos = queue[0].qos
            room = link.room(qos)
            if room <= 0:
                break
            while room > 0 and queue and queue[0].qos == qos:
                position, topic, body, _, retain, arrived_s = queue.popleft()
                if position in self._done:
                    continue
                link.publish(position, topic, body, qos, retain)
                room -= 1
                if arrived_s is not None:
                    latencies.append(now_s - arrived_s)
        self.settle()
        return latencies

    def retry(self, now_s: float) -> None:
        """Offer refused outputs again, now and then: an ACL may have been mended.

        As many as there is room for, and the next time those after them: topics that stay refused hold up no others.
        """
        if not self._link.connected or now_s < self._retry_at_s or self._retrying:
            return
        room = self._link.room(1)
        if room == 0:
            return
        self._retry_at_s = now_s + self._retry_s
        rows = self._outbox.refused_outputs(self._retried, room)
        self._retried = rows[-1].position if rows and len(rows) == room else 0
        for row in rows:
            if row.position in self._redelivered:
                continue  # delivered just now; the next commit takes it out
            self._link.publish(row.position, row.topic, row.body, row.qos, row.retain)
            self._retrying.add(row.position)

    def settle(self) -> None:
        """Note what the broker has confirmed and refused."""
        for position in self._link.take_confirmed():
            if position in self._retrying:
                self._retrying.discard(position)
                self._redelivered.append(position)
                self._retry_at_s, self._retry_s = 0.0, RETRY_S
            elif position > self.confirmed:
                self._done.add(position)
        for position, reason in self._link.take_refused():
            if position in self._retrying:
                self._retrying.discard(position)
                self._retry_s = min(2 * self._retry_s, RETRY_MAX_S)
            elif position > self.confirmed and position not in self._done:
                self.refused_total += 1
                self._refused.append((position, reason))
                self._done.add(position)
        while self.confirmed + 1 in self._done:
            self.confirmed += 1
            self._done.discard(self.confirmed)

    @property
    def settled(self) -> Settled:
        """What the next commit must note."""
        return Settled(self.confirmed, tuple(self._refused), tuple(self._redelivered))

    def forget_settled(self, settled: Settled) -> None:
        """A commit has noted it."""
        del self._refused[: len(settled.refused)]
        del self._redelivered[: len(settled.redelivered)]

    @property
    def unsettled(self) -> bool:
        """Whether there is something that no commit has noted."""
        return self.confirmed > self._outbox.confirmed or bool(self._refused or self._redelivered)

    def _refill(self) -> bool:
        if self._tail >= self._outbox.last_position or not self._link.connected:
            return False
        rows = self._outbox.pending(self._tail, _CHUNK)
        self._queue.extend(_Queued(r.position, r.topic, r.body, r.qos, r.retain, None) for r in rows)
        if rows:
            self._tail = rows[-1].position
        return bool(rows)
