"""Deliberate faults, by name: each takes one promise out of the daemon, and the simulation (or chaos) must turn red.

`applied(name)` patches the product in this process for a while; `support.mutant_daemon` runs a daemon with one.
A mutant that comes through unseen means that nothing guards what it breaks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from anomaly.mutants import OF_ANOMALIES
from gaugecast import events
from gaugecast.align import gates
from gaugecast.batch import Inputs, Outputs
from gaugecast.forecast import expert, scaling
from gaugecast.loop import clock, core, lag, protocol, publisher
from gaugecast.loop.micro_batch import MicroBatch, RoundFacts
from gaugecast.mqtt.subscriber import Subscriber
from gaugecast.pipeline import arrivals, intake, parking, pipeline, state
from gaugecast.pipeline.step_memory import StepMemory
from gaugecast.records import Kind, Message, Output, Verdict
from gaugecast.storage.crash_note import CrashNote
from gaugecast.streams import snapshot

#: Replaces an attribute until the mutant is taken back.
Patch = Callable[[Any, str, Any], None]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault.

    Attributes:
        breaks: What it does, in words.
        apply: Patches it in.
        chaos: Whether kills of a real daemon on a real broker can show it.
        simulated: Whether stories show it.
    """

    breaks: str
    apply: Callable[[Patch], None]
    chaos: bool = False
    simulated: bool = True


@contextmanager
def applied(name: str, among: Mapping[str, Mutant] | None = None) -> Iterator[Mutant]:
    """The product with this fault, of `MUTANTS` if of no others, until the block ends."""
    undo: list[tuple[Any, str, Any]] = []

    def patch(owner: Any, attribute: str, value: Any) -> None:
        undo.append((owner, attribute, vars(owner)[attribute]))
        setattr(owner, attribute, value)

    mutant = (MUTANTS if among is None else among)[name]
    try:
        mutant.apply(patch)
        yield mutant
    finally:
        for owner, attribute, value in reversed(undo):
            setattr(owner, attribute, value)


def _ack_on_receipt(patch: Patch) -> None:
    poll = protocol.DataLoop._poll

    def eager(self: protocol.DataLoop, facts: RoundFacts) -> list[Message]:
        messages = poll(self, facts)
        self._link.subscriber.ack(messages)
        self._link.poll(0, 0.0)  # the acks leave now, not with the next poll, which comes after the commit
        return [message._replace(epoch=-1) for message in messages]  # not acked again after the commit

    patch(protocol.DataLoop, "_poll", eager)


def _ack_without_commit(patch: Patch) -> None:
    commit = protocol.DataLoop._commit

    def careless(self: protocol.DataLoop, batch: MicroBatch, facts: RoundFacts) -> None:
        before = self._held
        commit(self, batch, facts)
        if self._held is batch and before is None:
            self._link.subscriber.ack(batch.messages)
            batch.messages = ()

    patch(protocol.DataLoop, "_commit", careless)


def _no_dedupe(patch: Patch) -> None:
    judge = gates.judge

    def trusting(table: Any, fleet: Any, r: gates.Round) -> gates.Judged:
        judged = judge(table, fleet, r)
        refused = np.isin(judged.verdict, (Verdict.LATE, Verdict.DUPLICATE))
        closed = np.where(table["open"][r.slots], table["open_tick"][r.slots], table["tick"][r.slots] + 1)
        values = np.where(refused[:, None], r.values, judged.values)
        tick = np.where(refused, closed, judged.tick)
        return judged._replace(verdict=np.where(refused, gates.ACCEPTED, judged.verdict), values=values, tick=tick)

    patch(gates, "judge", trusting)


def _no_delivery_ring(patch: Patch) -> None:
    patch(intake.Deliveries, "seen", lambda *_: False)


def _publish_without_ledger(patch: Patch) -> None:
    commit = protocol.DataLoop._commit
    waiting: dict[int, list[Output]] = {}

    def forgetful(self: protocol.DataLoop, batch: MicroBatch, facts: RoundFacts) -> None:
        assert batch.outcome is not None
        queue = waiting.setdefault(id(self), [])
        queue += batch.outcome.outputs
        batch.outcome.outputs = Outputs()
        commit(self, batch, facts)
        while queue and self._link.sender.room(1) > 0:
            one = queue.pop(0)
            self._link.sender.publish(0, one.topic, one.body, one.qos, one.retain)

    patch(protocol.DataLoop, "_commit", forgetful)


def _no_epoch(patch: Patch) -> None:
    ack = Subscriber.ack

    def timeless(self: Subscriber, messages: Sequence[Message]) -> int:
        return ack(self, [message._replace(epoch=self.epoch) for message in messages])

    patch(Subscriber, "ack", timeless)
    from simulation.link import SimSubscriber

    patch(SimSubscriber, "may_ack", lambda *_: True)


def _nan_unguarded(patch: Patch) -> None:
    def bare(stats: Any, x: Any, previous: Any, recipe: Any) -> Any:
        s = scaling.scale(stats, recipe)
        return np.stack([(x - stats[..., 4]) / s, (x - previous) / s])

    def unchecked(self: expert.Expert, slots: Any, inputs: Any, state: Any) -> Any:
        y, after = self._rows_step(inputs, state)
        self.columns["state"][slots] = after
        return y

    patch(scaling, "_normalise", bare)
    patch(expert.Expert, "_forward", unchecked)


def _cursor_ahead(patch: Patch) -> None:
    settled: Any = publisher.Publisher.settled

    def boastful(self: publisher.Publisher) -> publisher.Settled:
        told: publisher.Settled = settled.fget(self)._replace(confirmed=self._tail)
        return told

    patch(publisher.Publisher, "settled", property(boastful))


def _cursor_stays(patch: Patch) -> None:
    patch(publisher.Publisher, "reset", lambda self, _ended=None: self.settle())


def _cursor_by_the_other_side(patch: Patch) -> None:
    note = protocol.DataLoop._note_connects

    def confused(self: protocol.DataLoop) -> None:
        connects = self._link.subscriber.take_connects()
        for connect in connects:
            self.publisher.reset(connect.ended)
            self._session_is_new |= not connect.session_present
        note(self)

    patch(protocol.DataLoop, "_note_connects", confused)


def _lag_always_holds(patch: Patch) -> None:
    def stubborn(self: lag.LagBound, _now_s: float) -> bool:
        return self._publisher.lag > self._most

    patch(lag.LagBound, "holds", stubborn)


def _one_side_is_both(patch: Patch) -> None:
    from simulation.link import SimSender

    patch(SimSender, "connected", property(lambda self: self._wire is not None and self._broker.wire is not None))


def _no_preserve(patch: Patch) -> None:
    patch(snapshot.Snapshot, "preserve", lambda *_: None)


def _step_again(patch: Patch) -> None:
    commit = protocol.DataLoop._commit

    def stepping(self: protocol.DataLoop, batch: MicroBatch, facts: RoundFacts) -> None:
        if self._held is batch:
            batch.outcome = self._pipeline.advance(batch.inputs)
        commit(self, batch, facts)

    patch(protocol.DataLoop, "_commit", stepping)


def _drop_held(patch: Patch) -> None:
    commit = protocol.DataLoop._commit

    def dropping(self: protocol.DataLoop, batch: MicroBatch, facts: RoundFacts) -> None:
        commit(self, batch, facts)
        self._held = None

    patch(protocol.DataLoop, "_commit", dropping)


def _timer_first(patch: Patch) -> None:
    gather = protocol.DataLoop._gather

    def impatient(self: protocol.DataLoop, facts: RoundFacts) -> MicroBatch:
        batch = gather(self, facts)
        timers = [one for one in batch.inputs if one.kind == Kind.TIMER]
        batch.inputs = Inputs.of(timers + [one for one in batch.inputs if one.kind != Kind.TIMER])
        return batch

    patch(protocol.DataLoop, "_gather", impatient)


def _decoder_at_once(patch: Patch) -> None:
    reconfigure = core.Core.reconfigure

    def hasty(self: core.Core, setup: core.Setup, **more: Any) -> None:
        reconfigure(self, setup, **more)
        self.loop.read_by(self._ports.new_decoder(setup.fleets, setup.loop), setup.fleets)

    patch(core.Core, "reconfigure", hasty)


def _steps_forgotten(patch: Patch) -> None:
    unpark = parking.unpark

    def forgetting(part: Any, stream: str, state: bytes, memory: StepMemory) -> None:
        unpark(part, stream, state, memory)
        part.table["step"][part.table.slots[stream]] = 0

    patch(parking, "unpark", forgetting)


def _absent_steps_forgotten(patch: Patch) -> None:
    patch(StepMemory, "come_back", lambda self, fleet, stream, *, parked=0: parked)


def _retired_steps_forgotten(patch: Patch) -> None:
    take = pipeline.Pipeline._take_fleet_event

    def forgetting(self: pipeline.Pipeline, part: Any, one: Any, event: Any, *more: Any) -> None:
        if isinstance(event, events.FleetRetired):
            event = events.FleetRetired()
        take(self, part, one, event, *more)

    patch(pipeline.Pipeline, "_take_fleet_event", forgetting)


def _steps_not_in_checkpoint(patch: Patch) -> None:
    patch(StepMemory, "restore", lambda self, text: None)


def _lineage_not_in_checkpoint(patch: Patch) -> None:
    restore = state._restore

    def forgetting(one: Any, header: dict[str, Any], slices: Any) -> None:
        restore(one, {**header, "lineage": ""}, slices)

    patch(state, "_restore", forgetting)


def _clock_never_back(patch: Patch) -> None:
    patch(clock.ArrivalClock, "_corrected", lambda self, expected: max(expected, self._wall()))


def _clock_follows_all(patch: Patch) -> None:
    patch(clock.ArrivalClock, "_corrected", lambda self, expected: self._wall())


def _clock_owes_nothing(patch: Patch) -> None:
    patch(
        clock.Past,
        "of",
        classmethod(lambda cls, ledger, ahead_ns: cls(clock._stamp_after(ledger, ledger.last_seq - 1))),
    )


def _ages_not_shifted(patch: Patch) -> None:
    patch(arrivals, "shift_arrivals", lambda *_, **__: None)


def _unsaid_not_in_checkpoint(patch: Patch) -> None:
    restore = state._restore_slice

    def forgetting(one: Any, name: str, start: int, rows: Any) -> None:
        if name.split("/")[1] not in ("hold", "room"):
            restore(one, name, start, rows)

    patch(state, "_restore_slice", forgetting)


def _hearing_not_in_ledger(patch: Patch) -> None:
    advance = protocol.DataLoop._advance

    def heard(self: protocol.DataLoop, batch: MicroBatch, facts: RoundFacts) -> None:
        advance(self, batch, facts)
        batch.inputs = Inputs.of([one._replace(key=0) if one.kind == Kind.TIMER else one for one in batch.inputs])

    patch(protocol.DataLoop, "_advance", heard)


def _no_token_check(patch: Patch) -> None:
    from gaugecast.cluster.postgres import fence  # psycopg, which the base install lacks

    patch(fence, "check", lambda *_: None)


def _kills_blamed(patch: Patch) -> None:
    patch(CrashNote, "blamed", property(lambda _: True))


MUTANTS: dict[str, Mutant] = {
    "ack_on_receipt": Mutant("messages are acked before they are durable", _ack_on_receipt, chaos=True),
    "ack_without_commit": Mutant("messages are acked although their commit failed", _ack_without_commit),
    "no_dedupe": Mutant("readings that came before are taken again", _no_dedupe, chaos=True),
    "no_delivery_ring": Mutant("redelivered payloads without time or number are taken again", _no_delivery_ring),
    "publish_without_ledger": Mutant("forecasts are sent and not kept", _publish_without_ledger, chaos=True),
    "no_epoch": Mutant("acks go to whatever connection there is", _no_epoch, chaos=True, simulated=False),
    "nan_unguarded": Mutant("absurd values reach the states", _nan_unguarded),
    "cursor_ahead": Mutant("the confirmed position is that of what was handed over", _cursor_ahead, chaos=True),
    "cursor_stays": Mutant("a reconnect does not send unconfirmed forecasts again", _cursor_stays),
    "cursor_by_the_other_side": Mutant(
        "a reconnect of the side that subscribes sends forecasts again", _cursor_by_the_other_side
    ),
    "lag_always_holds": Mutant("a broker that takes nothing stops the reading for ever", _lag_always_holds),
    "one_side_is_both": Mutant("nothing is published while the side that subscribes is away", _one_side_is_both),
    "no_preserve": Mutant("a checkpoint has rows of different moments", _no_preserve, chaos=True),
    "step_again": Mutant("a failed commit is stepped once more", _step_again),
    "drop_held": Mutant("a batch whose commit failed is forgotten", _drop_held),
    "timer_first": Mutant("a stream is parked under the reading that ends its silence", _timer_first),
    "decoder_at_once": Mutant("a reload reads by the new file what is stepped by the old", _decoder_at_once),
    "steps_forgotten": Mutant("a parked stream counts from the beginning again", _steps_forgotten),
    "absent_steps_forgotten": Mutant("a stream that was away for long begins at 1 again", _absent_steps_forgotten),
    "retired_steps_forgotten": Mutant("a fleet that comes back begins at 1 again", _retired_steps_forgotten),
    "lineage_not_in_checkpoint": Mutant("a restart forgets the lineage", _lineage_not_in_checkpoint),
    "steps_not_in_checkpoint": Mutant("a restart forgets where absent streams were", _steps_not_in_checkpoint),
    "clock_never_back": Mutant("a clock that was once ahead stays ahead", _clock_never_back),
    "clock_follows_all": Mutant("a clock that is set back is followed, however wrong", _clock_follows_all),
    "clock_owes_nothing": Mutant("a restart forgets that the clock was set forward", _clock_owes_nothing),
    "unsaid_not_in_checkpoint": Mutant("a restart forgets what holds and what waits", _unsaid_not_in_checkpoint),
    "hearing_not_in_ledger": Mutant("a replay does not know that we were listening", _hearing_not_in_ledger),
    "kills_blamed": Mutant("a message that kills find under way is poison", _kills_blamed, chaos=True, simulated=False),
    "no_token_check": Mutant("a process that was replaced goes on writing", _no_token_check, simulated=False),
    "ages_not_shifted": Mutant("a clock that is set makes streams look silent", _ages_not_shifted),
    **{name: Mutant(breaks, apply, simulated=simulated) for name, (breaks, apply, simulated) in OF_ANOMALIES.items()},
}
