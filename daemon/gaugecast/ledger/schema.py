"""The tables of `ledger.sqlite`, and the check that a file has them in the version that we know.

A file of version 1 is given the tables of version 2 in one transaction; its own tables of rows stay as they are, are
read as the oldest part of history, and are emptied by sealing (`legacy`).
"""

from __future__ import annotations

from collections.abc import Iterator

from gaugecast.errors import StorageError
from gaugecast.ledger.sql import Connection

FILE_NAME = "ledger.sqlite"
VERSION = 2
FIRST_VERSION = 1
APPLICATION_ID = 0x67636173  # "gcas", so that `file` and we tell a ledger from another SQLite file
PAGE_BYTES = 2048

# `streams.id` is never used again, since readers remember names by it.
# `heads` is what holds without `batches`: rows of a commit without inputs, and of batches that are gone. Inputs up to
# `sealed_seq` are in segments, whatever is still in `batches`.
KEPT_DDL = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY) WITHOUT ROWID;
CREATE TABLE heads (
    id INTEGER PRIMARY KEY CHECK (id = 0),
    last_seq INTEGER NOT NULL, last_position INTEGER NOT NULL, confirmed INTEGER NOT NULL,
    received_at_ns INTEGER NOT NULL,
    sealed_seq INTEGER NOT NULL DEFAULT 0, sealed_position INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE streams (
    id INTEGER PRIMARY KEY AUTOINCREMENT, fleet TEXT NOT NULL, stream TEXT NOT NULL, touched_seq INTEGER NOT NULL,
    UNIQUE (fleet, stream)
);
CREATE TABLE refused_outputs (
    position INTEGER PRIMARY KEY, stream_id INTEGER NOT NULL, topic TEXT NOT NULL, retain INTEGER NOT NULL,
    qos INTEGER NOT NULL, body BLOB NOT NULL, reason TEXT NOT NULL
);
CREATE TABLE quarantine (
    id INTEGER PRIMARY KEY, received_at_ns INTEGER NOT NULL, fleet TEXT NOT NULL, stream TEXT NOT NULL,
    topic TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL, head BLOB NOT NULL
);
CREATE TABLE parked (
    stream_id INTEGER NOT NULL, parked_seq INTEGER NOT NULL, unparked_seq INTEGER,
    parked_at_ns INTEGER NOT NULL, state BLOB NOT NULL,
    UNIQUE (stream_id, parked_seq)
);
CREATE INDEX parked_by_return ON parked (unparked_seq);
CREATE TABLE fingerprints (seq INTEGER PRIMARY KEY, text TEXT NOT NULL);
"""

# `batches` has one row a commit: nothing else is written of it, so that a small commit writes one page or two.
# `written_bytes` is what all batches up to this one took, so that their size is a difference of two rows.
# `pieces.id` is made of the segment's first seq and the piece's number (`sealed.piece_id`).
# `event_rows` has the text of the few inputs that are events, so that they are found among millions of readings.
# `aside` names unconfirmed outputs that must not be published (again): the broker refused them.
NEW_DDL = """
CREATE TABLE batches (
    first_seq INTEGER PRIMARY KEY, inputs INTEGER NOT NULL, first_position INTEGER NOT NULL, outputs INTEGER NOT NULL,
    confirmed INTEGER NOT NULL, received_at_ns INTEGER NOT NULL, written_bytes INTEGER NOT NULL,
    input_part BLOB NOT NULL, output_part BLOB NOT NULL, body_part BLOB NOT NULL
);
CREATE TABLE segments (
    first_seq INTEGER PRIMARY KEY, last_seq INTEGER NOT NULL, first_position INTEGER NOT NULL,
    last_position INTEGER NOT NULL, received_at_ns INTEGER NOT NULL, first_at_ns INTEGER NOT NULL,
    last_at_ns INTEGER NOT NULL, directory BLOB NOT NULL
);
CREATE TABLE pieces (id INTEGER PRIMARY KEY, part BLOB NOT NULL);
CREATE TABLE event_rows (seq INTEGER PRIMARY KEY, stream_id INTEGER NOT NULL, detail TEXT NOT NULL);
CREATE TABLE aside (position INTEGER PRIMARY KEY);
"""

_UPGRADE = """
ALTER TABLE heads ADD COLUMN sealed_seq INTEGER NOT NULL DEFAULT 0;
ALTER TABLE heads ADD COLUMN sealed_position INTEGER NOT NULL DEFAULT 0;
INSERT INTO event_rows SELECT seq, stream_id, detail FROM inputs WHERE kind = 2;
INSERT OR IGNORE INTO marks SELECT last_seq + 1, last_position + 1, received_at_ns FROM heads;
"""

_OVERLAY = """
CREATE TEMP VIEW heads AS SELECT *, 0 AS sealed_seq, 0 AS sealed_position FROM main.heads;
CREATE TEMP VIEW event_rows AS SELECT seq, stream_id, detail FROM main.inputs WHERE kind = 2;
"""


def create_tables(connection: Connection) -> None:
    """Make all tables in one transaction, in an empty file."""
    connection.execute("BEGIN IMMEDIATE")
    if is_empty(connection):  # another opener may have been faster
        for statement in _statements(KEPT_DDL + NEW_DDL):
            connection.execute(statement)
        connection.execute("INSERT INTO heads VALUES (0, 0, 0, 0, 0, 0, 0)")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def upgrade(connection: Connection) -> None:
    """Inside an open transaction: make a file of version 1 one of version 2. Its rows stay where they are."""
    for statement in _statements(NEW_DDL + _UPGRADE):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")


def overlay(connection: Connection) -> None:
    """Let a reader see a file of version 1, which it must not write, as one of version 2 that was just upgraded."""
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA query_only = OFF")
    for statement in _statements(NEW_DDL.replace("CREATE TABLE", "CREATE TEMP TABLE") + _OVERLAY):
        if "TEMP TABLE event_rows" not in statement:
            connection.execute(statement)
    connection.execute("PRAGMA query_only = ON")


def is_empty(connection: Connection) -> bool:
    """Whether the file has no table at all."""
    return connection.execute("SELECT count(*) FROM main.sqlite_master").fetchone()[0] == 0  # type: ignore[no-any-return]


def has_legacy(connection: Connection) -> bool:
    """Whether there are rows in tables of version 1."""
    found = connection.execute("SELECT 1 FROM main.sqlite_master WHERE type = 'table' AND name = 'inputs'").fetchone()
    return found is not None and connection.execute(
        "SELECT EXISTS (SELECT 1 FROM inputs) OR EXISTS (SELECT 1 FROM outputs)"
    ).fetchone() == (1,)


def version_of(connection: Connection) -> int:
    """Which version of the tables a file has."""
    return connection.execute("PRAGMA main.user_version").fetchone()[0]  # type: ignore[no-any-return]


def check_version(connection: Connection, path: object) -> int:
    """The version of a ledger that we can read: 1 or 2. Raises `StorageError` of anything else."""
    application = connection.execute("PRAGMA main.application_id").fetchone()[0]
    version = version_of(connection)
    if application != APPLICATION_ID:
        raise StorageError(f"{path}: expected a gaugecast ledger, got an SQLite file of another application")
    if not FIRST_VERSION <= version <= VERSION:
        raise StorageError(f"{path}: expected ledger schema {VERSION}, got {version}; use the gaugecast that wrote it")
    return version


def _statements(text: str) -> Iterator[str]:
    return (statement for statement in text.split(";\n") if statement.strip())
