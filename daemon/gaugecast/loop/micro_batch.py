"""What one round of the loop carries, and what it says of itself afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gaugecast.batch import Inputs
from gaugecast.pipeline import Outcome
from gaugecast.records import Message, Refused


@dataclass(slots=True)
class MicroBatch:
    """A micro-batch on its way through the protocol; everything that its commit writes."""

    messages: Sequence[Message]
    inputs: Inputs
    refused: list[Refused]
    unparked: list[tuple[str, str]]
    arrived_s: float
    outcome: Outcome | None = None


@dataclass(slots=True)
class RoundFacts:
    """What one round did, for the metrics and the checkpoints: what was stepped, counts, and seconds by stage."""

    messages: int = 0
    inputs: Inputs = field(default_factory=Inputs)
    stage_s: dict[str, float] = field(default_factory=dict)
    commit_s: float | None = None
    latencies_s: list[float] = field(default_factory=list)
