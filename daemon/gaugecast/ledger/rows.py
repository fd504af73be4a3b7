"""What the ledger returns, and the shape of its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from gaugecast.batch import Inputs
from gaugecast.records import Float64, Int64


class Committed(NamedTuple):
    """Where a commit's rows are. Without inputs or outputs `last` is one less than `first`."""

    first_seq: int
    last_seq: int
    first_position: int
    last_position: int


class Pending(NamedTuple):
    """An output that is not confirmed yet: what to publish, in order of `position`."""

    position: int
    fleet: str
    stream: str
    body: bytes
    retain: bool
    qos: int
    topic: str


class StoredBatch(NamedTuple):
    """Consecutive inputs as stored; the i-th has seq `first_seq + i`."""

    first_seq: int
    inputs: Inputs
    verdicts: list[int]


class StoredOutput(NamedTuple):
    """An output as stored; `body` is `None` once it was confirmed or given up, `body_crc` (CRC-32) stays.

    `kind` says what it is: 0 is a forecast, 1 a notice, such as of a crossing, which has none.
    """

    position: int
    seq: int
    fleet: str
    stream: str
    step: int
    forecast: bytes
    body: bytes | None
    body_crc: int
    kind: int = 0


@dataclass(frozen=True, slots=True)
class PastReadings:
    """Readings of one stream by column, newest first; `len` tells how many.

    Attributes:
        values: (readings, F), NaN where a feature was absent; NaN too at the end of a reading of a time when the
            fleet had fewer features.
        verdicts: What became of each (`records.Verdict`).
    """

    seqs: Int64
    at_ns: Int64
    values: Float64
    verdicts: Int64

    def __len__(self) -> int:
        return len(self.seqs)


@dataclass(frozen=True, slots=True)
class PastForecasts:
    """Outputs of one stream by column, newest first; `len` tells how many.

    Attributes:
        seqs: Of which inputs they were made.
        forecasts: (outputs, H·F), horizon-major, as `records.Output.forecast`; NaN beyond a shorter one's end.
        kinds: As of `StoredOutput`.
        body_crcs: CRC-32s of what was published.
    """

    positions: Int64
    seqs: Int64
    steps: Int64
    forecasts: Float64
    kinds: Int64
    body_crcs: Int64

    def __len__(self) -> int:
        return len(self.seqs)


class HistoryPage(NamedTuple):
    """A stretch of one stream's history, newest first: its readings, and the outputs made between their inputs."""

    readings: PastReadings
    outputs: PastForecasts


class RefusedOutput(NamedTuple):
    """An output that the broker refused or that expired, kept in a bounded table for another attempt."""

    position: int
    fleet: str
    stream: str
    body: bytes
    retain: bool
    qos: int
    topic: str
    reason: str


class Quarantined(NamedTuple):
    """A row of the quarantine table; `number` grows by one with each refusal."""

    number: int
    received_at_ns: int
    fleet: str
    stream: str
    topic: str
    reason: str
    detail: str
    head: bytes


class Told(NamedTuple):
    """What was told of a crossing or an anomaly; `number` grows by one with each."""

    number: int
    received_at_ns: int
    fleet: str
    stream: str
    topic: str
    body: bytes
