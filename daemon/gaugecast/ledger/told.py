"""What was told of crossings and anomalies, kept as it was said: the outputs themselves lose their bodies once sent.

The table is made with the first of them, so that files of earlier versions need no change, and is bounded by a count.
"""

from __future__ import annotations

from collections.abc import Sequence

from gaugecast.ledger.rows import Told
from gaugecast.ledger.sql import Connection
from gaugecast.records import Output

TABLE = "told"
KEPT = 20_000

# In PostgreSQL it is there from the beginning, with types of its own; it does not look at these then.
_DDL = f"""
CREATE TABLE IF NOT EXISTS {TABLE} (
    id INTEGER PRIMARY KEY, received_at_ns INTEGER NOT NULL, fleet TEXT NOT NULL, stream TEXT NOT NULL,
    topic TEXT NOT NULL, body BLOB NOT NULL
)
"""


def add(connection: Connection, told: Sequence[Output], received_at_ns: int) -> None:
    """Within the transaction that makes the outputs durable."""
    if not told:
        return
    connection.execute(_DDL)
    connection.executemany(
        f"INSERT INTO {TABLE} (received_at_ns, fleet, stream, topic, body) VALUES (?, ?, ?, ?, ?)",
        [(received_at_ns, one.fleet, one.stream, one.topic, one.body) for one in told[-KEPT:]],
    )
    connection.execute(f"DELETE FROM {TABLE} WHERE id <= (SELECT max(id) FROM {TABLE}) - ?", (KEPT,))


def is_there(connection: Connection) -> bool:
    """Whether anything was ever told."""
    found = connection.execute("SELECT 1 FROM main.sqlite_master WHERE type = 'table' AND name = ?", (TABLE,))
    return found.fetchone() is not None


def after(connection: Connection, number: int, most: int) -> list[Told]:
    """The oldest of those behind `number`, oldest first; the table is there."""
    rows = connection.execute(
        f"SELECT id, received_at_ns, fleet, stream, topic, body FROM {TABLE} WHERE id > ? ORDER BY id LIMIT ?",
        (number, most),
    )
    return [Told(*row) for row in rows]
