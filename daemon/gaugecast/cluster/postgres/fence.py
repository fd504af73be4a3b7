"""Fencing: who writes holds the newest token of a name; an older one is refused within the transaction that writes."""

from __future__ import annotations

from typing import NamedTuple

from gaugecast.cluster.postgres.connection import PostgresConnection
from gaugecast.errors import Fenced

#: The name under which the ledger itself is written.
WRITER = "writer"
_NEXT = "INSERT INTO fences VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET token = fences.token + 1 RETURNING token"
#: The lock makes whoever takes the next token wait for this transaction, and this one for him: never both go through.
_CHECK = "BEGIN; SELECT token, pg_current_xact_id()::text FROM fences WHERE name = 'writer' FOR SHARE"


class Begun(NamedTuple):
    """A transaction that writes.

    Attributes:
        xid: By which it can be asked for after a connection was lost.
    """

    token: int
    xid: str


def take(connection: PostgresConnection, name: str) -> int:
    """Take the next token; whoever has an older one may write no more. Waits for a transaction that is under way."""
    return int(connection.execute(_NEXT, (name,)).fetchall()[0][0])


def newest(connection: PostgresConnection, name: str) -> int:
    """The newest token; 0 where none was ever taken."""
    row = connection.execute("SELECT token FROM fences WHERE name = ?", (name,)).fetchone()
    return 0 if row is None else int(row[0])


def begin(connection: PostgresConnection, token: int, *, synced: bool = True) -> Begun:
    """Begin a transaction that writes the ledger, in one exchange.

    Raises:
        Fenced: Another has taken the next token. The transaction is open, to be rolled back.
    """
    rows = connection.script(_CHECK if synced else f"{_CHECK}; SET LOCAL synchronous_commit = off")
    begun = Begun(int(rows[0][0]), rows[0][1]) if rows else Begun(0, "")
    check(token, begun.token)
    return begun


def check(ours: int, newest: int) -> None:
    """Raise `Fenced` where ours is not the newest token."""
    if ours != newest:
        raise Fenced(
            f"expected our token {ours} to be the newest, got {newest}: another process writes this ledger now"
        )
