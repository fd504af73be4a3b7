"""The ledgers of all partitions as one, for the learner of a fleet: inputs in the order in which they were received."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gaugecast import events
from gaugecast.errors import Defect
from gaugecast.events import Event
from gaugecast.fleet import Fleet
from gaugecast.learn.online.ports import LedgerHistory
from gaugecast.records import Input, Kind, Order

#: Inputs that are read of one ledger at once.
_READ = 500


class PastBatch(NamedTuple):
    """Consecutive inputs; the i-th has the number `first_seq + i`."""

    first_seq: int
    inputs: list[Input]


@dataclass(eq=False)
class _Lane:
    """One partition's ledger.

    Attributes:
        seq: Of the last input that was read.
        heads: Read and not given yet.
        known_seq: Of the newest event that was there when we began.
        in_force: The version in force after the events so far, empty = persistence; `None` = there never was one.
    """

    reader: LedgerHistory
    seq: int = 0
    heads: deque[Input] = field(default_factory=deque)
    known_seq: int = 0
    in_force: str | None = None

    def begin(self, fleet: str, share: int) -> list[str]:
        """Stand so many inputs before the end; the versions that were in force up to there, oldest first."""
        told = self.reader.events()
        were = [version for _, name, event in told if name == fleet and (version := _put_in_force(event)) is not None]
        self.known_seq = max((seq for seq, _, _ in told), default=0)
        self.in_force = were[-1] if were else None
        self.heads.clear()
        self.seq = max(self.reader.first_seq - 1, self.reader.last_seq - share, 0)
        return were

    def fill(self) -> bool:
        """Read on where nothing waits; whether anything does."""
        if not self.heads:
            batch = next(iter(self.reader.replay(self.seq, most=_READ)), None)
            if batch is not None:
                self.seq = batch.first_seq + len(batch.inputs) - 1
                self.heads.extend(batch.inputs)
        return bool(self.heads)

    def take(self) -> tuple[int, Input]:
        """The next one, and its number there."""
        one = self.heads.popleft()
        return self.seq - len(self.heads), one


class FleetPast:
    """As a ledger is read by a learner (`LedgerHistory`); what it gives it numbers itself, from 1, and gives once.

    It begins with the fleet's configuration and the weights that most partitions have in force; what came into force
    before is history. Of each partition come readings and timers, and of its events those that a learner goes by: a
    version that is new is told of once, by the partition that has it first; to one of before the learner goes back once
    more than half of the partitions have. A rollback of one is no news for the others. Time never goes back: what a
    partition was late with is taken for received when the last before was. One thread.

    Args:
        readers: By partition.
        fleet: The one that is learned.
        most: Inputs of the past to begin with, of all partitions together.
    """

    first_seq = 1

    def __init__(self, readers: Sequence[LedgerHistory], fleet: Fleet, *, most: int) -> None:
        self._lanes = [_Lane(reader) for reader in readers]
        self._fleet, self._share = fleet, most // len(self._lanes)
        self._begin()

    def _begin(self) -> None:
        self._seq = self._received_at_ns = 0
        self._told = {""}
        for lane in self._lanes:
            self._told.update(lane.begin(self._fleet.name, self._share))
        self._newest = self.in_force()
        self._opening = self._open()

    def in_force(self) -> str:
        """The version that most partitions have in force, of those that have any; else empty."""
        votes = Counter(lane.in_force for lane in self._lanes if lane.in_force)
        return votes.most_common(1)[0][0] if votes else ""

    # -- as a ledger

    def renew(self) -> bool:
        """Whether another stands in its place: never."""
        return False

    @property
    def last_seq(self) -> int:
        """The newest number that there would be if all were read, those that are left out counted."""
        left = sum(max(0, lane.reader.last_seq - lane.seq) + len(lane.heads) for lane in self._lanes)
        return self._seq + len(self._opening) + left

    @property
    def received_at_ns(self) -> int:
        """Of the newest input of all."""
        return max(lane.reader.received_at_ns for lane in self._lanes)

    def events(self, after_seq: int = 0) -> list[tuple[int, str, Event]]:  # noqa: ARG002
        """None that could be gone back to."""
        return []

    def replay(self, after_seq: int, *, most: int = 2000, upto_seq: int | None = None) -> Iterator[PastBatch]:  # noqa: ARG002
        """The next inputs, in batches; only from where the last ended, or, after 0, the end of the past again.

        Raises:
            Defect: Others are asked for.
            StorageError: A partition's ledger cannot be read.
        """
        if after_seq == 0:
            self._begin()
        if after_seq != self._seq:
            raise Defect(f"expected to be asked for what follows on {self._seq}, got {after_seq}")
        while inputs := self._next(most):
            first, self._seq = self._seq + 1, self._seq + len(inputs)
            yield PastBatch(first, inputs)

    def _next(self, most: int) -> list[Input]:
        taken, self._opening = self._opening, []
        while len(taken) < most:
            lanes = [lane for lane in self._lanes if lane.fill()]
            if not lanes:
                break
            lane = min(lanes, key=lambda lane: lane.heads[0].received_at_ns)
            seq, one = lane.take()
            if self._concerns(one, lane=lane, seq=seq):
                self._received_at_ns = max(self._received_at_ns, one.received_at_ns)
                taken.append(one._replace(received_at_ns=self._received_at_ns))
        return taken

    def _open(self) -> list[Input]:
        orders = [Order.configuring(self._fleet)]
        if self._newest:
            orders.append(Order(events.ModelInstalled("in_force", self._newest), self._fleet.name))
        return [order.stamped(1) for order in orders]

    def _concerns(self, one: Input, *, lane: _Lane, seq: int) -> bool:
        if one.kind is not Kind.EVENT:
            return one.kind is Kind.TIMER or (one.kind is Kind.READING and one.fleet == self._fleet.name)
        if one.fleet != self._fleet.name:
            return False
        version = _put_in_force(one.event)
        if version is None:
            return isinstance(one.event, events.StreamsReset)
        return seq > lane.known_seq and self._is_news(lane, version)

    def _is_news(self, lane: _Lane, version: str) -> bool:
        """Whether the learner hears that this lane now has that version in force."""
        lane.in_force = version
        if version == self._newest or (version in self._told and not self._most_have(version)):
            return False
        self._newest = version
        self._told.add(version)
        return True

    def _most_have(self, version: str) -> bool:
        """Whether more than half of those that ever had a version have this one."""
        have = [lane.in_force for lane in self._lanes if lane.in_force is not None]
        return 2 * have.count(version) > len(have)


def _put_in_force(event: Event | None) -> str | None:
    """The version in force from an event on, empty = persistence; `None` = that does not change."""
    if isinstance(event, events.ModelInstalled) and event.role == "in_force":
        return event.version
    return event.version if isinstance(event, events.ShadowPromoted) else None
