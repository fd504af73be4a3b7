"""Copying all columns at one ledger position, slice by slice, while steps go on between the slices.

A slice covers all columns of a range of slots. Rows that change before their slice is due are set aside first
(`preserve`) and laid over it when it comes, so that the copy is that of the moment at which it began.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from gaugecast.records import Int64
from gaugecast.streams.columns import Array, Columns


class Slice(NamedTuple):
    """Rows `start…` of the column `name`, as they were when the snapshot began."""

    name: str
    start: int
    rows: Array


class Snapshot:
    """One copy in the making. Owned by the loop's thread.

    Args:
        groups: For each group of columns that share slots (a fleet): its tables by name.
        used: Slots in use in each group.
    """

    def __init__(self, groups: Mapping[str, Mapping[str, Columns]], used: Mapping[str, int]) -> None:
        self._groups = {name: dict(tables) for name, tables in groups.items()}
        self._used = dict(used)
        self._copied = dict.fromkeys(groups, 0)  # rows below are copied
        self._aside: dict[str, list[tuple[Int64, dict[str, Array]]]] = {name: [] for name in groups}
        self._kept = {name: np.zeros(used[name], bool) for name in groups}

    @property
    def done(self) -> bool:
        """Whether every row has been copied."""
        return all(self._copied[g] >= self._used[g] for g in self._groups)

    def preserve(self, group: str, slots: Int64) -> None:
        """Set the rows of `slots` aside: they are about to change."""
        if group not in self._groups:
            return
        slots = slots[(slots >= self._copied[group]) & (slots < self._used[group])]
        slots = slots[~self._kept[group][slots]]
        if len(slots):
            self._kept[group][slots] = True
            self._aside[group].append((slots, {name: a[slots] for name, a in self._columns(group)}))

    def take(self, budget_bytes: int) -> Iterator[Slice]:
        """Copy the next slice of about `budget_bytes`, one item a column; nothing when done."""
        for group, tables in self._groups.items():
            start, used = self._copied[group], self._used[group]
            if start >= used:
                continue
            row_bytes = sum(columns.row_bytes for columns in tables.values())
            stop = min(used, start + max(1, budget_bytes // row_bytes))
            self._copied[group] = stop
            for name, array in self._columns(group):
                yield Slice(name, start, self._overlaid(group, name, array[start:stop].copy(), start))
            self._forget(group, stop)
            return

    def _columns(self, group: str) -> Iterator[tuple[str, Array]]:
        for table, columns in self._groups[group].items():
            for name, array in columns:
                yield f"{group}/{table}/{name}", array

    def _overlaid(self, group: str, name: str, rows: Array, start: int) -> Array:
        for slots, columns in self._aside[group]:
            inside = (slots >= start) & (slots < start + len(rows))
            rows[slots[inside] - start] = columns[name][inside]
        return rows

    def _forget(self, group: str, stop: int) -> None:
        self._aside[group] = [entry for entry in self._aside[group] if np.max(entry[0]) >= stop]
