"""What one round of the loop carries, and what it says of itself afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gaugecast.batch import Inputs, Outputs
from gaugecast.loop.publisher import Settled
from gaugecast.pipeline import Outcome
from gaugecast.records import Commit, Message, Refused


@dataclass(slots=True)
class MicroBatch:
    """A micro-batch on its way through the protocol; everything that its commit writes."""

    messages: Sequence[Message]
    inputs: Inputs
    refused: list[Refused]
    unparked: list[tuple[str, str]]
    arrived_s: float
    outcome: Outcome | None = None

    def to_commit(self, settled: Settled) -> Commit:
        """What the ledger is to write of it, and of what became of earlier outputs meanwhile."""
        outcome = self.outcome
        assert outcome is not None
        return Commit(
            self.inputs,
            outcome.verdicts,
            outcome.outputs,
            refused=[*self.refused, *outcome.refused],
            parked=outcome.parked,
            unparked=self.unparked,
            confirmed=settled.confirmed,
            refused_outputs=settled.refused,
            redelivered=settled.redelivered,
            told=outcome.told,
        )


#: Bytes of forecasts that one batch may make, if they are no larger than the largest so far.
OUTPUT_BYTES = 16 << 20
#: Readings of a batch before any forecast was seen: a first forecast may have 200 kB, with many horizons.
_FIRST = 500


class BatchBound:
    """How many readings end a batch, so that neither they nor the forecasts made of them fill the memory.

    Attributes:
        readings: The message that brings a batch to so many is its last.
    """

    def __init__(self, most: int) -> None:
        self.readings = min(most, _FIRST)
        self._most, self._largest = most, 0

    def note(self, outputs: Outputs, readings: int) -> None:
        """Learn from what a batch made how large a forecast may be; one message may have those of all its readings."""
        sizes = (
            len(body) if stream else len(body) // max(1, readings)
            for body, stream in zip(outputs.body, outputs.stream, strict=True)
        )
        self._largest = max(self._largest, max(sizes, default=0))
        if self._largest:
            self.readings = max(1, min(self._most, OUTPUT_BYTES // self._largest))


@dataclass(slots=True)
class RoundFacts:
    """What one round did, for the metrics and the checkpoints: what was stepped, counts, and seconds by stage."""

    messages: int = 0
    inputs: Inputs = field(default_factory=Inputs)
    stage_s: dict[str, float] = field(default_factory=dict)
    commit_s: float | None = None
    latencies_s: list[float] = field(default_factory=list)
