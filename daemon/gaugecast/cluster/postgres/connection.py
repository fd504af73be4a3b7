"""A connection to PostgreSQL that takes the ledger's statements, and what PostgreSQL's errors mean to us."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from psycopg.types.numeric import Int8BinaryDumper

from gaugecast.cluster.postgres.place import Place
from gaugecast.errors import Defect, StorageBusy, StorageDamaged, StorageError, StorageFull
from gaugecast.ledger.sql import Rows

#: What the URL does not say. A server that is silent, not only one that says no, is noticed before keepalives run out.
_DEFAULTS: dict[str, Any] = {
    "connect_timeout": 3, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3,
    "tcp_user_timeout": 8000, "client_encoding": "utf8",
}  # fmt: skip
#: A writer that stands still in the middle of a transaction, stopped or cut off, must not keep its successor out.
_SESSION = (
    "SET search_path = {schema}; SET time zone 'UTC'; SET lock_timeout = '15s';"
    " SET idle_in_transaction_session_timeout = '5s';"
    " SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
)
_READING = (
    "; SET default_transaction_isolation = 'repeatable read'; SET default_transaction_read_only = on;"
    " SET idle_in_transaction_session_timeout = '60s'"
)
#: Errors that pass: the server ends, starts, is another's standby just now; a lock, a cancelled or idle transaction.
_PASSING = frozenset({
    "57P01", "57P02", "57P03", "57P05", "57014", "53300", "55P03", "25P03", "25006", "40001", "40P01",
})  # fmt: skip
#: What mends a server that does not let us in, by what libpq says of it.
_MENDS = (
    ("password", "it belongs into the file that PGPASSFILE, or passfile= in [storage] postgres, names (mode 0600)"),
    ("no pg_hba.conf entry", "let this machine in, in the server's pg_hba.conf"),
    (r'role ".*" does not exist', "createuser makes it, or name another one in [storage] postgres"),
    (r'database ".*" does not exist', "createdb makes it, or name another one in [storage] postgres"),
    ("resolve host", "mend the host in [storage] postgres"),
    ("Connection refused", "start the server, or mend host and port in [storage] postgres"),
)
_FULL, _DAMAGED = frozenset({"53100"}), frozenset({"XX001", "XX002"})


class PostgresConnection:
    """One session, of one thread at a time; in autocommit but between BEGIN and COMMIT.

    Args:
        place: Whose schema unqualified names mean.
        name: What the server shows of it in `pg_stat_activity`.
        reading: Every transaction sees one state, and writes nothing.
    """

    def __init__(self, place: Place, *, name: str, reading: bool = False) -> None:
        wanted = {**_DEFAULTS, "application_name": f"gaugecast {name}", **conninfo_to_dict(place.url)}
        self._raw = psycopg.connect(autocommit=True, cursor_factory=psycopg.RawCursor, **wanted)
        try:
            # An integer is always a bigint: else its size would make another prepared statement.
            self._raw.adapters.register_dumper(int, Int8BinaryDumper)
            quoted = '"' + place.schema.replace('"', '""') + '"'
            self.script(_SESSION.format(schema=quoted) + (_READING if reading else ""))
        except BaseException:
            self._raw.close()
            raise

    @property
    def in_transaction(self) -> bool:
        """Whether one is open, failed or not."""
        return self._raw.info.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR)

    @property
    def lost(self) -> bool:
        """Whether the server is gone, or we have closed."""
        return bool(self._raw.closed)

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Rows:
        """Do one statement of the ledger's."""
        return self._raw.execute(numbered(sql), _storable(parameters) or None, binary=True)  # type: ignore[no-any-return]

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> Rows:
        """Do one statement for each row of parameters, without waiting in between."""
        cursor = self._raw.cursor()
        cursor.executemany(numbered(sql), [_storable(row) for row in parameters])
        return cursor  # type: ignore[no-any-return]

    def script(self, sql: str) -> list[tuple[Any, ...]]:
        """Several statements without parameters, in one exchange; the rows of all of them, as text would give them."""
        cursor = self._raw.execute(sql, prepare=False)
        found: list[tuple[Any, ...]] = []
        while True:
            if cursor.description is not None:
                found += cursor.fetchall()
            if not cursor.nextset():
                return found

    def close(self) -> None:
        """End the session."""
        self._raw.close()


@cache
def numbered(sql: str) -> str:
    """A statement of the ledger's with PostgreSQL's parameters: the first `?` becomes `$1`."""
    numbers = itertools.count(1)
    return re.sub(r"\?", lambda _: f"${next(numbers)}", sql)


def _storable(row: Sequence[Any]) -> Sequence[Any]:
    """PostgreSQL's text cannot hold a zero character; what holds one is somebody's garbage that is put aside."""
    if any(type(one) is str and "\0" in one for one in row):
        return [one.replace("\0", "\ufffd") if type(one) is str else one for one in row]
    return row


def _mend(said: str) -> str:
    """What to do about it, where that is known."""
    return next((f"; {mend}" for words, mend in _MENDS if re.search(words, said)), "")


@contextmanager
def translated(place: Place) -> Iterator[None]:
    """Raise our errors for psycopg's: a server that is away or full can be tried again, all else cannot.

    Raises:
        StorageFull, StorageBusy, StorageDamaged, StorageError: as `errors` says.
        Defect: the caller handed over something that PostgreSQL cannot store.
    """
    try:
        yield
    except psycopg.Error as exc:
        raise meaning(exc, place) from exc


def meaning(exc: psycopg.Error, place: Place) -> StorageError | Defect:
    """Our error for one of psycopg's. No message of libpq's has a password in it."""
    code = exc.sqlstate or ""
    text = f"{place}: {' '.join(str(exc).split())} ({code or 'no answer'})"
    if code in _FULL:
        return StorageFull(text)
    gone = not code and isinstance(exc, psycopg.OperationalError | psycopg.InterfaceError)
    if gone or code[:2] == "08" or code in _PASSING:
        return StorageBusy(text + _mend(str(exc)))
    if code in _DAMAGED:
        return StorageDamaged(text)
    if code[:2] in ("22", "23") or not code:
        return Defect(f"{place}: rows that cannot be stored: {exc}")
    return StorageError(text)
