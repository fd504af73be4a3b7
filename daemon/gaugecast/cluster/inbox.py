"""What a partition's core reads from in place of a broker: batches of ingests, each once and in their order."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from gaugecast.batch import Inputs
from gaugecast.cluster.batches import Batch, Order, judge, position_of, unpack
from gaugecast.errors import Fenced, GaugecastError
from gaugecast.mqtt.facts import Connect, SubscriberCounters
from gaugecast.payloads import Decoded
from gaugecast.records import Message, Refused


class OutOfSequence(GaugecastError):
    """A batch that does not follow on the last one that was taken; nothing of it is looked at."""


class Ticket(NamedTuple):
    """A batch that was taken, or is committed long since; `done` is set once it is durable."""

    position: int
    done: threading.Event


class Inbox:
    """The side of a partition that hears; as `mqtt.Subscriber` is for a daemon.

    `offer` may be called by any thread; the rest belongs to the loop's.

    Args:
        committed: By ingest the position of its last batch that is durable.
        wake: Told that a batch waits.

    Attributes:
        connected: Whether ingests can reach sensors, as far as they said.
    """

    last_error: str | None = None
    deaf: str | None = None
    lowered: str | None = None

    def __init__(self, committed: Mapping[str, int], *, wake: Callable[[], None] = lambda: None) -> None:
        self.connected = True
        self.counters = SubscriberCounters()
        self._taken = dict(committed)
        self._wake, self._lock = wake, threading.Lock()
        self._waiting: deque[Batch] = deque()
        self._open: dict[tuple[str, int], Ticket] = {}
        self._connects: list[Connect] = []

    def offer(self, batch: Batch) -> Ticket:
        """Take a batch, or find out that it was taken; its ticket says when it is durable. Any thread.

        Raises:
            Fenced: A later process of that ingest has sent something already.
            OutOfSequence: One before it is missing, or it is an old one.
        """
        with self._lock:
            order = judge(self._taken.get(batch.ingest, 0), batch.token, batch.number)
            if order is Order.STALE:
                raise Fenced(f"{batch.ingest}: token {batch.token} is an old one, its place is taken")
            if order is Order.GAP:
                raise OutOfSequence(f"{batch.ingest}: expected the batch after the last, got number {batch.number}")
            if order is Order.HAVE:
                return self._open.get((batch.ingest, batch.position)) or _committed(batch)
            return self._put(batch)

    def _put(self, batch: Batch) -> Ticket:
        ticket = Ticket(batch.position, threading.Event())
        self._taken[batch.ingest] = batch.position
        self._open[batch.ingest, batch.position] = ticket
        self._waiting.append(batch)
        self._wake()
        return ticket

    # -- for the loop

    @property
    def waiting(self) -> int:
        """How many batches wait."""
        return len(self._waiting)

    def take(self, most: int) -> list[Message]:
        """Batches as messages; one before which a session was lost comes first or not yet."""
        taken: list[Message] = []
        with self._lock:
            while self._waiting and len(taken) < most and not (taken and self._waiting[0].session_lost):
                batch = self._waiting.popleft()
                if batch.session_lost:
                    self._connects.append(Connect(batch.token, session_present=False))
                taken.append(Message(batch.ingest, batch.content, 1, batch.again, False, batch.number, batch.token))
        self.counters.received_total += len(taken)
        return taken

    def ack(self, messages: Sequence[Message]) -> int:
        """They are durable: whoever waits for them is told."""
        with self._lock:
            for message in messages:
                ticket = self._open.pop((message.topic, position_of(message.epoch, message.mid)), None)
                if ticket is not None:
                    ticket.done.set()
        self.counters.acked_total += len(messages)
        return len(messages)

    def take_connects(self) -> list[Connect]:
        """Lost sessions since the last call."""
        taken, self._connects = self._connects, []
        return taken

    def resubscribe(self, filters: Sequence[tuple[str, int]], *, retained: Sequence[str] = ()) -> None:
        """Ingests subscribe."""


def _committed(batch: Batch) -> Ticket:
    ticket = Ticket(batch.position, threading.Event())
    ticket.done.set()
    return ticket


class BatchDecoder:
    """Reads batches as a decoder reads messages. Owned by the loop.

    Args:
        note: Name and position of a batch: durable with the next commit, which is the one that has its rows.
    """

    def __init__(self, note: Callable[[str, int], None]) -> None:
        self._note = note

    def decode(self, messages: Sequence[Message], received_at_ns: int, most: int = sys.maxsize) -> Decoded:
        """As `payloads.Decoder.decode`."""
        inputs, refused, taken = Inputs(), list[Refused](), 0
        for message in messages:
            taken += 1
            piece = unpack(message.payload, received_at_ns)
            inputs.extend(piece.inputs)
            refused += piece.refused
            self._note(message.topic, position_of(message.epoch, message.mid))
            if len(inputs) >= most:
                break
        return Decoded(inputs, refused, taken)
