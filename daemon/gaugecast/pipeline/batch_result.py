"""What passes between the parts of the pipeline while one batch is under way, and what a fleet counts."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import NamedTuple

from gaugecast.forecast.expert import Trace
from gaugecast.records import Float64, Int64, Output


@dataclass(slots=True)
class Totals:
    """What a fleet has counted in its whole life; `held` alone goes down again.

    `late_ns`: by how much late readings were older than the newest that was taken of their streams, summed up.
    """

    stepped: int = 0
    held: int = 0
    late: int = 0
    duplicate: int = 0
    forecasts: int = 0
    gaps: int = 0
    bridged_steps: int = 0
    partial_steps: int = 0
    fallback_steps: int = 0
    resets: int = 0
    reanchored: int = 0
    stale: int = 0
    parked: int = 0
    unparked: int = 0
    broken_states: int = 0
    late_ns: int = 0

    def add(self, other: Totals) -> None:
        """Count what another counted, too."""
        for f in fields(self):
            setattr(self, f.name, getattr(self, f.name) + getattr(other, f.name))

    def as_list(self) -> list[int]:
        """The counts in the order of the fields, for a checkpoint."""
        return [int(getattr(self, f.name)) for f in fields(self)]


class Closed(NamedTuple):
    """N steps that close now: their streams, the inputs that closed them, and what was measured."""

    slots: Int64
    cause: Int64
    values: Float64  # (N, F)
    at: Int64
    tick: Int64


@dataclass(slots=True)
class BatchResult:
    """What one `advance` has made so far."""

    verdicts: list[int]
    outputs: list[Output] = field(default_factory=list)
    traces: list[tuple[str, Trace]] = field(default_factory=list)
