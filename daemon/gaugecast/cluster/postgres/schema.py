"""The tables of a ledger in PostgreSQL: those of `ledger.schema`, with PostgreSQL's types, and a few beside them."""

from __future__ import annotations

from gaugecast.cluster.postgres.connection import PostgresConnection
from gaugecast.cluster.postgres.place import Place
from gaugecast.errors import StorageError
from gaugecast.ledger.schema import NEW_DDL

VERSION = 1
#: In `meta` of the schema that a cluster is named by: how many there are, each with a ledger in a schema of its own.
PARTITIONS = "partitions"

#: Batches, segments and what is beside them are the ledger's own; PostgreSQL has other names for two types.
_SAME = NEW_DDL.replace("INTEGER", "BIGINT").replace("BLOB", "BYTEA")

# Parts are compressed by us: EXTERNAL spares PostgreSQL the attempt. `parked.rowid` is the order of parking, as in
# SQLite. `fences` has the newest token of each name: who holds an older one may write no more.
_DDL = f"""{_SAME}
CREATE TABLE meta (key TEXT PRIMARY KEY, value BIGINT);
CREATE TABLE fences (name TEXT PRIMARY KEY, token BIGINT NOT NULL);
CREATE TABLE heads (
    id BIGINT PRIMARY KEY CHECK (id = 0),
    last_seq BIGINT NOT NULL, last_position BIGINT NOT NULL, confirmed BIGINT NOT NULL,
    received_at_ns BIGINT NOT NULL,
    sealed_seq BIGINT NOT NULL DEFAULT 0, sealed_position BIGINT NOT NULL DEFAULT 0
);
CREATE TABLE streams (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, fleet TEXT NOT NULL, stream TEXT NOT NULL,
    touched_seq BIGINT NOT NULL, UNIQUE (fleet, stream)
);
CREATE TABLE refused_outputs (
    position BIGINT PRIMARY KEY, stream_id BIGINT NOT NULL, topic TEXT NOT NULL, retain BOOLEAN NOT NULL,
    qos BIGINT NOT NULL, body BYTEA NOT NULL, reason TEXT NOT NULL
);
CREATE TABLE quarantine (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, received_at_ns BIGINT NOT NULL, fleet TEXT NOT NULL,
    stream TEXT NOT NULL, topic TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL, head BYTEA NOT NULL
);
CREATE TABLE parked (
    stream_id BIGINT NOT NULL, parked_seq BIGINT NOT NULL, unparked_seq BIGINT,
    parked_at_ns BIGINT NOT NULL, state BYTEA NOT NULL,
    rowid BIGINT GENERATED ALWAYS AS IDENTITY UNIQUE,
    UNIQUE (stream_id, parked_seq)
);
CREATE INDEX parked_by_return ON parked (unparked_seq);
CREATE TABLE fingerprints (seq BIGINT PRIMARY KEY, text TEXT NOT NULL);
CREATE TABLE told (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, received_at_ns BIGINT NOT NULL, fleet TEXT NOT NULL,
    stream TEXT NOT NULL, topic TEXT NOT NULL, body BYTEA NOT NULL
);
CREATE TABLE checkpoints (
    seq BIGINT PRIMARY KEY, made_at TIMESTAMPTZ NOT NULL DEFAULT now(), bytes BIGINT NOT NULL,
    daily BOOLEAN NOT NULL DEFAULT false, models TEXT NOT NULL DEFAULT ''
);
CREATE TABLE checkpoint_parts (
    seq BIGINT REFERENCES checkpoints ON DELETE CASCADE, number BIGINT, part BYTEA NOT NULL, PRIMARY KEY (seq, number)
);
CREATE TABLE weights (
    fleet TEXT, version TEXT, file TEXT, content BYTEA NOT NULL, stored_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (fleet, version, file)
);
ALTER TABLE batches ALTER input_part SET STORAGE EXTERNAL, ALTER output_part SET STORAGE EXTERNAL,
    ALTER body_part SET STORAGE EXTERNAL;
ALTER TABLE pieces ALTER part SET STORAGE EXTERNAL;
ALTER TABLE parked ALTER state SET STORAGE EXTERNAL;
ALTER TABLE checkpoint_parts ALTER part SET STORAGE EXTERNAL;
ALTER TABLE weights ALTER content SET STORAGE EXTERNAL;
INSERT INTO heads VALUES (0, 0, 0, 0, 0, 0, 0);
"""


def make_tables(connection: PostgresConnection, place: Place) -> None:
    """Make the schema and its tables where there are none: in one transaction, and by one opener of several."""
    connection.script("BEGIN; SELECT pg_advisory_xact_lock(hashtext('gaugecast'))")
    try:
        if not _exists(connection, place):
            connection.script(
                f'CREATE SCHEMA IF NOT EXISTS "{place.schema}"; {_DDL}'
                f"INSERT INTO meta VALUES ('version', {VERSION}); COMMIT"
            )
        else:
            connection.script("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.script("ROLLBACK")
        raise


def check_version(connection: PostgresConnection, place: Place) -> None:
    """Raise `StorageError` where there is no ledger, or one that we cannot read."""
    if not _exists(connection, place):
        raise StorageError(f"expected a ledger in {place}, found none")
    row = connection.execute("SELECT value FROM meta WHERE key = 'version'").fetchone()
    if row is None or row[0] != VERSION:
        raise StorageError(f"{place}: expected ledger version {VERSION}, got {row and row[0]}; use what wrote it")
    partitions = count_partitions(connection, place)
    if partitions:
        last = place.part(partitions - 1).schema
        raise StorageError(
            f"{place}: is that of a cluster, and has no ledger; its partitions' are in {place.part(0).schema} to "
            f"{last}: say in [storage] postgres_schema which"
        )


def count_partitions(connection: PostgresConnection, place: Place) -> int:
    """Of the cluster that a schema names; 0 = it names none."""
    if not _exists(connection, place):
        return 0
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (PARTITIONS,)).fetchone()
    return 0 if row is None else int(row[0])


def _exists(connection: PostgresConnection, place: Place) -> bool:
    row = connection.execute("SELECT to_regclass(?) IS NOT NULL", (f'"{place.schema}".heads',)).fetchone()
    return bool(row[0])
