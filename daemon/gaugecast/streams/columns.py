"""Named arrays that share their row numbers: the storage under `StreamTable` and the experts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gaugecast.errors import Defect

Array = npt.NDArray[Any]


class Column(NamedTuple):
    """What one column is: its name, element type, shape of one row's entry, and the value of an unused row."""

    name: str
    dtype: str
    tail: tuple[int, ...] = ()
    fill: float | int | bool = 0


class Columns:
    """Arrays `(capacity, *tail)` under one roof. Owned by the loop's thread.

    Rows are addressed by slot. `grow` replaces the arrays, so callers look a column up again after it.
    """

    def __init__(
        self, spec: Iterable[Column], capacity: int, *, blocks: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        """Make them, filled.

        Args:
            blocks: By name of a block, columns of one type and shape that lie together, so that `block` has them all.
        """
        self.spec = tuple(spec)
        self.capacity = 0
        self._blocks = {name: tuple(columns) for name, columns in (blocks or {}).items()}
        self._whole: dict[str, Array] = {}
        self._arrays: dict[str, Array] = {c.name: np.empty((0, *c.tail), c.dtype) for c in self.spec}
        self.grow(capacity)

    def __getitem__(self, name: str) -> Array:
        return self._arrays[name]

    def __iter__(self) -> Iterator[tuple[str, Array]]:
        return iter(self._arrays.items())

    def grow(self, capacity: int) -> None:
        """Make room for `capacity` rows; new rows hold each column's fill."""
        # zeros() maps pages lazily: rows that no stream uses cost no memory.
        places: dict[str, Array] = {}
        for block, names in self._blocks.items():
            like = self._arrays[names[0]]
            self._whole[block] = whole = np.zeros((capacity, len(names), *like.shape[1:]), like.dtype)
            places |= {name: whole[:, place] for place, name in enumerate(names)}
        for column in self.spec:
            old, new = self._arrays[column.name], places.get(column.name)
            if new is None:
                new = np.zeros((capacity, *column.tail), column.dtype)
            new[: len(old)] = old
            if column.fill != 0:
                new[len(old) :] = column.fill
            self._arrays[column.name] = new
        self.capacity = capacity

    def block(self, name: str) -> Array:
        """The columns of a block (capacity, columns, *tail), in the order that was given."""
        return self._whole[name]

    def clear(self, slots: Array | slice | int) -> None:
        """Give rows their fill again."""
        for column in self.spec:
            self._arrays[column.name][slots] = column.fill

    def take_rows_of(self, other: Columns) -> None:
        """Copy all rows of columns that are laid out, and as long, as these; of others nothing."""
        if self.digest() == other.digest():
            for name, array in other:
                self._arrays[name][:] = array

    @property
    def row_bytes(self) -> int:
        """Bytes of one row over all columns."""
        return sum(a.itemsize * int(np.prod(a.shape[1:], dtype=np.int64)) for a in self._arrays.values())

    def digest(self) -> bytes:
        """Eight bytes that differ where a row's layout differs."""
        return hashlib.sha256(repr(self.spec).encode()).digest()[:8]

    def pack(self, slot: int) -> bytes:
        """One row as bytes, behind the layout's digest."""
        return self.digest() + b"".join(array[slot].tobytes() for array in self._arrays.values())

    def unpack(self, slot: int, packed: bytes) -> bool:
        """Fill a row from `pack`'s bytes; False, and nothing done, where the layout is another one."""
        if packed[:8] != self.digest():
            return False
        if len(packed) != 8 + self.row_bytes:
            raise Defect(f"a packed row of {8 + self.row_bytes} bytes expected, got {len(packed)}")
        at = 8
        for array in self._arrays.values():
            size = array.itemsize * int(np.prod(array.shape[1:], dtype=np.int64))
            array[slot] = np.frombuffer(packed, array.dtype, offset=at, count=size // array.itemsize).reshape(
                array.shape[1:]
            )
            at += size
        return True
