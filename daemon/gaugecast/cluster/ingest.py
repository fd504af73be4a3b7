"""An ingest: polls, decodes, routes, and acks in order what every partition of it has committed. One thread.

A message is acked only when all partitions that have readings of it have committed them, and all messages before it are
acked. To each partition one batch is on its way; whatever comes meanwhile waits for the next. Where no answer comes the
very same batch is sent again before any newer one: the partition tells by its number whether it has it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gaugecast.cluster.batches import Batch, pack
from gaugecast.cluster.ports import Answer, Fate, Partitions, Source
from gaugecast.cluster.routing import Piece, Routing
from gaugecast.errors import Defect, Fenced
from gaugecast.loop.ports import Decodes
from gaugecast.records import Message

#: Messages that are taken at once, and that are polled and not acked at least: as many as a broker sends unacked by
#: default settings, twice.
MOST_MESSAGES = 2000
#: Readings at which a batch is closed; a piece is never cut.
MOST_READINGS = 4000


@dataclass(slots=True, eq=False)
class _Round:
    """The messages of one poll, and how many partitions have not committed their part of it."""

    messages: Sequence[Message]
    left: int


@dataclass(slots=True)
class _Lane:
    """The way to one partition.

    Attributes:
        waiting: Pieces, each with its round, that are not in a batch yet.
        number: Of the last batch that was made.
        batch: On its way, or to be sent again.
        rounds: Whose pieces it has.
        sent: Whether it is on its way now.
        session_lost: The next batch has to say so.
    """

    waiting: deque[tuple[Piece, _Round]] = field(default_factory=deque)
    number: int = 0
    batch: Batch | None = None
    rounds: list[_Round] = field(default_factory=list)
    sent: bool = False
    session_lost: bool = False


class Ingest:
    """One of several whose filters share no topic. Owned by the thread that calls `turn`.

    Args:
        name: The same for each process that takes its place.
        token: Of its lease: higher than that of any before it.
        source: The connection that hears.
        decoder: Reads messages.
        routing: Deals readings out.
        partitions: The way to them.
        clock_ns: Unix nanoseconds.
        most_messages: That are polled and not acked. While one partition is away its messages fill it, and then
            nothing more comes for the others.

    Attributes:
        received: Readings, and whole rejected messages, that were decoded.
        not_ours: Readings that name no feature of their fleet.
        acked: Messages.
    """

    def __init__(
        self,
        name: str,
        token: int,
        *,
        source: Source,
        decoder: Decodes,
        routing: Routing,
        partitions: Partitions,
        clock_ns: Callable[[], int],
        most_messages: int = MOST_MESSAGES,
    ) -> None:
        self.name, self.token = name, token
        self.received = self.not_ours = self.acked = 0
        self._source, self._decoder, self._routing, self._partitions = source, decoder, routing, partitions
        self._clock_ns, self._most = clock_ns, most_messages
        self._rounds: deque[_Round] = deque()
        self._lanes = [_Lane() for _ in range(routing.partitions)]

    @property
    def waiting(self) -> int:
        """Messages that are polled and not acked."""
        return sum(len(one.messages) for one in self._rounds)

    def turn(self, wait_s: float = 0.0, linger_s: float = 0.0) -> None:
        """Take answers, ack, poll, send. Waits `wait_s` at most, for messages; `linger_s` more behind the first.

        Raises:
            Fenced: Another process has taken our place.
        """
        for answer in self._partitions.take_answers():
            self._note(answer)
        self._ack()
        most = max(0, min(MOST_MESSAGES, self._most - self.waiting))
        self._take(self._source.poll(most, wait_s, linger_s))
        for partition, lane in enumerate(self._lanes):
            self._send(partition, lane)

    # -- in

    def _take(self, messages: list[Message]) -> None:
        for connect in self._source.subscriber.take_connects():
            if not connect.session_present:
                for lane in self._lanes:
                    lane.session_lost = True
        if not messages:
            return
        decoded = self._decoder.decode(messages, self._clock_ns(), len(messages) << 20)
        self.received += len(decoded.inputs)
        self.not_ours += decoded.not_ours.total()
        for topic, body in decoded.asks:
            self._source.sender.ask(topic, body)
        pieces = self._routing.split(decoded)
        taken = _Round(messages, len(pieces))
        self._rounds.append(taken)
        for partition, piece in pieces.items():
            self._lanes[partition].waiting.append((piece, taken))

    # -- out

    def _send(self, partition: int, lane: _Lane) -> None:
        """Send what was made already, or make the next; not while one is on its way."""
        if lane.sent:
            return
        if lane.batch is None and (lane.waiting or lane.session_lost):
            self._make(lane)
        if lane.batch is not None:
            lane.sent = True
            self._partitions.send(partition, lane.batch)

    def _make(self, lane: _Lane) -> None:
        pieces: list[Piece] = []
        readings = 0
        while lane.waiting and readings < MOST_READINGS:
            piece, taken = lane.waiting.popleft()
            pieces.append(piece)
            lane.rounds.append(taken)
            readings += len(piece.inputs)
        lane.number += 1
        lane.batch = Batch(self.name, self.token, lane.number, pack(pieces), lane.session_lost)
        lane.session_lost = False

    def _note(self, answer: Answer) -> None:
        lane = self._lanes[answer.partition]
        if lane.batch is None or answer.position != lane.batch.position:
            return  # of a batch that was answered by another partition's process already
        if answer.fate is Fate.STALE:
            raise Fenced(f"{self.name}: another process has taken its place; this one ends")
        if answer.fate is Fate.UNKNOWN:
            self._retry(lane)
            return
        lane.batch, lane.sent = None, False
        for taken in lane.rounds:
            taken.left -= 1
            if taken.left < 0:
                raise Defect(f"{self.name}: a part of a message was committed twice")
        lane.rounds.clear()

    def _retry(self, lane: _Lane) -> None:
        """The same batch again, before any newer one."""
        assert lane.batch is not None
        lane.batch, lane.sent = lane.batch._replace(again=True), False

    def _ack(self) -> None:
        while self._rounds and self._rounds[0].left == 0:
            messages = self._rounds.popleft().messages
            self._source.subscriber.ack(messages)
            self.acked += len(messages)
