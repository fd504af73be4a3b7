"""The ledger: what came in and what was said, in order and durable.

The only part that imports `sqlite3`. `Ledger` belongs to the loop, which alone writes rows; `LedgerReader` is for
everybody else, in this process or another; `copying` makes backups.
"""

from gaugecast.ledger.reader import LedgerReader
from gaugecast.ledger.rows import (
    Committed,
    HistoryPage,
    Pending,
    Quarantined,
    RefusedOutput,
    StoredBatch,
    StoredOutput,
    StoredReading,
)
from gaugecast.ledger.store import Ledger

__all__ = [
    "Committed",
    "HistoryPage",
    "Ledger",
    "LedgerReader",
    "Pending",
    "Quarantined",
    "RefusedOutput",
    "StoredBatch",
    "StoredOutput",
    "StoredReading",
]
