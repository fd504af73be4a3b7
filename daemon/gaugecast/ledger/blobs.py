"""A column of byte strings as two arrays, so that a million of them are not a million objects. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from gaugecast.records import Float64, Int64

UInt8 = npt.NDArray[np.uint8]


class Blobs(NamedTuple):
    """Byte strings, laid end to end in `raw`; mostly all are of one length: packed float64s."""

    lengths: Int64
    raw: UInt8

    @classmethod
    def of(cls, column: Sequence[bytes]) -> Self:
        """From separate strings."""
        lengths = np.fromiter(map(len, column), np.int64, len(column))
        return cls(lengths, np.frombuffer(b"".join(column), np.uint8))

    @classmethod
    def joined(cls, columns: Sequence[Blobs]) -> Self:
        """Several columns, one after another; at least one."""
        return cls(np.concatenate([one.lengths for one in columns]), np.concatenate([one.raw for one in columns]))

    @property
    def width(self) -> int:
        """The length that all have; -1 where they differ, or where there is none."""
        lengths = self.lengths
        return int(lengths[0]) if len(lengths) and (lengths == lengths[0]).all() else -1

    def take(self, places: Int64 | slice) -> Blobs:
        """Those at these places, in this order."""
        lengths, width = self.lengths[places], self.width
        if width >= 0:
            return Blobs(lengths, self.raw.reshape(len(self.lengths), width)[places].reshape(-1))
        starts = (np.cumsum(self.lengths) - self.lengths)[places]
        within = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return Blobs(lengths, self.raw[np.repeat(starts, lengths) + within])

    def to_list(self) -> list[bytes]:
        """As separate strings."""
        raw, width = self.raw.tobytes(), self.width
        if width > 0:
            return [raw[at : at + width] for at in range(0, len(raw), width)]
        ends = np.cumsum(self.lengths).tolist()
        return [raw[start:end] for start, end in zip([0, *ends], ends, strict=False)]

    def table(self) -> Float64:
        """As float64s, a row each; a row that is shorter than the longest ends in NaNs."""
        floats = np.ascontiguousarray(self.raw).view("<f8")
        if self.width > 0:
            return floats.reshape(len(self.lengths), -1)
        counts = self.lengths // 8
        made = np.full((len(counts), int(np.max(counts, initial=0))), np.nan)
        made[np.arange(made.shape[1]) < counts[:, None]] = floats
        return made
