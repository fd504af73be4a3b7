"""What one call of `advance` gives back, and what a fleet counts."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import NamedTuple

from gaugecast.batch import Outputs
from gaugecast.forecast.expert import Trace
from gaugecast.forecast.horizons.experts import Ahead
from gaugecast.forecast.message import Age
from gaugecast.pipeline.shaping import Cut, Voice
from gaugecast.records import Bool, Float64, Int64, Order, Output, Parked, Refused


@dataclass(slots=True)
class Totals:
    """What a fleet has counted since it was first configured. No count ever goes down, except `held`.

    Attributes:
        held: Readings that wait in an open tick now.
        late_ns: Sum over all late readings of how far each came behind the newest of its stream, by event time
            (`gates.lateness`, which bounds one reading's share); over `late`, the mean.
        unchanged_steps: Those in which a feature counts as what it was (`hold`).
        anomalies: Events that have begun.
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
    same_period: int = 0
    unchanged_steps: int = 0
    anomalies: int = 0

    def add(self, other: Totals) -> None:
        """Count what another counted, too."""
        for f in fields(self):
            setattr(self, f.name, getattr(self, f.name) + getattr(other, f.name))

    def copy(self) -> Totals:
        """The same counts, which do not change with these."""
        return replace(self)

    def become(self, other: Totals) -> None:
        """Count what another counted, and nothing else."""
        for f in fields(self):
            setattr(self, f.name, getattr(other, f.name))

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
    totals: Float64 | None = None  # (N, C), of a fleet with counters

    def cut(self, rows: Bool) -> Closed:
        """Some of the steps."""
        return Closed(self.slots[rows], self.cause[rows], self.values[rows], self.at[rows], self.tick[rows])


class Said(NamedTuple):
    """N forecasts of one round, in numbers; the bytes are made when the batch is whole.

    Attributes:
        model: Version of what made those without the flag `fallback`.
        streams: Names (N,): a slot may have another stream by then.
        forecast: (N, H, G). observed, predicted: (N, G).
        age: Of the streams' states.
        totals: (N, C) of the counters, of a fleet that has any.
        ahead: What is said beyond, of a fleet that lists horizons.
        scores: (N, G) how strange the steps were, NaN = not judged, of a fleet that looks for anomalies.
    """

    writer: Voice
    model: str | None
    streams: list[str]
    cause: Int64
    step: Int64
    at: Int64
    forecast: Float64
    observed: Float64
    predicted: Float64
    quality: Int64
    age: Age
    totals: Float64 | None
    ahead: Ahead | None
    scores: Float64 | None


@dataclass(slots=True)
class Outcome:
    """What `advance` gives back for one batch; filled while it runs.

    Attributes:
        verdicts: One `Verdict` an input.
        outputs: In the order of the inputs that made them; `said` before the batch is whole, and `notices`,
            which stand behind the forecasts of the same input; `cuts` are the ends of batches.
        told: Those of `notices` that tell of crossings and anomalies.
        parked: Streams that were idle, with their state; they are no longer in the pipeline.
        refused: Readings that were turned away here (not by the decoder), for the quarantine.
        traces: What was fed to the model in force, if the pipeline was told to keep it.
        orders: Events that go into the ledger behind the inputs, for the record: what was found, not what changes.
    """

    verdicts: list[int]
    outputs: Outputs = field(default_factory=Outputs)
    said: list[Said] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)
    notices: list[Output] = field(default_factory=list)
    told: list[Output] = field(default_factory=list)
    parked: list[Parked] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    traces: list[tuple[str, Trace]] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)

    def tell(self, notice: Output) -> None:
        """Of a crossing or an anomaly; an empty message, which clears what is retained, tells nothing."""
        self.notices.append(notice)
        if notice.body:
            self.told.append(notice)

    def extend(self, later: Outcome) -> None:
        """Add what came of the inputs behind these, so that both are as one batch; `later` is used up."""
        before = len(self.verdicts)
        self.verdicts += later.verdicts
        later.outputs.cause = [cause + before for cause in later.outputs.cause]
        self.outputs.extend(later.outputs)
        self.told += later.told
        self.parked += later.parked
        self.refused += later.refused
        self.traces += later.traces
        self.orders += later.orders
