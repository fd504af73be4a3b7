"""A micro-batch by column: inputs and outputs as lists of equal length, one list a field.

Between socket and ledger nearly all work is the same for each row of a batch, and done column by column; an object a
row would cost more than its forecast. A table is a sequence of rows all the same: whoever looks at single ones gets
them made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, Self, TypeVar, overload

from gaugecast.events import Event
from gaugecast.records import Input, Kind, Output

_Row = TypeVar("_Row", Input, Output)


class Table(Sequence[_Row]):
    """Rows of one kind by column; the columns have the names of the row's fields. One owner at a time."""

    __slots__ = ()
    _row: ClassVar[Any]

    def __init__(self, *columns: list[Any]) -> None:
        """Take over one list a field, in the order of the fields, all of one length; none at all: an empty table."""
        for name, column in zip(self._row._fields, columns or [[] for _ in self._row._fields], strict=True):
            setattr(self, name, column)

    @classmethod
    def of(cls, rows: Iterable[_Row]) -> Self:
        """These rows as a table; a table is given back as it is."""
        return rows if isinstance(rows, cls) else cls(*map(list, zip(*rows, strict=True)))

    @property
    def columns(self) -> list[list[Any]]:
        """All columns, in the order of the row's fields."""
        return [getattr(self, name) for name in self._row._fields]

    def append(self, row: _Row) -> None:
        """Add one row."""
        for column, value in zip(self.columns, row, strict=True):
            column.append(value)

    def extend(self, rows: Iterable[_Row]) -> None:
        """Add rows."""
        for column, more in zip(self.columns, self.of(rows).columns, strict=True):
            column += more

    def reordered(self, places: Sequence[int]) -> Self:
        """A new table: row i is the one that stands at `places[i]` here."""
        return type(self)(*([column[place] for place in places] for column in self.columns))

    def __len__(self) -> int:
        return len(getattr(self, self._row._fields[0]))

    def __iter__(self) -> Iterator[_Row]:
        return map(self._row._make, zip(*self.columns, strict=True))

    @overload
    def __getitem__(self, place: int) -> _Row: ...
    @overload
    def __getitem__(self, place: slice) -> Self: ...
    def __getitem__(self, place: int | slice) -> _Row | Self:
        found = [column[place] for column in self.columns]
        return type(self)(*found) if isinstance(place, slice) else self._row._make(found)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


class Inputs(Table[Input]):
    """Inputs in the order in which they are taken."""

    __slots__ = Input._fields
    _row = Input

    kind: list[Kind]
    fleet: list[str]
    stream: list[str]
    at_ns: list[int]
    received_at_ns: list[int]
    values: list[bytes]
    key: list[int]
    delivery: list[int]
    dup: list[bool]
    reason: list[str]
    event: list[Event | None]


class Outputs(Table[Output]):
    """Outputs in the order of the inputs that made them."""

    __slots__ = Output._fields
    _row = Output

    cause: list[int]
    fleet: list[str]
    stream: list[str]
    step: list[int]
    forecast: list[bytes]
    topic: list[str]
    body: list[bytes]
    retain: list[bool]
    qos: list[int]
