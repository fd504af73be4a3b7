"""The commit protocol: poll → decode → advance → COMMIT → ack, publish. One thread, one batch at a time.

The order is the promise. A reading is acked only when it and all that was made of it are durable; a forecast is
published only then, too. After a crash the broker sends again what was not acked, the gate in `advance` refuses
what was taken already, and the ledger still has what was not confirmed.

A commit that fails for want of space is tried again with the same rows: the states have been stepped, so other
rows would be a lie. Until it succeeds nothing is read, nothing acked, and the connection kept alive.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TypeVar

from gaugecast import events
from gaugecast.batch import Inputs
from gaugecast.config.schema import Loop
from gaugecast.errors import Defect, StorageBusy, StorageError, StorageFull
from gaugecast.fleet import Fleet
from gaugecast.loop.asides import Asides
from gaugecast.loop.backlog import Backlog
from gaugecast.loop.clock import ArrivalClock
from gaugecast.loop.cutting import end_of_batch
from gaugecast.loop.hearing import Hearing
from gaugecast.loop.lag import LagBound
from gaugecast.loop.micro_batch import BatchBound, MicroBatch, RoundFacts
from gaugecast.loop.parked import orders_to_unpark
from gaugecast.loop.poison_guard import PoisonGuard
from gaugecast.loop.ports import Decodes, LoopLedger, LoopLink
from gaugecast.loop.publisher import Publisher
from gaugecast.pipeline import Outcome, Pipeline
from gaugecast.records import Input, Message, Order

_T = TypeVar("_T")

_IDLE_S = 0.25
#: With a window of 20 (mosquitto's default) a round would publish 20: so one round waits for PUBACKs, but not long.
_PUMP_S, _PUMP_WAIT_S = 0.02, 0.002
_RETRY_S = 0.05
#: An idle loop notes confirmations in the ledger after so long.
_SETTLE_S = 1.0
#: Or as soon as there are so many: after a kill they would all be sent again.
_SETTLE_COUNT = 500


class DataLoop:
    """Owned by the one thread that calls `turn`; so are the pipeline, the ledger and the link.

    Args:
        decoder: Reads messages until `read_by` names another.
        guard: Takes care of messages that were under way when a process died.
        orders: Asked once a round, before messages are decoded, for what people, the learner or a new configuration
            ordered; it may put another decoder in place, so that both change between the same two readings.
        ordered: Whether orders wait: then no message is waited for.
        monotonic: Seconds.
        alive: Told between the parts of a long round that it gets on.

    Attributes:
        degraded: Why the loop works with less than it should; of `status.DEGRADED_REASONS`.
        asides: What others say that is no reading.
        received, not_ours: Readings (or whole rejected messages) decoded in this process, by fleet; `""` = none known.
    """

    def __init__(
        self,
        *,
        link: LoopLink,
        ledger: LoopLedger,
        pipeline: Pipeline,
        decoder: Decodes,
        clock: ArrivalClock,
        settings: Loop,
        guard: PoisonGuard,
        orders: Callable[[], list[Order]] = list,
        ordered: Callable[[], bool] = lambda: False,
        monotonic: Callable[[], float] = time.monotonic,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self.publisher = Publisher(link.sender, ledger)
        self.degraded: set[str] = set()
        self.received, self.not_ours = Counter[str](), Counter[str]()
        self.asides = Asides()
        self._link, self._ledger, self._pipeline, self._decoder = link, ledger, pipeline, decoder
        self._clock, self._settings, self._monotonic = clock, settings, monotonic
        self._orders, self._ordered = orders, ordered
        self._guard, self._backlog, self._bound = guard, Backlog(guard, settings), BatchBound(settings.batch_readings)
        self._lag = LagBound(self.publisher, link.sender, most=settings.max_lag)
        self._alive = alive
        self._hearing = Hearing(monotonic)
        self._held: MicroBatch | None = None
        self._crowd = 0  # messages in the last batch
        self._session_is_new = False  # and no event has said so yet
        self._settled_at_s = monotonic()

    def read_by(self, decoder: Decodes, fleets: Iterable[Fleet]) -> None:
        """Decode by this from the next message on, for these fleets. Only from within `orders`."""
        self._decoder = decoder
        self.asides.listen_for(fleets)

    # -- one round

    def turn(self) -> RoundFacts:
        """One round of the loop; returns what it did."""
        facts = RoundFacts()
        if self._held is not None:
            self._link.poll(0, _RETRY_S)
            self._hearing.interrupt()
            self._note_connects()
            self._commit(self._held, facts)
        else:
            batch = self._gather(facts)
            if batch.inputs or batch.messages:
                self._advance(batch, facts)
                self._commit(batch, facts)
            else:
                self._settle_idle(facts)
        self._publish(facts)
        return facts

    def _gather(self, facts: RoundFacts) -> MicroBatch:
        """Whatever is to be taken now: events, messages, the timer, in this order.

        The timer comes last, behind what waits, too: a stream that speaks again just when it would be parked must not
        be parked under its reading, which would then begin it anew.
        """
        messages = self._poll(facts)
        now_ns = self._clock.stamp()
        self._note_connects()
        orders = self._events()
        inputs = Inputs.of([order.stamped(now_ns) for order in orders])
        most = self._bound.readings
        decoded = self._timed("decode", facts, lambda: self._guard.decode(self._decoder, messages, now_ns, most))
        messages = messages[: decoded.messages]
        self._backlog.drop(len(messages))
        for topic, body in decoded.asks:
            self._link.sender.ask(topic, body)
        facts.messages = len(messages)
        self.received.update(decoded.inputs.fleet)
        for counted in (self.received, self.not_ours):
            counted.update(decoded.not_ours)
        unparked = orders_to_unpark(
            decoded.inputs, self._ledger, self._pipeline, most_streams=self._settings.max_streams, bide=self._bide
        )
        inputs.extend([order.stamped(now_ns) for order in unparked])
        inputs.extend(decoded.inputs)
        listening = self._hearing.listening(self._link.subscriber)
        if not self._backlog and self._pipeline.due(now_ns, listening=listening):
            inputs.append(Input.timer(now_ns, listening=listening))
        inputs.extend(end_of_batch(inputs, self._pipeline, now_ns, first_seq=self._ledger.last_seq + 1))
        names = [(o.fleet, o.stream) for o in (*orders, *unparked) if isinstance(o.event, events.ENDS_OF_PARKING)]
        arrived_s = self._backlog.arrived_s if messages else self._monotonic()
        return MicroBatch(messages, inputs, decoded.refused, names, arrived_s)

    def _bide(self) -> None:
        """The ledger is away in the midst of a round: the links are kept."""
        self._alive()
        self._link.poll(0, _RETRY_S)

    def _events(self) -> list[Order]:
        """Events that came about since the last round, in the order in which they are taken."""
        made: list[Order] = []
        if self._clock.stepped_ns:  # first: all rows before it are of the old time, all from it on of the new
            made.append(Order(events.ClockStepped(self._clock.stepped_ns, ticks=True)))
        if self._session_is_new:
            self._session_is_new = False
            made.append(Order(events.SessionLost()))
        return made + self._orders()

    def _poll(self, facts: RoundFacts) -> list[Message]:
        """What may be decoded now; polled for only if nothing waits from the last poll."""
        most = self._most()
        if self._backlog:
            self._link.poll(0, 0.0 if most else _RETRY_S)
        else:
            self._fill(most, facts)
        messages = self._backlog.first() if most else []
        self._mark("quarantine", self._guard.suspicious)
        return messages

    def _fill(self, most: int, facts: RoundFacts) -> None:
        due_s = max(0.0, (self._pipeline.look_again_ns - self._clock.latest) / 1e9)
        wait_s = 0.0 if self._ordered() else min(_IDLE_S, due_s)
        messages = self._timed("poll", facts, lambda: self._link.poll(most, wait_s, self._linger_s()))
        if len(messages) >= most:
            self._hearing.interrupt()
        messages = self.asides.take_out(messages)
        self._crowd = len(messages)
        self._backlog.add(messages, self._monotonic())

    def _linger_s(self) -> float:
        """How long to wait for more once a message is there: one that comes alone for nothing but the disk's sake."""
        fill_s = self._settings.batch_ms / 1e3 if self._crowd > 1 else 0.0
        rest_s = self._settings.commit_ms / 1e3 - (self._monotonic() - self._settled_at_s)
        return max(fill_s, rest_s)

    def _most(self) -> int:
        """How many messages to take now: none while too many forecasts wait for a broker that confirms some."""
        held = self._lag.holds(self._monotonic())
        if held:
            self._hearing.interrupt()
        self._mark("lag", self._lag.lagging)
        return 0 if held else self._backlog.room

    def _advance(self, batch: MicroBatch, facts: RoundFacts) -> None:
        with self._guard.blaming():
            batch.outcome = self._timed("advance", facts, lambda: self._advance_in_parts(batch.inputs))
        self._bound.note(batch.outcome.outputs, len(batch.inputs))
        self._add_found(batch)
        self._guard.survived(batch.messages)
        facts.inputs = batch.inputs

    def _add_found(self, batch: MicroBatch) -> None:
        """Let what was found go into the ledger with what it was found in: events that change nothing."""
        outcome = batch.outcome
        if outcome is not None and outcome.orders:
            found = Inputs.of([order.stamped(batch.inputs.received_at_ns[-1]) for order in outcome.orders])
            outcome.extend(self._pipeline.advance(found))
            batch.inputs.extend(found)

    def _advance_in_parts(self, inputs: Inputs) -> Outcome:
        """`advance`; a message is whole, however long, so between two parts of it we show that we live.

        Ten thousand readings of one stream are as many steps one after the other: seconds, or half a minute where
        the machine is slow.
        """
        most = self._settings.batch_readings
        outcome = self._pipeline.advance(inputs[:most])
        for begin in range(most, len(inputs), most):
            self._alive()
            self._link.poll(0, 0.0)
            outcome.extend(self._pipeline.advance(inputs[begin : begin + most]))
        return outcome

    def _commit(self, batch: MicroBatch, facts: RoundFacts) -> None:
        """COMMIT, then ack, then hand the outputs over. Keeps the batch where there is no room for it now."""
        outcome = batch.outcome
        assert outcome is not None
        settled = self.publisher.settled
        began = self._monotonic()
        try:
            committed = self._ledger.commit(batch.to_commit(settled))
        except (StorageFull, StorageBusy) as exc:
            self._held = batch
            self._mark_storage(exc)
            return
        except Defect:
            self._guard.note_batch(batch.messages)  # rows that cannot be stored must not come for ever
            raise
        self._mark_storage(None)
        facts.commit_s = facts.stage_s["commit"] = self._monotonic() - began
        self._settled_at_s, self._held = self._monotonic(), None
        self.publisher.forget_settled(settled)
        self._link.subscriber.ack(batch.messages)
        self.publisher.extend(committed.first_position, outcome.outputs, batch.arrived_s)

    def _publish(self, facts: RoundFacts) -> None:
        """Hand over what there is room for; while the window is what holds it up, exchange acks for publishes."""
        began = now = self._monotonic()
        facts.latencies_s = self.publisher.pump(now)
        while self.publisher.waiting and self._link.sender.connected and now - began < _PUMP_S:
            self._link.poll(0, _PUMP_WAIT_S)
            self._note_connects()
            now = self._monotonic()
            facts.latencies_s += self.publisher.pump(now)
        self.publisher.retry(began)
        facts.stage_s["publish"] = self._monotonic() - began

    def _settle_idle(self, facts: RoundFacts) -> None:
        """Note confirmations although nothing came, so that a quiet daemon repeats nothing when it comes back."""
        if not self.publisher.unsettled:
            return
        many = self.publisher.confirmed - self._ledger.confirmed >= _SETTLE_COUNT
        if many or self._monotonic() - self._settled_at_s >= _SETTLE_S:
            empty = MicroBatch((), Inputs(), [], [], 0.0, outcome=Outcome([]))
            self._commit(empty, facts)

    @property
    def holding(self) -> bool:
        """Whether a batch waits for room: its states are stepped, its rows not durable."""
        return self._held is not None

    def drain(self) -> None:
        """Take nothing more; publish what is durable. Called in a row until all is confirmed."""
        self._link.poll(0, _RETRY_S)
        self._note_connects()
        if self._held is not None:
            self._commit(self._held, RoundFacts())
        else:
            self._settle_idle(RoundFacts())
        self.publisher.pump(self._monotonic())

    def settle(self) -> None:
        """Note all confirmations now, before the process ends."""
        if self._held is None:
            self._settled_at_s = float("-inf")
            self._settle_idle(RoundFacts())

    # -- what comes beside the readings

    def _note_connects(self) -> None:
        """What was not confirmed is published again on a new connection; a lost session is told by an event."""
        for connect in self._link.sender.take_connects():
            self.publisher.reset(connect.ended)
        for connect in self._link.subscriber.take_connects():
            self._session_is_new |= not connect.session_present
            self._hearing.interrupt()

    def _mark(self, reason: str, holds: bool) -> None:
        if holds:
            self.degraded.add(reason)
        else:
            self.degraded.discard(reason)

    def _mark_storage(self, failure: StorageError | None) -> None:
        self._mark("storage_full", isinstance(failure, StorageFull))
        self._mark("storage_busy", isinstance(failure, StorageBusy))

    def _timed(self, stage: str, facts: RoundFacts, work: Callable[[], _T]) -> _T:
        began = self._monotonic()
        result = work()
        facts.stage_s[stage] = self._monotonic() - began
        return result
