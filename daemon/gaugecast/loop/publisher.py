"""Publishing is one cursor over the ledger's outputs, in order; a connection that breaks sends it back."""

from __future__ import annotations

from typing import NamedTuple

from gaugecast.batch import Outputs
from gaugecast.loop.hang_up_guard import HANG_UP_S, REASON, HangUpGuard
from gaugecast.loop.ports import Ended, Outbox, PublishLink
from gaugecast.loop.send_queue import Run, SendQueue

#: Outputs kept in memory between the ledger and the broker; the rest is read from the ledger when its turn comes.
MEMORY, MEMORY_BYTES = 20_000, 16 << 20
#: Refused outputs are tried again after so long, doubling up to the second.
RETRY_S, RETRY_MAX_S = 30.0, 600.0
#: One at which the broker hung up is tried again after so long, alone: it may cost the connection.
TRIAL_S = 3600.0
#: A broker that takes some and refuses others is mute only after so long without one that it took.
SILENT_S = 5.0
_CHUNK = 2000


class Settled(NamedTuple):
    """What the next commit notes of publishing."""

    confirmed: int
    refused: tuple[tuple[int, str], ...]
    redelivered: tuple[int, ...]


class Publisher:
    """Owned by the loop's thread.

    Attributes:
        confirmed: All outputs up to this position are delivered or given up.
        refused_total: Publishes that the broker refused, those at which it hung up included.
        mute: Topic and reason of a refusal, where the broker has taken nothing since, and nothing for `SILENT_S`.
    """

    def __init__(self, link: PublishLink, outbox: Outbox) -> None:
        self._link, self._outbox = link, outbox
        self.confirmed = outbox.confirmed
        self.refused_total = 0
        self.mute: str | None = None
        self._refusal: str | None = None  # as `mute`, at once
        self._taken = 0  # newest position that was confirmed
        self._taken_at_s, self._took = float("-inf"), False  # when one was last confirmed; or just now
        self._guard = HangUpGuard()
        self._tail = self.confirmed  # newest position that is queued or was handed over
        self._queue = SendQueue()
        self._done: set[int] = set()  # confirmed ahead of their turn
        self._refused: list[tuple[int, str]] = []
        self._redelivered: list[int] = []
        self._retrying: dict[int, str] = {}  # position → topic
        self._retry_at_s, self._retry_s = 0.0, RETRY_S
        self._retried = 0  # position up to which the table was offered in this pass
        self._handed: dict[int, str] = {}  # on this connection, and not answered: position → topic
        self._trial: tuple[int, str, float] | None = None  # a condemned output under way: position, topic, since when
        self._trial_at_s: float | None = None
        self._trial_wait_s = RETRY_S
        self._tried = 0  # as `_retried`, of trials

    @property
    def lag(self) -> int:
        """Durable outputs that are not confirmed."""
        return self._outbox.last_position - self.confirmed

    @property
    def waiting(self) -> bool:
        """Whether outputs wait for room."""
        return len(self._queue) > 0

    def extend(self, first_position: int, outputs: Outputs, arrived_s: float) -> None:
        """Take over the outputs of a commit, if the queue is not behind; else they wait in the ledger."""
        if self._tail != first_position - 1 or len(self._queue) >= MEMORY or self._queue.size >= MEMORY_BYTES:
            return
        self._tail += len(outputs)
        positions, flags = range(first_position, self._tail + 1), zip(outputs.qos, outputs.retain, strict=True)
        self._queue.add(positions, outputs.topic, outputs.body, flags=flags, arrived_s=arrived_s)

    def reset(self, ended: Ended | None = None) -> None:
        """A new connection: whatever was not confirmed is sent again, from the ledger.

        Args:
            ended: How the one before it ended; `None` = there was none.
        """
        self.settle()
        condemned = None if ended is None else self._guard.note_end(ended)
        if condemned is not None:
            self._refuse(condemned, self._handed.get(condemned, ""), REASON)
            self._advance_cursor()
            self._trial_at_s, self._trial_wait_s = None, TRIAL_S
        self._queue.clear()
        self._retrying.clear()
        self._handed.clear()
        self._trial = None
        self._tail = self.confirmed

    def pump(self, now_s: float) -> list[float]:
        """Hand over as much as there is room for; arrival-to-publish seconds of what came in this process."""
        latencies: list[float] = []
        queue = self._queue
        while (queue or self._refill()) and (room := self._room(queue.qos, now_s)) > 0:
            run = self._without_settled(queue.take(room))
            if not len(run):
                continue
            self._link.publish_all(run.positions, run.topics, run.bodies, qos=run.qos, retain=run.retain)
            self._guard.note_handed(run.positions[0], run.topics[0], now_s)
            self._handed.update(zip(run.positions, run.topics, strict=True))
            if run.arrived_s is not None:
                latencies += [now_s - run.arrived_s] * len(run)
        self.settle()
        if self._took:
            self._taken_at_s, self._took = now_s, False
        if self._refusal is None or now_s - self._taken_at_s >= SILENT_S:
            self.mute = self._refusal
        return latencies

    def _room(self, qos: int, now_s: float) -> int:
        """How many outputs may be handed over now; under caution one, and beside a trial none."""
        if self._trial is not None and now_s - self._trial[2] <= HANG_UP_S:
            return 0
        room = self._link.room(qos)
        if room > 0 and self._guard.cautious:
            return int(self._guard.may_offer(now_s))
        return room

    def _without_settled(self, run: Run) -> Run:
        """Those that were not confirmed ahead of their turn, and do not go where the broker hangs up."""
        if not self._guard.topics and self._done.isdisjoint(run.positions):
            return run
        rows = enumerate(zip(run.positions, run.topics, strict=True))
        left = [(i, position, topic) for i, (position, topic) in rows if position not in self._done]
        for _, position, topic in left:
            if topic in self._guard.topics:
                self._refuse(position, topic, REASON)
        return run.pick([i for i, _, topic in left if topic not in self._guard.topics])

    def retry(self, now_s: float) -> None:
        """Offer refused outputs again, now and then: an ACL may have been mended.

        As many as there is room for, and the next time those after them: topics that stay refused hold up no others.
        """
        self._try_condemned(now_s)
        if not self._link.connected or now_s < self._retry_at_s or self._retrying or self._guard.cautious:
            return
        room = self._link.room(1)
        if room == 0:
            return
        self._retry_at_s = now_s + self._retry_s
        rows = self._outbox.refused_outputs(self._retried, room)
        self._retried = rows[-1].position if rows and len(rows) == room else 0
        for row in rows:
            if row.position in self._redelivered or row.reason == REASON:
                continue  # delivered just now, the next commit takes it out; or a matter of `_try_condemned`
            self._link.publish(row.position, row.topic, row.body, row.qos, row.retain)
            self._retrying[row.position] = row.topic

    def _try_condemned(self, now_s: float) -> None:
        """Offer one at which the broker hung up again, rarely and with nothing else under way."""
        if self._trial_at_s is None:
            self._trial_at_s = now_s + self._trial_wait_s
        busy = self._queue or self._handed or self._retrying or self._guard.cautious
        if busy or now_s < self._trial_at_s or not self._link.connected or not self._link.room(1):
            return
        rows = self._outbox.refused_outputs(self._tried, _CHUNK)
        found = next((row for row in rows if row.reason == REASON and row.position not in self._redelivered), None)
        if found is not None or (self._tried == 0 and len(rows) < _CHUNK):
            self._trial_at_s, self._trial_wait_s = now_s + TRIAL_S, TRIAL_S
        if found is None:
            self._tried = rows[-1].position if len(rows) == _CHUNK else 0
            return
        self._tried, self._trial = found.position, (found.position, found.topic, now_s)
        self._retrying[found.position] = found.topic
        self._link.publish(found.position, found.topic, found.body, found.qos, found.retain)

    def settle(self) -> None:
        """Note what the broker has confirmed and refused."""
        confirmed = self._link.take_confirmed()
        if confirmed:
            self._refusal, self._took, self._taken = None, True, max(self._taken, *confirmed)
            if self._retrying:  # a trial is one, too
                confirmed = [position for position in confirmed if not self._was_retried(position)]
            for position in confirmed:
                self._handed.pop(position, None)
            self._guard.note_answers(confirmed)
            self._done.update(position for position in confirmed if position > self.confirmed)
        self._settle_refused()
        self._advance_cursor()

    def _was_retried(self, position: int) -> bool:
        """Whether what was confirmed had been refused before; notes it."""
        if self._trial is not None and position == self._trial[0]:
            self._guard.acquit(self._trial[1])
            self._trial, self._trial_at_s = None, 0.0
        if position not in self._retrying:
            return False
        del self._retrying[position]
        self._redelivered.append(position)
        self._retry_at_s, self._retry_s = 0.0, RETRY_S
        return True

    def _settle_refused(self) -> None:
        for position, reason in self._link.take_refused():
            if self._trial is not None and position == self._trial[0]:
                self._trial = None
            if position in self._retrying:
                self._note_refusal(position, self._retrying.pop(position), reason)
                self._retry_s = min(2 * self._retry_s, RETRY_MAX_S)
                continue
            topic = self._handed.pop(position, "")
            self._guard.note_answers([position])
            if position > self.confirmed and position not in self._done:
                self._refuse(position, topic, reason)

    def _note_refusal(self, position: int, topic: str, reason: str) -> None:
        if self._refusal is None and position > self._taken:  # one that is older tells nothing of those taken since
            self._refusal = f"{topic}: {reason}"

    def _refuse(self, position: int, topic: str, reason: str) -> None:
        self._note_refusal(position, topic, reason)
        self.refused_total += 1
        self._refused.append((position, reason))
        self._done.add(position)

    def _advance_cursor(self) -> None:
        done, confirmed = self._done, self.confirmed
        while confirmed + 1 in done:
            confirmed += 1
            done.remove(confirmed)
        self.confirmed = confirmed

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
        flags = [(row.qos, row.retain) for row in rows]
        columns = [row.position for row in rows], [row.topic for row in rows], [row.body for row in rows]
        self._queue.add(*columns, flags=flags)
        if rows:
            self._tail = rows[-1].position
        return bool(rows)
