"""How old the state of each stream is: what a message says of the way that it has come."""

from __future__ import annotations

import numpy as np

from gaugecast.forecast.message import Age
from gaugecast.records import Bool, Int64
from gaugecast.streams.columns import Column, Columns


class Ages:
    """What is remembered of a fleet's streams. Owned by the loop's thread.

    Columns: `steps` and `bridged` ticks since the state began anew, and when that was, `began` (ns). A stream that is
    older than this count begins with its next step.
    """

    def __init__(self, capacity: int) -> None:
        self.columns = Columns((Column("steps", "<i8"), Column("bridged", "<i8"), Column("began", "<i8")), capacity)

    def begin(self) -> None:
        """Let all streams count from their next step."""
        self.columns.clear(slice(None))

    def step(self, slots: Int64, at: Int64, *, fresh: Bool, gap: Int64) -> None:
        """Take one step with each stream.

        Args:
            slots: Streams (N,).
            at: Event time of the steps (N,), ns.
            fresh: Whose state begins anew (N,).
            gap: Ticks without a step before this one (N,).
        """
        columns = self.columns
        begins = fresh | (columns["steps"][slots] == 0)
        columns["steps"][slots] = np.where(begins, 0, columns["steps"][slots]) + 1
        columns["bridged"][slots] = np.where(begins, 0, columns["bridged"][slots] + gap)
        columns["began"][slots] = np.where(begins, at, columns["began"][slots])

    def of(self, slots: Int64) -> Age:
        """Of these streams as they are now."""
        return Age(*(column[slots] for _, column in self.columns))
