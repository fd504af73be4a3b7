"""The ledger: what came in and what was said, in order and durable.

The only part that imports `sqlite3`. `Ledger` belongs to the loop, which alone writes rows; `LedgerReader` is for
everybody else, in this process or another; `copying` makes backups.
"""

from gaugecast.ledger.reader import LedgerReader
from gaugecast.ledger.rows import (
    Committed,
    HistoryPage,
    PastForecasts,
    PastReadings,
    Pending,
    Quarantined,
    RefusedOutput,
    StoredBatch,
    StoredOutput,
)
from gaugecast.ledger.store import Ledger

__all__ = [
    "Committed",
    "HistoryPage",
    "Ledger",
    "LedgerReader",
    "PastForecasts",
    "PastReadings",
    "Pending",
    "Quarantined",
    "RefusedOutput",
    "StoredBatch",
    "StoredOutput",
]
