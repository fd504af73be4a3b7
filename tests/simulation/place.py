"""Where a story keeps its ledger: memory, where the machine lets us, for a story fsyncs some hundred times."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MEMORY = Path("/dev/shm")


@contextmanager
def empty_place() -> Iterator[Path]:
    """An empty directory, gone afterwards."""
    home = _MEMORY if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="gaugecast-story-", dir=home) as name:
        yield Path(name)
