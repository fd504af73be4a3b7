"""Connections to the ledger's file, and what SQLite's errors mean to us."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from gaugecast.errors import Defect, StorageBusy, StorageDamaged, StorageError, StorageFull
from gaugecast.files import regular
from gaugecast.ledger import schema
from gaugecast.ledger.room import lacks_room

#: How long a commit waits for the file's write lock before it says busy, so that the loop can keep the link alive.
BUSY_MS = 250
#: A write, or the growth of the shared-memory file, that failed: for want of room, or because the disk is broken.
#: A failed fsync is not among them: nobody knows what it has left on the disk.
_PERHAPS_FULL = frozenset({sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE})
#: A page that cannot be read, or that is none of this file's.
_DAMAGED = frozenset({sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_IOERR_CORRUPTFS})


def connect_writer(path: Path) -> sqlite3.Connection:
    """Open the file for writing: WAL, an fsync for each commit, WAL checkpoints left to another connection.

    May be opened by one thread and used by another, by one at a time.
    """
    return _begun(
        sqlite3.connect(path, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False),
        # Some builds overwrite deleted rows with zeros by default (Debian's): that would write each page again.
        "secure_delete = OFF",
        f"page_size = {schema.PAGE_BYTES}",  # these two take effect in an empty file only
        "auto_vacuum = INCREMENTAL",
        "journal_mode = WAL",
        "synchronous = FULL",
        "wal_autocheckpoint = 0",
        "cache_size = -8000",
    )


def connect_wal(path: Path, *, busy_ms: int) -> sqlite3.Connection:
    """Open an existing ledger for nothing but WAL checkpoints; sets nothing that would need a lock."""
    uri = f"file:{quote(str(path.absolute()))}?mode=rw"
    connection = sqlite3.connect(uri, uri=True, timeout=busy_ms / 1000, isolation_level=None, check_same_thread=False)
    return _begun(connection, "wal_autocheckpoint = 0")


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open the file for reading only; works while the daemon writes."""
    _expect(path)
    return _open(path, "mode=ro")


def connect_still(path: Path) -> sqlite3.Connection:
    """Open a file that nobody writes, where not even the files beside it that a WAL needs can be made.

    A daemon that ended cleanly leaves no WAL; in a directory that we may not write, SQLite cannot open the ledger then.
    What is read this way is wrong from the moment on at which somebody writes: as soon as there is a WAL, it is to be
    closed (`has_wal`).
    """
    _expect(path)
    return _open(path, "mode=ro&immutable=1")


def has_wal(path: Path) -> bool:
    """Whether somebody has the ledger open for writing, or ended without copying its WAL back."""
    return path.with_name(path.name + "-wal").exists()


def cannot_open(exc: sqlite3.Error) -> bool:
    """Whether it is the files beside the ledger that cannot be made."""
    return getattr(exc, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)


def _expect(path: Path) -> None:
    try:
        regular(path)
    except OSError as exc:
        found = "none" if isinstance(exc, FileNotFoundError) else exc.strerror
        raise StorageError(f"expected a ledger at {path}, found {found}") from exc


def _open(path: Path, how: str) -> sqlite3.Connection:
    uri = f"file:{quote(str(path.absolute()))}?{how}"
    connection = sqlite3.connect(uri, uri=True, timeout=5.0, isolation_level=None, check_same_thread=False)
    return _begun(connection, "query_only = ON")


def _begun(connection: sqlite3.Connection, *pragmas: str) -> sqlite3.Connection:
    """With these set; closed where that fails."""
    try:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Raise our errors for SQLite's: full and busy can be tried again, all else cannot.

    Raises:
        StorageFull, StorageBusy, StorageDamaged, StorageError: as `errors` says.
        Defect: the caller handed over something that SQLite cannot store.
    """
    try:
        yield
    except (sqlite3.ProgrammingError, sqlite3.IntegrityError, sqlite3.InterfaceError, OverflowError) as exc:
        raise Defect(f"{path}: rows that cannot be stored: {exc}") from exc
    except sqlite3.Error as exc:
        raise _meaning(exc, path) from exc


def _meaning(exc: sqlite3.Error, path: Path) -> StorageError:
    name = getattr(exc, "sqlite_errorname", "no SQLite error code")
    code = getattr(exc, "sqlite_errorcode", 0)
    text = f"{path}: {exc} ({name})"
    if code & 0xFF == sqlite3.SQLITE_FULL or (code in _PERHAPS_FULL and lacks_room(path.parent)):
        return StorageFull(text)
    if code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StorageBusy(text)
    if code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or code in _DAMAGED:
        return StorageDamaged(text)
    return StorageError(text)
