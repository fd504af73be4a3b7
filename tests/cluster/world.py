"""What a cluster is made of, faked: a broker, a store that fences, a network that loses answers and repeats itself.

Ingest, inbox, routing, batches and decoder are the shipped ones.
"""

from __future__ import annotations

import struct
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

from gaugecast.cluster.batches import Batch
from gaugecast.cluster.inbox import BatchDecoder, Inbox, OutOfSequence, Ticket
from gaugecast.cluster.ingest import Ingest
from gaugecast.cluster.plan import IngestPlan
from gaugecast.cluster.ports import Answer, Fate
from gaugecast.cluster.routing import Routing
from gaugecast.errors import Fenced
from gaugecast.mqtt.facts import Connect
from gaugecast.payloads import Decoder
from gaugecast.records import Input, Message
from gaugecast.testing.fleets import SECOND, T0
from gaugecast.topics import Pattern, filter_matches


class Violation(AssertionError):
    """A promise was broken; the story's seed tells it again."""


class Sent(NamedTuple):
    """What a sensor said: value `number` of a stream, from 1 up."""

    topic: str
    payload: bytes
    stream: str
    number: int


@dataclass
class Session:
    """What the broker keeps for one client id."""

    filters: set[str] = field(default_factory=set)
    queue: deque[Sent] = field(default_factory=deque)
    under_way: dict[int, Sent] = field(default_factory=dict)
    mid: int = 0
    link: Link | None = None


class Broker:
    """Sessions that outlive connections; a second connection under one id ends the first.

    Attributes:
        acked: In the order of their acks.
    """

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = defaultdict(Session)
        self.acked: list[Sent] = []

    def publish(self, sent: Sent) -> None:
        """To every session that has asked for it."""
        for session in self.sessions.values():
            if any(filter_matches(one, sent.topic) for one in session.filters):
                session.queue.append(sent)

    @property
    def idle(self) -> bool:
        """Whether all was acked."""
        return not any(session.queue or session.under_way for session in self.sessions.values())


class Link:
    """One process's connection; as `mqtt.Link`, for its subscribing side. Redials by itself where it may."""

    def __init__(self, broker: Broker, plan: IngestPlan, lease: Lease) -> None:
        self.subscriber = self.sender = self
        self._broker, self._id, self._lease = broker, plan.settings.mqtt.client_id, lease
        self._filters = {Pattern.parse(text).filter for fleet in plan.fleets for text in fleet.subscribe}
        self._connects: list[Connect] = []
        self._again: deque[tuple[int, Sent]] = deque()
        self.epoch = 0

    @property
    def connected(self) -> bool:
        """Whether the session is ours."""
        return self._broker.sessions[self._id].link is self

    def cut(self) -> None:
        """The network breaks the connection."""
        if self.connected:
            self._broker.sessions[self._id].link = None

    def poll(self, most: int, wait_s: float, linger_s: float = 0.0) -> list[Message]:
        """Dial, if need be and the lease is ours; take what there is."""
        session = self._broker.sessions[self._id]
        if not self.connected:
            if not self._lease.holds():
                raise Fenced("the lease is another's")
            self._connects.append(Connect(self.epoch + 1, session_present=bool(session.filters)))
            session.link, session.filters = self, set(self._filters)
            self.epoch += 1
            self._again = deque(sorted(session.under_way.items()))
        taken: list[Message] = []
        while len(taken) < most and (self._again or session.queue):
            dup = bool(self._again)
            if dup:
                mid, sent = self._again.popleft()
            else:
                session.mid += 1
                mid, sent = session.mid, session.queue.popleft()
                session.under_way[mid] = sent
            taken.append(Message(sent.topic, sent.payload, 1, dup, False, mid, self.epoch))
        return taken

    def ack(self, messages: Sequence[Message]) -> int:
        """Those of this connection."""
        if not self.connected:
            return 0
        session = self._broker.sessions[self._id]
        for message in messages:
            if message.epoch == self.epoch and message.mid in session.under_way:
                self._broker.acked.append(session.under_way.pop(message.mid))
        return len(messages)

    def take_connects(self) -> list[Connect]:
        """Since the last call."""
        taken, self._connects = self._connects, []
        return taken

    def ask(self, topic: str, body: bytes) -> None:
        """Nobody listens."""


class Lease:
    """Of a name in the store: the newest holds."""

    def __init__(self, store: Store, name: str) -> None:
        self._store, self._name = store, name
        self.token = store.next_token(name)

    def holds(self) -> bool:
        """Whether nobody has come after."""
        return self._store.tokens[self._name] == self.token


class Row(NamedTuple):
    """A reading that a partition has stepped."""

    stream: str
    number: int


class Store:
    """What PostgreSQL is: rows and notes by partition, and tokens that fence."""

    def __init__(self) -> None:
        self.tokens: dict[str, int] = defaultdict(int)
        self.rows: dict[int, list[Row]] = defaultdict(list)
        self.seen: dict[int, set[int]] = defaultdict(set)
        self.notes: dict[int, dict[str, int]] = defaultdict(dict)
        self.away = False

    def next_token(self, name: str) -> int:
        """Of whoever comes now."""
        self.tokens[name] += 1
        return self.tokens[name]

    def check_token(self, name: str, token: int) -> None:
        """As each write begins.

        Raises:
            Fenced: Somebody has come after.
        """
        if self.tokens[name] != token:
            raise Fenced(f"{name}: {token} is an old token")


class Partition:
    """One process of a partition: the shipped inbox, and a core that only keeps what comes once and in order.

    A reading is stepped if its key is above the last of its stream; without a key, unless it is a copy of a delivery
    that was seen: as the pipeline's gates do it.
    """

    def __init__(self, number: int, store: Store, ingests: Sequence[str]) -> None:
        self.number, self._store, self.name = number, store, f"partition-{number}"
        self.token = store.next_token(self.name)
        self.alive, self.node, self.asleep_until = True, -1, 0
        self.inbox = Inbox({name: store.notes[number].get(name, 0) for name in ingests})
        self._notes: dict[str, int] = {}
        self._decoder = BatchDecoder(self._notes.__setitem__)
        self._seen = set(store.seen[number])
        self._last: dict[str, int] = {}
        for row in store.rows[number]:
            self._last[row.stream] = row.number

    def turn(self) -> None:
        """One round of the commit protocol."""
        if self._store.away:
            return
        messages = self.inbox.take(2)
        if not messages:
            return
        decoded = self._decoder.decode(messages, T0)
        if self.inbox.take_connects():
            self._seen.clear()
        rows = [row for one in decoded.inputs if (row := self._step(one)) is not None]
        self._store.check_token(self.name, self.token)
        self._store.rows[self.number] += rows
        self._store.notes[self.number].update(self._notes)
        self._store.seen[self.number] = set(self._seen)
        self.inbox.ack(messages)

    def _step(self, one: Input) -> Row | None:
        if one.reason:
            raise Violation(f"refused: {one.reason}")
        (value,) = struct.unpack("<d", one.values[:8])
        row = Row(f"{one.fleet}/{one.stream}", int(value))
        if one.delivery:
            if one.dup and one.delivery in self._seen:
                return None
            self._seen.add(one.delivery)
            return row
        if row.number <= self._last.get(row.stream, 0):
            return None
        self._last[row.stream] = row.number
        return row


@dataclass
class Call:
    """A batch on the network."""

    ingest: IngestProcess
    partition: int
    batch: Batch
    arrives: int
    target: Partition | None = None
    ticket: Ticket | None = None
    loses_answer: bool = False
    repeats: int = 0


class IngestProcess:
    """One process of an ingest; what it sends goes over the network."""

    def __init__(self, plan: IngestPlan, broker: Broker, store: Store, network: Network) -> None:
        self.plan, self.alive, self.node, self.asleep_until = plan, True, -1, 0
        self.lease = Lease(store, plan.name)
        self.link = Link(broker, plan, self.lease)
        self.answers: list[Answer] = []
        self._network = network
        limits = plan.settings.loop
        self.ingest = Ingest(
            plan.name, self.lease.token, source=self.link, decoder=Decoder(plan.fleets, limits),
            routing=Routing(network.partitions), partitions=self, clock_ns=lambda: T0 + network.now * SECOND,
            most_messages=network.rng.choice((3, 20)),
        )  # fmt: skip

    def send(self, partition: int, batch: Batch) -> None:
        """As `Partitions.send`."""
        self._network.send(self, partition, batch)

    def take_answers(self) -> list[Answer]:
        """As `Partitions.take_answers`."""
        taken, self.answers = self.answers, []
        return taken


class Network:
    """Calls that are late, whose answers get lost, that come a second time; to whoever is the partition by then."""

    def __init__(self, partitions: int, rng: Random) -> None:
        self.partitions, self.rng, self.now = partitions, rng, 0
        self.homes: list[Partition] = []
        self.calls: list[Call] = []
        self.calm = False

    def send(self, ingest: IngestProcess, partition: int, batch: Batch) -> None:
        """A call; perhaps it will come twice, once long after."""
        rng = self.rng
        call = Call(ingest, partition, batch, self.now + rng.randint(0, 3), target=self.homes[partition])
        if not self.calm:
            call.loses_answer = rng.random() < 0.1
            call.repeats = int(rng.random() < 0.1)
        self.calls.append(call)

    def turn(self) -> None:
        """Deliver what is due, and carry answers back."""
        self.calls = [call for call in self.calls if not self._advance(call)]

    def _advance(self, call: Call) -> bool:
        """Whether the call is over."""
        target = call.target
        assert target is not None
        if self.now < call.arrives or (target.alive and target.asleep_until > self.now):
            if target is not self.homes[call.partition]:  # the caller was told that its partition is another process
                self._answer(call, Fate.UNKNOWN)
            return False
        if call.ticket is None and not self._deliver(call, target):
            return True
        assert call.ticket is not None
        if call.ticket.done.is_set():
            self._answer(call, Fate.UNKNOWN if call.loses_answer else Fate.COMMITTED)
        elif not target.alive or target is not self.homes[call.partition]:
            self._answer(call, Fate.UNKNOWN)
        else:
            return False
        return True

    def _deliver(self, call: Call, target: Partition) -> bool:
        if not target.alive:
            self._answer(call, Fate.UNKNOWN)
            return False
        try:
            call.ticket = target.inbox.offer(call.batch)
        except Fenced:
            self._answer(call, Fate.STALE)
            return False
        except OutOfSequence as exc:
            if call.repeats >= 0:
                raise Violation(f"a batch that somebody waits for was refused: {exc}") from exc
            return False  # a copy that came long after: nobody waits for its answer
        if call.repeats > 0:
            late = Call(call.ingest, call.partition, call.batch, self.now + self.rng.randint(3, 25), repeats=-1)
            late.target = self.homes[call.partition]
            self.calls.append(late)
        return True

    def _answer(self, call: Call, fate: Fate) -> None:
        if call.repeats >= 0:
            call.ingest.answers.append(Answer(call.partition, call.batch.position, fate))
            call.repeats = -1
