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
    """

    reader: LedgerHistory
    seq: int = 0
    heads: deque[Input] = field(default_factory=deque)

    def fill(self) -> bool:
        """Read on where nothing waits; whether anything does."""
        if not self.heads:
            batch = next(iter(self.reader.replay(self.seq, most=_READ)), None)
            if batch is not None:
                self.seq = batch.first_seq + len(batch.inputs) - 1
                self.heads.extend(batch.inputs)
        return bool(self.heads)


class FleetPast:
    """As a ledger is read by a learner (`LedgerHistory`); what it gives it numbers itself, from 1, and gives once.

    It begins with the fleet's configuration and the weights that most partitions have in force. Of each partition
    come readings and timers, and of its events those that a learner goes by: a version in force is told of once, by the
    partition that has it first. A rollback of one partition is no news for the others. Time never goes back: what a
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

    def offer_beginning(self) -> None:
        """Whoever now asks for what follows on 0 gets the end of the past again; whoever goes on just goes on."""
        self._offered = True

    def _begin(self) -> None:
        for lane in self._lanes:
            lane.heads.clear()
            lane.seq = self._start_of(lane)
        self._seq = self._received_at_ns = 0
        self._offered = False
        self._told: set[str] = set()
        self._opening = self._open()

    def _start_of(self, lane: _Lane) -> int:
        return max(lane.reader.first_seq - 1, lane.reader.last_seq - self._share, 0)

    def in_force(self) -> str:
        """The version that most partitions have in force, of those that have any; else empty."""
        found = (_in_force(lane.reader.events(), self._fleet.name) for lane in self._lanes)
        votes = Counter(version for version in found if version)
        return votes.most_common(1)[0][0] if votes else ""

    # -- as a ledger

    def renew(self) -> bool:
        """Whether another stands in its place: never."""
        return False

    @property
    def last_seq(self) -> int:
        """The newest number that there would be if all were read, those that are left out counted."""
        if self._offered:
            return sum(lane.reader.last_seq - self._start_of(lane) for lane in self._lanes)
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
        """The next inputs, in batches; only from where the last ended.

        Raises:
            Defect: Others are asked for.
            StorageError: A partition's ledger cannot be read.
        """
        if self._offered and after_seq == 0:
            self._begin()
        self._offered = False
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
            one = min(lanes, key=lambda lane: lane.heads[0].received_at_ns).heads.popleft()
            if self._concerns(one):
                self._received_at_ns = max(self._received_at_ns, one.received_at_ns)
                taken.append(one._replace(received_at_ns=self._received_at_ns))
        return taken

    def _open(self) -> list[Input]:
        version = self.in_force()
        orders = [Order.configuring(self._fleet)]
        if version:
            self._told.add(version)
            orders.append(Order(events.ModelInstalled("in_force", version), self._fleet.name))
        return [order.stamped(1) for order in orders]

    def _concerns(self, one: Input) -> bool:
        if one.kind is not Kind.EVENT:
            return one.kind is Kind.TIMER or (one.kind is Kind.READING and one.fleet == self._fleet.name)
        if one.fleet != self._fleet.name:
            return False
        version = _put_in_force(one.event)
        if version in self._told or (not version and not isinstance(one.event, events.StreamsReset)):
            return False
        self._told.add(version)
        self._told.discard("")
        return True


def _put_in_force(event: Event | None) -> str:
    """The version that an event puts in force, other than by going back to it; else empty."""
    if isinstance(event, events.ShadowPromoted):
        return event.version
    if isinstance(event, events.ModelInstalled) and event.role == "in_force" and event.reason != events.ROLLBACK:
        return event.version
    return ""


def _in_force(told: Sequence[tuple[int, str, Event]], fleet: str) -> str:
    """The version in force after these events; empty = persistence."""
    version = ""
    for _, name, event in told:
        installed = isinstance(event, events.ModelInstalled) and event.role == "in_force"
        if name == fleet and (installed or isinstance(event, events.ShadowPromoted)):
            version = getattr(event, "version", "")
    return version
