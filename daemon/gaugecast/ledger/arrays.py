"""A batch's parts as arrays: what many rows are read by. Pure; knows no SQL.

The bytes are those of `packing`, which reads few rows faster without NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from gaugecast.ledger.blobs import Blobs
from gaugecast.ledger.packing import LIKE, ONE, InputColumns, OutputColumns, open_part
from gaugecast.records import Int64

_Ints = npt.NDArray[Any]  # of whatever width
_TYPES: dict[str, np.dtype[Any]] = {
    "B": np.dtype("u1"),
    "I": np.dtype("<u4"),
    "q": np.dtype("<i8"),
    "Q": np.dtype("<u8"),
}


class InputArrays(NamedTuple):
    """Inputs by column, as `packing.InputColumns`; `wide` says which deliveries are without a sign."""

    kinds: _Ints
    verdicts: _Ints
    stream_ids: _Ints
    at_ns: Int64
    received_at_ns: Int64
    keys: Int64
    deliveries: Int64
    wide: _Ints
    dups: _Ints
    values: Blobs
    reasons: Sequence[str]
    names: Sequence[str]

    @classmethod
    def of(cls, columns: InputColumns) -> Self:
        """From columns that are no arrays."""
        wide = np.fromiter((one >> 63 > 0 for one in columns.deliveries), np.uint8, len(columns.deliveries))
        deliveries = [one - (int(flag) << 64) for one, flag in zip(columns.deliveries, wide, strict=True)]
        kinds, verdicts, ids, at_ns, received, keys, _, dups, values, reasons, names = columns
        return cls(
            _int64(kinds), _int64(verdicts), _int64(ids), _int64(at_ns), _int64(received), _int64(keys),
            _int64(deliveries), wide, _int64(dups), Blobs.of(values), reasons, names or ("",) * len(kinds),
        )  # fmt: skip

    @classmethod
    def unpacked(cls, part: bytes, count: int) -> Self:
        """As `packing.unpack_inputs`. Raises `DamagedPart`."""
        read = _Reader(open_part(part), count)
        kinds, verdicts, ids, at_ns = read.numbers("B"), read.numbers("B"), read.numbers("I"), read.numbers("q")
        received, keys = read.numbers("q", at_ns), read.numbers("q", at_ns)
        deliveries = read.wide_numbers()
        wide = (deliveries >> np.uint64(63)).astype(np.uint8) if deliveries.dtype.kind == "u" else np.zeros(count, "u1")
        return cls(
            kinds, verdicts, ids, at_ns, received, keys, deliveries.view(np.int64), wide, read.numbers("B"),
            read.blobs(), read.texts(), read.texts(),
        )  # fmt: skip

    @classmethod
    def joined(cls, parts: Sequence[InputArrays]) -> Self:
        """Several, one after another; at least one."""
        return cls(*map(_joined, zip(*parts, strict=True)))


class OutputArrays(NamedTuple):
    """Outputs by column, as `packing.OutputColumns`."""

    kinds: _Ints
    causes: _Ints
    stream_ids: _Ints
    steps: Int64
    forecasts: Blobs
    body_crcs: _Ints

    @classmethod
    def of(cls, columns: OutputColumns) -> Self:
        """From columns that are no arrays."""
        kinds, causes, ids, steps, forecasts, crcs = columns
        return cls(_int64(kinds), _int64(causes), _int64(ids), _int64(steps), Blobs.of(forecasts), _int64(crcs))

    @classmethod
    def unpacked(cls, part: bytes, count: int) -> Self:
        """As `packing.unpack_outputs`. Raises `DamagedPart`."""
        read = _Reader(open_part(part), count)
        return cls(
            read.numbers("B"), read.numbers("I", np.arange(count)), read.numbers("I"), read.numbers("q"), read.blobs(),
            read.numbers("I"),
        )  # fmt: skip

    @classmethod
    def joined(cls, parts: Sequence[OutputArrays]) -> Self:
        """Several, one after another; at least one."""
        return cls(*map(_joined, zip(*parts, strict=True)))


def _int64(column: Sequence[int]) -> Int64:
    return np.array(column, np.int64)


def _joined(columns: Sequence[Any]) -> Any:
    first = columns[0]
    if isinstance(first, np.ndarray):
        return np.concatenate(columns)
    return Blobs.joined(columns) if isinstance(first, Blobs) else [text for column in columns for text in column]


class _Reader:
    """Takes the columns of a part one after another; the arrays look into its bytes."""

    __slots__ = ("_at", "_bytes", "_count")

    def __init__(self, raw: bytes, count: int) -> None:
        self._bytes, self._count, self._at = raw, count, 0

    def numbers(self, code: str, like: _Ints | None = None) -> Any:
        how, at, kind = self._bytes[self._at], self._at + 1, _TYPES[code]
        if how == LIKE and like is not None:
            self._at = at
            return like
        count = 1 if how == ONE else self._count
        found = np.frombuffer(self._bytes, kind, count, at)
        self._at = at + count * kind.itemsize
        return found.repeat(self._count) if how == ONE else found

    def wide_numbers(self) -> Any:
        self._at += 1
        return self.numbers(chr(self._bytes[self._at - 1]))

    def blobs(self) -> Blobs:
        lengths = self.numbers("I").astype(np.int64)
        total, at = int(lengths.sum()), self._at
        self._at = at + total
        return Blobs(lengths, np.frombuffer(self._bytes, np.uint8, total, at))

    def texts(self) -> Sequence[str]:
        self._at += 1
        if self._bytes[self._at - 1] == 0:
            return ("",) * self._count
        return [text.decode() for text in self.blobs().to_list()]
