"""Checkpoint writers over the ledger of a state directory, as the daemon makes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gaugecast.config.schema import Storage
from gaugecast.ledger.reader import oldest_input
from gaugecast.ledger.schema import FILE_NAME
from gaugecast.ledger.wal import WalCopier
from gaugecast.storage.checkpoint_writer import CheckpointWriter, InlineCheckpointWriter


def inline_writer(directory: Path, storage: Storage | None = None, **words: Any) -> InlineCheckpointWriter:
    """Writes in the caller's thread."""
    return InlineCheckpointWriter(directory, storage or Storage(), lambda: _oldest(directory), **words)


def threaded_writer(directory: Path, storage: Storage | None = None, **words: Any) -> CheckpointWriter:
    """Writes in a thread of its own, and copies the WAL."""
    wal = WalCopier(directory / FILE_NAME)
    return CheckpointWriter(directory, storage or Storage(), lambda: _oldest(directory), wal, **words)


def _oldest(directory: Path) -> int:
    return oldest_input(directory) if (directory / FILE_NAME).exists() else 1
