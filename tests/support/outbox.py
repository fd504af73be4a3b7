"""A ledger's outputs in memory, for tests of the publisher."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from gaugecast.loop.publisher import Settled


class Row(NamedTuple):
    """A row of the outbox."""

    position: int
    topic: str
    body: bytes
    qos: int = 1
    retain: bool = False
    reason: str = "Not authorized"


@dataclass
class Outbox:
    """A ledger of outputs in memory."""

    rows: list[Row] = field(default_factory=list)
    confirmed: int = 0
    refused: list[Row] = field(default_factory=list)
    asked: int = 0

    @property
    def last_position(self) -> int:
        """The newest."""
        return len(self.rows)

    def pending(self, after: int, most: int) -> list[Row]:
        """As `Ledger.pending`."""
        self.asked += 1
        return self.rows[max(after, self.confirmed) :][:most]

    def refused_outputs(self, after: int, most: int) -> list[Row]:
        """As `Ledger.refused_outputs`."""
        return [row for row in self.refused if row.position > after][:most]

    def commit(self, settled: Settled) -> None:
        """As the ledger notes what became of outputs."""
        self.confirmed = settled.confirmed
        for position, reason in settled.refused:
            self.refused.append(self.rows[position - 1]._replace(reason=reason))
        self.refused = [row for row in self.refused if row.position not in settled.redelivered]
