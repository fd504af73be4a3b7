"""What the ledger asks of its home, where that is a schema: how large it is."""

from __future__ import annotations

from gaugecast.cluster.postgres.connection import translated
from gaugecast.cluster.postgres.place import Place
from gaugecast.ledger.sql import Connection, Home

_SIZE = (
    "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class"
    " WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'"
)
_SEGMENTS = "SELECT count(*), coalesce(min(first_seq), 0), coalesce(max(first_seq), 0) FROM segments"
_SEALED = (
    "SELECT (SELECT coalesce(sum(octet_length(part)), 0) FROM pieces)::bigint"
    " + (SELECT coalesce(sum(octet_length(directory)), 0) FROM segments)::bigint"
)
_BATCHES = (
    "SELECT coalesce((SELECT written_bytes FROM batches ORDER BY first_seq DESC LIMIT 1)"
    " - (SELECT written_bytes FROM batches ORDER BY first_seq LIMIT 1), 0)"
)


def home_of(place: Place) -> Home:
    """What is asked of a schema. Room that is free within the tables PostgreSQL uses again by itself."""
    return Home(name=str(place), errors=lambda: translated(place), size_bytes=size_bytes, used_bytes=_Used())


def size_bytes(connection: Connection) -> int:
    """What the tables take in the database, with their indexes and what is free in them."""
    return int(connection.execute(_SIZE).fetchone()[0])


class _Used:
    """What the rows take: deleted ones do not count, although a table never shrinks by itself.

    The sum over all pieces is asked for again only when a segment came or went.
    """

    def __init__(self) -> None:
        self._segments: tuple[int, ...] = ()
        self._sealed = 0

    def __call__(self, connection: Connection) -> int:
        """Bytes, as of now."""
        segments = tuple(connection.execute(_SEGMENTS).fetchone())
        if segments != self._segments:
            self._segments, self._sealed = segments, int(connection.execute(_SEALED).fetchone()[0])
        return self._sealed + int(connection.execute(_BATCHES).fetchone()[0])
