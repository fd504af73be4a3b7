"""The tables of `ledger.sqlite`, and the check that a file has them in the version that we know."""

from __future__ import annotations

import sqlite3

from gaugecast.errors import StorageError

FILE_NAME = "ledger.sqlite"
VERSION = 1
APPLICATION_ID = 0x67636173  # "gcas", so that `file` and we tell a ledger from another SQLite file

# `inputs.key` is NULL where it equals `at_ns`, which it mostly does (8 bytes a row).
# `inputs.name` spells a reject's stream out: a flood of invented names must not fill `streams`.
# `outbox` is a table of its own because whole pages of confirmed bodies are then freed at once; setting a column
# to NULL rewrites every page of `outputs` a second time and never gives the space back.
# `streams.id` is never used again, since readers remember names by it.
# `marks` is a sparse index, one row in about a thousand inputs, always at the border of two commits: all outputs
# of inputs ≥ first_seq have positions ≥ first_position. It spares an index on outputs.seq and one on time.
# `events` holds the few inputs that are events, so that they are found among millions of readings.
DDL = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY) WITHOUT ROWID;
CREATE TABLE heads (
    id INTEGER PRIMARY KEY CHECK (id = 0),
    last_seq INTEGER NOT NULL, last_position INTEGER NOT NULL, confirmed INTEGER NOT NULL,
    received_at_ns INTEGER NOT NULL
);
CREATE TABLE streams (
    id INTEGER PRIMARY KEY AUTOINCREMENT, fleet TEXT NOT NULL, stream TEXT NOT NULL, touched_seq INTEGER NOT NULL,
    UNIQUE (fleet, stream)
);
CREATE TABLE inputs (
    seq INTEGER PRIMARY KEY, stream_id INTEGER NOT NULL, kind INTEGER NOT NULL, verdict INTEGER NOT NULL,
    at_ns INTEGER NOT NULL, received_at_ns INTEGER NOT NULL, key INTEGER, delivery INTEGER NOT NULL,
    dup INTEGER NOT NULL, "values" BLOB NOT NULL, detail TEXT NOT NULL, name TEXT
);
CREATE TABLE outputs (
    position INTEGER PRIMARY KEY, seq INTEGER NOT NULL, stream_id INTEGER NOT NULL, step INTEGER NOT NULL,
    forecast BLOB NOT NULL, body_crc INTEGER NOT NULL
);
CREATE TABLE outbox (
    position INTEGER PRIMARY KEY, topic TEXT NOT NULL, retain INTEGER NOT NULL, qos INTEGER NOT NULL,
    body BLOB NOT NULL
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
CREATE INDEX events ON inputs (seq) WHERE kind = 2;
CREATE TABLE marks (
    first_seq INTEGER PRIMARY KEY, first_position INTEGER NOT NULL, received_at_ns INTEGER NOT NULL
);
CREATE TABLE fingerprints (seq INTEGER PRIMARY KEY, text TEXT NOT NULL);
"""


def create_tables(connection: sqlite3.Connection) -> None:
    """Make all tables in one transaction, in an empty file."""
    connection.execute("BEGIN IMMEDIATE")
    if is_empty(connection):  # another opener may have been faster
        for statement in DDL.split(";\n"):
            if statement.strip():
                connection.execute(statement)
        connection.execute("INSERT INTO heads VALUES (0, 0, 0, 0, 0)")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute("COMMIT")


def is_empty(connection: sqlite3.Connection) -> bool:
    """Whether the file has no table at all."""
    return connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0  # type: ignore[no-any-return]


def check_version(connection: sqlite3.Connection, path: object) -> None:
    """Raise `StorageError` unless this is a ledger of the version that we write."""
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if application != APPLICATION_ID:
        raise StorageError(f"{path}: expected a gaugecast ledger, got an SQLite file of another application")
    if version != VERSION:
        raise StorageError(f"{path}: expected ledger schema {VERSION}, got {version}; use the gaugecast that wrote it")
