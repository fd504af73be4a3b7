"""The ledger: what came in and what was said, in order and durable; and the checkpoints of what was made of it.

The only part that imports `sqlite3`. `Ledger` belongs to the loop, which alone writes rows; `LedgerReader` is for
everybody else, in this process or another; `CheckpointWriter` has a thread of its own.
"""

from gaugecast.ledger.backup import BackupReport, backup
from gaugecast.ledger.checkpoint_format import Checkpoint, Chunk
from gaugecast.ledger.checkpoint_writer import CheckpointWriter, InlineCheckpointWriter
from gaugecast.ledger.checkpoints import at_or_before, floor_seq, newest, oldest_exact
from gaugecast.ledger.faults import FAULT_POINTS, Faults, no_faults
from gaugecast.ledger.lock import StateLock
from gaugecast.ledger.reader import LedgerReader
from gaugecast.ledger.rows import Batch, Committed, Pending, Quarantined, RefusedOutput, StoredOutput
from gaugecast.ledger.store import Ledger

__all__ = [
    "FAULT_POINTS",
    "BackupReport",
    "Batch",
    "Checkpoint",
    "CheckpointWriter",
    "Chunk",
    "Committed",
    "Faults",
    "InlineCheckpointWriter",
    "Ledger",
    "LedgerReader",
    "Pending",
    "Quarantined",
    "RefusedOutput",
    "StateLock",
    "StoredOutput",
    "at_or_before",
    "backup",
    "floor_seq",
    "newest",
    "no_faults",
    "oldest_exact",
]
