"""Fields that begin a sequence when they change, such as a batch number: what each stream said last."""

from __future__ import annotations

from zlib import crc32

import numpy as np

from gaugecast.records import Bool, Int64
from gaugecast.streams.columns import Column, Columns


def mark_of(name: str) -> int:
    """What stands for the name of a sequence in a column; 0 where a reading names none."""
    return crc32(name.encode()) + 1 if name else 0


class Beginnings:
    """What is remembered of a fleet's streams. Owned by the loop's thread.

    Columns: `mark` of the sequence that a stream is in, 0 = not known.
    """

    def __init__(self, capacity: int) -> None:
        self.columns = Columns((Column("mark", "<i8"),), capacity)

    def take(self, slots: Int64, marks: Int64) -> Bool:
        """Note the marks of readings (N,); which of them name another sequence than the one before."""
        before = self.columns["mark"][slots]
        named = marks != 0
        self.columns["mark"][slots] = np.where(named, marks, before)
        return np.asarray(named & (before != 0) & (marks != before))
