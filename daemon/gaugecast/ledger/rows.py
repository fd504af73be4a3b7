"""What the ledger returns, and the shape of its rows."""

from __future__ import annotations

from typing import NamedTuple

from gaugecast.batch import Inputs


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

    `kind` says what it is: 0 is a forecast, the only kind so far.
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


class StoredReading(NamedTuple):
    """One reading of a stream's history: what it said, and what became of it (`records.Verdict`)."""

    seq: int
    at_ns: int
    values: bytes
    verdict: int


class HistoryPage(NamedTuple):
    """A stretch of one stream's history, newest first: its readings, and the outputs made between their inputs."""

    readings: list[StoredReading]
    outputs: list[StoredOutput]


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
