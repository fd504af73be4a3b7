"""The ledger for everybody but the loop: read-only, in short transactions, while the daemon runs or not."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from gaugecast.ledger import schema
from gaugecast.ledger.connection import cannot_open, connect_reader, connect_still, has_wal, translated
from gaugecast.ledger.file import home_of
from gaugecast.ledger.reads import Reader
from gaugecast.ledger.sql import Connection


def oldest_input(directory: Path) -> int:
    """The first seq that a state directory's ledger keeps. Any thread, any process.

    Raises:
        StorageError: As `LedgerReader`.
    """
    with LedgerReader(directory) as reader:
        return reader.first_seq


class LedgerReader(Reader):
    """A read-only view of `directory`/ledger.sqlite. One thread at a time.

    Every call sees what is durable at that moment, so `replay(after_seq)`, called again and again, follows the tail;
    `renew` says whether it is still the same ledger.

    Raises:
        StorageError: no ledger, a damaged one, or one of another version; from the calls too.
    """

    _connection: sqlite3.Connection

    def __init__(self, directory: Path) -> None:
        self.path = path = directory / schema.FILE_NAME
        self._file = _identity(path)  # before it is opened: what replaces it in between is seen by `renew`
        super().__init__(home_of(path), _open(path))

    def renew(self) -> bool:
        """Open the ledger anew where another file has taken its place (a backup was restored); whether it has.

        Raises:
            StorageError: What stands there now is no whole ledger (yet); the old one stays open, to be asked again.
        """
        found = _identity(self.path)
        if found is None or found == self._file:
            return False
        connection = _open(self.path)
        self._connection.close()
        self._attach(connection)
        self._file = found
        return True

    def _look(self) -> None:
        """A file that has become one of the present version is seen as such from now on; one that is written, too."""
        if self._still and has_wal(self.path):
            self._connection.close()
            self._attach(_open(self.path))
        if self._old and schema.version_of(self._connection) == schema.VERSION:
            self._connection.close()
            self._attach(_open(self.path))

    def _attach(self, connection: Connection) -> None:
        self._still = _is_still(connection)
        self._old = schema.version_of(connection) < schema.VERSION
        super()._attach(connection)


def _open(path: Path) -> sqlite3.Connection:
    with translated(path):
        connection = connect_reader(path)
        try:
            schema.version_of(connection)
        except sqlite3.Error as exc:
            connection.close()
            if not cannot_open(exc) or has_wal(path):
                raise
            connection = connect_still(path)
        try:
            if schema.check_version(connection, path) < schema.VERSION:
                schema.overlay(connection)
        except BaseException:
            connection.close()
            raise
    return connection


def _is_still(connection: Connection) -> bool:
    """Whether SQLite was told that nobody writes the file: it then sees no WAL."""
    mode: str = connection.execute("PRAGMA main.journal_mode").fetchone()[0]
    return mode != "wal"


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of the file, which are not used again while it is open; `None` where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
