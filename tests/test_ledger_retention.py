"""What is pruned leaves the file, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from gaugecast.config.schema import Storage
from gaugecast.ledger import Ledger
from gaugecast.records import Commit
from ledger_rows import micro_batch

DAY_S = 86_400


def test_space_is_given_back_to_the_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a much smaller `keep_gb` the file shrinks, a little in each call."""
    monkeypatch.setattr("gaugecast.ledger.file._VACUUM_BYTES", 16384)
    ledger = Ledger.open(tmp_path, Storage(keep_days=1 / DAY_S))
    for first in range(0, 20_000, 1000):
        ledger.commit(Commit(*micro_batch(first, 1000), confirmed=first))
    ledger._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = ledger.path.stat().st_size
    for _ in range(100):
        ledger.prune(20_000)
    ledger._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert ledger.path.stat().st_size < before / 2
    ledger.close()
