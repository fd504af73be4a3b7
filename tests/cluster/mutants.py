"""Deliberate faults of the cluster's protocol, by name; a story must turn red with each. As `tests/mutants.py`."""

from __future__ import annotations

from typing import Any

from cluster.world import Store
from gaugecast.cluster import batches, inbox, ingest, plan
from gaugecast.cluster.batches import Batch, Order
from gaugecast.records import Message
from mutants import Mutant, Patch


def _ack_on_receipt(patch: Patch) -> None:
    take = ingest.Ingest._take

    def eager(self: ingest.Ingest, messages: list[Message]) -> None:
        self._source.subscriber.ack(messages)
        take(self, messages)

    patch(ingest.Ingest, "_take", eager)


def _no_sequence_check(patch: Patch) -> None:
    patch(inbox, "judge", lambda taken, token, number: Order.STALE if token < taken >> 32 else Order.TAKE)


def _no_token_check(patch: Patch) -> None:
    def trusting(taken: int, token: int, number: int) -> Order:
        return batches.judge(taken, max(token, taken >> 32), number) if token >= taken >> 32 else Order.TAKE

    patch(inbox, "judge", trusting)
    patch(Store, "check_token", lambda *_: None)


def _retries_reordering(patch: Patch) -> None:
    retry = ingest.Ingest._retry

    def impatient(self: ingest.Ingest, lane: Any) -> None:
        retry(self, lane)
        before: Batch = lane.batch
        if not lane.waiting:
            return
        piece, taken = lane.waiting.popleft()  # what is newer goes first, and takes the number of what failed
        lane.waiting.append((batches_piece(before), _nobody()))
        lane.rounds.append(taken)
        lane.batch = before._replace(content=batches.pack([piece]))

    patch(ingest.Ingest, "_retry", impatient)


def batches_piece(batch: Batch) -> Any:
    """What a batch carries."""
    return batches.unpack(batch.content, 0)


def _nobody() -> Any:
    """A round that is never acked."""
    return ingest._Round((), 1 << 30)


def _overlapping_filters(patch: Patch) -> None:
    patch(plan, "check_disjoint", lambda _: None)


MUTANTS = {
    "ack_on_receipt": Mutant("an ingest acks what no partition has committed", _ack_on_receipt),
    "no_sequence_check": Mutant("a partition takes whatever batch comes", _no_sequence_check),
    "no_token_check": Mutant("whoever was replaced goes on writing", _no_token_check),
    "retries_reordering": Mutant("after a failure a newer batch goes first", _retries_reordering),
    "overlapping_filters": Mutant("two ingests may hear the same topics", _overlapping_filters),
}
