"""The publisher's cursor: in order, never ahead of what is confirmed, back after a reconnect, patient with refusals."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

from gaugecast.batch import Outputs
from gaugecast.loop.publisher import MEMORY, MEMORY_BYTES, RETRY_MAX_S, RETRY_S, SILENT_S, Publisher
from gaugecast.records import Output
from support.outbox import Outbox, Row


@dataclass
class Link:
    """A link that keeps what it is handed, and confirms on command."""

    window: int = 3
    connected: bool = True
    handed: list[int] = field(default_factory=list)
    in_flight: list[int] = field(default_factory=list)
    confirmed: list[int] = field(default_factory=list)
    denied: list[tuple[int, str]] = field(default_factory=list)

    def room(self, qos: int = 1) -> int:
        """Of the window."""
        return (self.window - len(self.in_flight)) if self.connected else 0

    def publish(self, position: int, topic: str, body: bytes, qos: int, retain: bool) -> None:
        """Keep it."""
        self.handed.append(position)
        self.in_flight.append(position)

    def publish_all(
        self, positions: Sequence[int], topics: Sequence[str], bodies: Sequence[bytes], **_: object
    ) -> None:
        """Keep them."""
        for position, topic, body in zip(positions, topics, bodies, strict=True):
            self.publish(position, topic, body, 1, False)

    def confirm(self, *positions: int) -> None:
        """The broker has these."""
        for position in positions:
            self.in_flight.remove(position)
        self.confirmed += positions

    def deny(self, *positions: int) -> None:
        """The broker will not take these."""
        for position in positions:
            self.in_flight.remove(position)
        self.denied += [(position, "Not authorized") for position in positions]

    def reconnect(self) -> None:
        """What was under way is gone."""
        self.in_flight.clear()

    def take_confirmed(self) -> list[int]:
        """As `mqtt.Link`."""
        taken, self.confirmed = self.confirmed, []
        return taken

    def take_refused(self) -> list[tuple[int, str]]:
        """As `mqtt.Link`."""
        taken, self.denied = self.denied, []
        return taken


def outputs_of(count: int) -> Outputs:
    """That many outputs."""
    return Outputs.of([Output(0, "f", "s", i, b"", "t", b"%d" % i, False, 1) for i in range(count)])


def bench(count: int, window: int = 3) -> tuple[Publisher, Link, Outbox]:
    """A publisher over `count` durable outputs that it was handed by their commit."""
    link, outbox = Link(window), Outbox()
    publisher = Publisher(link, outbox)
    commit(publisher, outbox, count)
    return publisher, link, outbox


def commit(publisher: Publisher, outbox: Outbox, count: int) -> None:
    """More outputs become durable."""
    first = outbox.last_position + 1
    outbox.rows += [Row(first + i, "t", b"") for i in range(count)]
    publisher.extend(first, outputs_of(count), 5.0)


def test_no_more_than_the_window_is_handed_over_and_in_order() -> None:
    """Room is asked for; confirmations make it."""
    publisher, link, _ = bench(8)
    assert publisher.pump(6.0) == [1.0, 1.0, 1.0]
    assert link.handed == [1, 2, 3]
    link.confirm(1, 2)
    publisher.settle()
    publisher.pump(6.0)
    assert link.handed == [1, 2, 3, 4, 5]
    assert publisher.waiting
    assert publisher.lag == 6


def test_the_cursor_never_passes_an_output_that_is_not_confirmed() -> None:
    """Confirmations out of order wait for their turn."""
    publisher, link, _ = bench(3)
    publisher.pump(6.0)
    link.confirm(2, 3)
    publisher.settle()
    assert publisher.confirmed == 0
    assert publisher.settled.confirmed == 0
    link.confirm(1)
    publisher.settle()
    assert publisher.confirmed == 3
    assert publisher.unsettled


def test_after_a_reconnect_what_was_not_confirmed_is_sent_again_and_nothing_else() -> None:
    """From the ledger, in order; what was confirmed ahead of its turn is passed over."""
    publisher, link, _ = bench(5)
    publisher.pump(6.0)
    link.confirm(1, 3)
    link.reconnect()
    publisher.reset()
    publisher.pump(6.0)
    assert link.handed == [1, 2, 3, 2, 4, 5]


def test_a_restart_begins_at_the_confirmed_position() -> None:
    """What an earlier process had noted is not sent again; the rest is read from the ledger."""
    outbox = Outbox([Row(i + 1, "t", b"") for i in range(6)], confirmed=4)
    link = Link()
    assert Publisher(link, outbox).pump(0.0) == []
    assert link.handed == [5, 6]


def test_while_the_queue_is_behind_outputs_wait_in_the_ledger() -> None:
    """Memory is bounded: what does not fit is read back when its turn comes, each once and in order."""
    publisher, link, outbox = bench(MEMORY, window=MEMORY + 10)
    commit(publisher, outbox, 7)
    assert len(publisher._queue) == MEMORY
    publisher.pump(6.0)
    assert link.handed == list(range(1, MEMORY + 8))


def test_large_outputs_wait_in_the_ledger_by_their_bytes() -> None:
    """A few forecasts of a megabyte fill the memory as much as thousands of ordinary ones."""
    link, outbox = Link(100), Outbox()
    publisher, large = Publisher(link, outbox), b"x" * (MEMORY_BYTES // 4)
    for first in range(1, 11):
        outbox.rows.append(Row(first, "t", large))
        publisher.extend(first, Outputs.of([Output(0, "tanks", "a", first, b"", "t", large, False, 1)]), 5.0)
    assert (len(publisher._queue), publisher._queue.size) == (4, MEMORY_BYTES)
    publisher.pump(6.0)
    assert link.handed == list(range(1, 11))


def test_without_a_connection_the_ledger_is_left_alone() -> None:
    """A broker that is down for an hour costs no query a round."""
    publisher, link, outbox = bench(3)
    link.connected = False
    publisher.reset()
    publisher.pump(6.0)
    assert (outbox.asked, link.handed) == (0, [])


def test_a_refused_output_is_noted_and_holds_nothing_up() -> None:
    """It counts as done for the cursor, and goes into the next commit with its reason."""
    publisher, link, _ = bench(3)
    publisher.pump(6.0)
    link.deny(2)
    link.confirm(1, 3)
    publisher.settle()
    settled = publisher.settled
    assert (settled.confirmed, settled.refused) == (3, ((2, "Not authorized"),))
    publisher.forget_settled(settled)
    assert publisher.settled.refused == ()
    assert publisher.refused_total == 1


def test_refused_outputs_are_offered_again_now_and_then() -> None:
    """After 30 s, then twice as long, up to ten minutes; once delivered, the next commit takes them out."""
    publisher, link, outbox = bench(1)
    publisher.pump(0.0)
    link.deny(1)
    publisher.settle()
    publisher.forget_settled(publisher.settled)
    outbox.refused, outbox.confirmed = [outbox.rows[0]], 1
    link.handed.clear()
    offered, now = [], 0.0
    while now < 3 * RETRY_MAX_S:
        before = len(link.handed)
        publisher.retry(now)
        if len(link.handed) > before:
            offered.append(now)
            link.deny(1)
            publisher.settle()
        now += 1.0
    waits = [b - a for a, b in itertools.pairwise(offered)]
    assert waits[0] == RETRY_S
    assert waits == sorted(waits)
    assert waits[-1] == RETRY_MAX_S
    publisher.retry(1e6)
    link.confirm(1)
    publisher.settle()
    assert publisher.settled.redelivered == (1,)


def test_outputs_that_stay_refused_hold_up_no_others() -> None:
    """There is room for three at a time; each gets its turn, and then the first again."""
    publisher, link, outbox = bench(0, window=3)
    outbox.rows = [Row(1 + i, "t", b"") for i in range(8)]
    outbox.refused, outbox.confirmed = list(outbox.rows), 8
    offered = []
    for turn in range(5):
        publisher.retry(turn * RETRY_MAX_S)
        offered.append(list(link.in_flight))
        link.deny(*link.in_flight)
        publisher.settle()
    assert offered == [[1, 2, 3], [4, 5, 6], [7, 8], [1, 2, 3], [4, 5, 6]]


def test_what_was_delivered_after_all_is_not_offered_again_before_it_is_noted() -> None:
    """Until the commit the table still has it; another copy would be one too many."""
    publisher, link, outbox = bench(1)
    publisher.pump(0.0)
    link.deny(1)
    publisher.settle()
    outbox.refused, outbox.confirmed = [outbox.rows[0]], 1
    publisher.retry(100.0)
    link.confirm(1)
    publisher.settle()
    link.handed.clear()
    publisher.retry(200.0)
    assert link.handed == []


def test_a_broker_that_takes_nothing_is_named_with_topic_and_reason_until_it_takes_one() -> None:
    """`mute`: what the first refusal was since the last confirmation."""
    publisher, link, _ = bench(2)
    publisher.pump(0.0)
    link.deny(1)
    publisher.pump(1.0)
    assert publisher.mute == "t: Not authorized"
    link.confirm(2)
    publisher.pump(2.0)
    assert publisher.mute is None


def test_one_topic_that_is_refused_among_others_that_are_taken_is_not_silence() -> None:
    """Else the daemon would be ready and not ready in turns; once nothing is taken for a while, it is silence."""
    publisher, link, outbox = bench(2)
    for second in range(20):
        publisher.pump(float(second))
        taken, denied = 2 * second + 1, 2 * second + 2
        link.confirm(taken)
        link.deny(denied)
        publisher.pump(second + 0.5)
        assert publisher.mute is None
        commit(publisher, outbox, 2)
    publisher.pump(20.0)
    link.deny(41, 42)
    publisher.pump(19.5 + SILENT_S - 0.1)
    assert publisher.mute is None
    publisher.pump(19.5 + SILENT_S)
    assert publisher.mute == "t: Not authorized"


def test_a_retry_that_is_refused_is_silence_too() -> None:
    """After a restart nothing else may be under way."""
    publisher, link, outbox = bench(1)
    publisher.pump(0.0)
    link.deny(1)
    publisher.pump(1.0)
    outbox.refused.append(outbox.rows[0])
    publisher.forget_settled(publisher.settled)
    link.reconnect()
    publisher.reset()
    publisher.mute = None
    publisher.retry(RETRY_S)
    link.deny(1)
    publisher.pump(RETRY_S + 1)
    assert publisher.mute == "t: Not authorized"
