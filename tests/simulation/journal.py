"""What is durable, kept beside the ledger by the simulation itself, and the invariants that hang on it."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from gaugecast.events import FleetRetired
from gaugecast.ledger.reader import LedgerReader
from gaugecast.ledger.rows import Committed, StoredOutput
from gaugecast.ledger.store import Ledger
from gaugecast.payloads import Decoder
from gaugecast.records import Commit, Input, Kind, Message, Output, Verdict
from gaugecast.testing import Clock
from simulation.fleets import ALL, SECOND, T0
from simulation.notices import CLEARED, Events
from simulation.points import Violation

_PARK_AFTER_NS = {fleet.name: fleet.park_after_ns for fleet in ALL}

Identity = tuple[str, str, int, bytes]
#: Fleet, stream, step, and what else than a forecast it is.
Name = tuple[str, str, int, str]


class Kept(NamedTuple):
    """An output that is durable.

    Attributes:
        seq: The input that made it.
        what: Of a notice what it says, else empty.
    """

    position: int
    seq: int
    fleet: str
    stream: str
    step: int
    body: bytes
    what: str

    @property
    def name(self) -> Name:
        """Names it for ever."""
        return self.fleet, self.stream, self.step, self.what


def _what(forecast: bytes, body: bytes) -> str:
    if forecast:
        return ""
    return str(msgspec.json.decode(body)["event"]) if body else CLEARED


def _kept(position: int, seq: int, one: Output | StoredOutput, body: bytes) -> Kept:
    return Kept(position, seq, one.fleet, one.stream, one.step, body, _what(one.forecast, body))


def identity_of(one: Input) -> Identity:
    """What tells one reading from all others: sensors here never repeat a value under the same key."""
    return (one.fleet, one.stream, one.key, one.values)


def _nameless(identity: Identity) -> tuple[object, ...]:
    """The same under each configuration that its fleet has had, with more features or fewer."""
    fleet, stream, key, values = identity
    said = [(place, value) for place, (value,) in enumerate(struct.iter_unpack("<d", values)) if value == value]
    return fleet, stream, key, tuple(said)


class Journal:
    """Lives through crashes; at each recovery it is held against the ledger."""

    def __init__(self) -> None:
        self.inputs: list[Input] = []
        self.verdicts: list[int] = []
        self.outputs: list[Kept] = []
        self.by_step: dict[Name, Kept] = {}
        self.events = Events()
        self.verdict_of: dict[Identity, int] = {}
        self._durable: set[tuple[object, ...]] = set()
        self.rejects = 0
        self.parked: set[tuple[str, str]] = set()
        self.spoke_at_ns: dict[tuple[str, str], int] = {}  # elapsed time
        self.newest_at_ns: int | None = None  # elapsed time of the last commit with inputs
        self.heard_since_commit = 0
        self.decoder: Decoder | None = None
        self.confirmed = 0
        self._acked_rejects: set[tuple[int, int]] = set()

    # -- what a commit made durable

    def note(self, inputs: Sequence[Input], verdicts: Sequence[int], outputs: Sequence[Kept]) -> None:
        """These rows are durable from now on."""
        self.inputs += inputs
        self.verdicts += [int(v) for v in verdicts]
        for one, verdict in zip(inputs, verdicts, strict=True):
            if one.kind == Kind.READING:
                self._note_reading(one, verdict)
            elif one.kind == Kind.REJECT:
                self.rejects += 1
            elif isinstance(one.event, FleetRetired):  # with its streams it is forgotten what they have taken
                self.verdict_of = {name: v for name, v in self.verdict_of.items() if name[0] != one.fleet}
        for output in outputs:
            if output.name in self.by_step:
                raise Violation(f"I2: {output.name} was made twice")
            self.by_step[output.name] = output
            self.outputs.append(output)
            if output.what:
                self.events.note(output, by_a_reading=self.inputs[output.seq - 1].kind == Kind.READING)

    def _note_reading(self, one: Input, verdict: int) -> None:
        identity = identity_of(one)
        accepted = (Verdict.STEPPED, Verdict.HELD)
        before = self.verdict_of.get(identity)
        if before in accepted:
            if verdict in accepted:
                raise Violation(f"I2: {identity} was taken twice")
            return
        self.verdict_of[identity] = verdict
        self._durable.add(_nameless(identity))

    def catch_up(self, ledger: Ledger) -> None:
        """After a crash: nothing that was durable is gone, and what a commit wrote at the last moment is noted."""
        known = len(self.inputs)
        if ledger.last_seq < known:
            raise Violation(f"I1: {known} inputs were durable, the ledger has {ledger.last_seq}")
        for batch in ledger.replay(known):
            inputs, verdicts = batch.inputs, batch.verdicts
            end = batch.first_seq + len(inputs) - 1
            rows = ledger.outputs(batch.first_seq - 1, end)
            self.note(inputs, verdicts, [_kept(o.position, o.seq, o, o.body or b"") for o in rows])
        if ledger.last_position != len(self.outputs):
            raise Violation(f"I3: {len(self.outputs)} outputs were durable, the ledger has {ledger.last_position}")
        self.check_confirmed(ledger.confirmed)

    def go_back(self, ledger: LedgerReader) -> None:
        """A backup was put in place of the ledger: what is not in it was never said."""
        inputs, verdicts, outputs = self.inputs, self.verdicts, self.outputs
        acked, parked = self._acked_rejects, self.parked
        decoder = self.decoder
        self.__init__()  # type: ignore[misc]
        self.decoder, self._acked_rejects, self.parked = decoder, acked, parked
        kept = outputs[: ledger.last_position]
        self.note(inputs[: ledger.last_seq], verdicts[: ledger.last_seq], kept)
        self._acked_rejects = set(list(acked)[: self.rejects])
        self.confirmed = ledger.confirmed

    def knows(self, name: Name, body: bytes) -> bool:
        """Whether this body is durable under its name."""
        kept = self.by_step.get(name)
        return kept is not None and kept.body == body

    # -- the invariants

    def expected(self, topic: str, payload: bytes) -> Sequence[Input]:
        """What a message says, by the real decoder."""
        assert self.decoder is not None
        return self.decoder.decode([Message(topic, payload, 1, False, False, 1, 1)], T0 + 3600 * SECOND).inputs

    def has(self, topic: str, payload: bytes) -> list[bool]:
        """For each reading of a message whether it is durable; rejects have no names and are left out."""
        readings = [one for one in self.expected(topic, payload) if one.kind == Kind.READING]
        return [_nameless(identity_of(one)) in self._durable for one in readings]

    def check_acked(self, topic: str, payload: bytes, serial: int) -> None:
        """I1: what was acked is durable, whole."""
        if not all(self.has(topic, payload)):
            raise Violation(f"I1: message {serial} on {topic} was acked and is not durable")
        rejected = [i for i, one in enumerate(self.expected(topic, payload)) if one.kind == Kind.REJECT]
        self._acked_rejects |= {(serial, place) for place in rejected}
        if len(self._acked_rejects) > self.rejects:
            raise Violation(f"I1: {len(self._acked_rejects)} rejects were acked, {self.rejects} are durable")

    def check_published(self, name: Name, body: bytes) -> None:
        """I3: nothing is said that is not durable; I7: and it is said in the very bytes."""
        kept = self.by_step.get(name)
        if kept is None:
            raise Violation(f"I3: {name} was published and is not durable")
        if kept.body != body:
            raise Violation(f"I7: {name} was published in other bytes than are durable")

    def forget(self, fleet: str, stream: str) -> None:
        """A stream's parked state was let go of, and with it what it had taken; what it has said stays."""
        self.parked.discard((fleet, stream))
        self.verdict_of = {name: v for name, v in self.verdict_of.items() if name[:2] != (fleet, stream)}

    def check_parked(self, commit: Commit, elapsed_ns: int) -> None:
        """I9: silence is time that passed, whatever was done to the clock."""
        self.parked -= set(commit.unparked)
        self.parked |= {(one.fleet, one.stream) for one in commit.parked}
        for one in commit.parked:
            silent_ns = elapsed_ns - self.spoke_at_ns.get((one.fleet, one.stream), -(1 << 62))
            if silent_ns < _PARK_AFTER_NS[one.fleet] - 5 * SECOND:
                raise Violation(f"I9: {one.fleet}/{one.stream} was parked after {silent_ns / 1e9:.1f} s of silence")
        for reading, verdict in zip(commit.inputs, commit.verdicts, strict=True):
            if reading.kind == Kind.READING and verdict in (Verdict.STEPPED, Verdict.HELD):
                self.spoke_at_ns[reading.fleet, reading.stream] = elapsed_ns
        if commit.inputs:
            self.newest_at_ns = elapsed_ns

    def unexplained_ns(self, clock: Clock) -> int:
        """How far the wall clock lies from the newest stamp, beside the time that has passed."""
        if self.newest_at_ns is None:
            return 0
        return clock.wall() - self.inputs[-1].received_at_ns - (clock.elapsed_ns - self.newest_at_ns)

    def check_confirmed(self, confirmed: int) -> None:
        """Remember how far the ledger says that consumers have been served; `Story` holds it against the broker."""
        if confirmed < self.confirmed:
            raise Violation(f"I3: the confirmed position went back from {self.confirmed} to {confirmed}")
        self.confirmed = confirmed

    def counts(self) -> Counter[int]:
        """How often each verdict was given."""
        return Counter(self.verdicts)


class JournaledLedger(Ledger):
    """The real ledger; what it makes durable is noted."""

    journal: Journal
    clock: Clock
    _tried: tuple[Sequence[Input], int] = ((), 0)

    def commit(self, commit: Commit) -> Committed:
        """As `Ledger.commit`."""
        if commit.inputs is not self._tried[0]:  # a batch that waits for room was taken when it was first tried
            self._tried = (commit.inputs, self.clock.elapsed_ns)
        committed = super().commit(commit)
        kept = [
            _kept(position, committed.first_seq + o.cause, o, o.body)
            for position, o in enumerate(commit.outputs, committed.first_position)
        ]
        self.journal.check_parked(commit, self._tried[1])
        self.journal.note(commit.inputs, commit.verdicts, kept)
        self.journal.heard_since_commit = 0
        self.journal.check_confirmed(self.confirmed)
        return committed

    def prune(self, floor_seq: int) -> int:
        """As `Ledger.prune`."""
        try:
            return super().prune(floor_seq)
        finally:  # the process may die just after it
            for fleet, stream in sorted(self.journal.parked):
                if self.parked_state(fleet, stream) is None:
                    self.journal.forget(fleet, stream)
