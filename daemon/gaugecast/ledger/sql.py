"""What is asked of a connection, so that the same statements work on SQLite and on PostgreSQL.

They are written for both: `?` for parameters, `ON CONFLICT` rather than `OR REPLACE`, a name for each
subquery, a `CAST` where only a parameter would tell a type. `sqlite3.Connection` is one as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol


class Rows(Protocol):
    """What a statement gives."""

    @property
    def rowcount(self) -> int:
        """How many rows were written."""

    def fetchone(self) -> Any:
        """The next row; `None` after the last."""

    def fetchall(self) -> list[Any]:
        """The rows that are left."""

    def close(self) -> None:
        """No more of them are wanted."""

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """An open connection; one thread at a time. It commits by itself what is not between BEGIN and COMMIT."""

    @property
    def in_transaction(self) -> bool:
        """Whether one is open."""

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Rows:
        """Do one statement."""

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> Rows:
        """Do one statement for each row of parameters."""

    def close(self) -> None:
        """Nothing more is asked."""


def no_room_is_given_back(_: Connection) -> None:
    """The database sees to it by itself."""


@dataclass(frozen=True, slots=True)
class Home:
    """Where a ledger lies, and what is asked of that place in its own words.

    Attributes:
        name: For messages.
        errors: Around each question: its errors become ours.
        size_bytes: What the ledger takes there.
        used_bytes: What its rows take, of that.
        has_legacy: Whether there may be rows in tables of version 1.
        has_told: Whether there is a table of what was told.
        give_back: Shrinks what it takes a little, where much of it is free.
    """

    name: str
    errors: Callable[[], AbstractContextManager[None]]
    size_bytes: Callable[[Connection], int]
    used_bytes: Callable[[Connection], int]
    has_legacy: Callable[[Connection], bool] = lambda _: False
    has_told: Callable[[Connection], bool] = lambda _: True
    give_back: Callable[[Connection], None] = no_room_is_given_back
