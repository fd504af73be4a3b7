"""Small commits become one batch: nothing that is read changes, and nothing is left of their pages."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from gaugecast.config.schema import Storage
from gaugecast.ledger import Ledger, merging
from gaugecast.records import Commit
from ledger_rows import micro_batch
from support.ledgers import seal_all


def batches(ledger: Ledger) -> list[int]:
    """How many inputs each has."""
    rows = ledger._connection.execute("SELECT inputs FROM batches ORDER BY first_seq").fetchall()
    return [row[0] for row in rows]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few batches are worth a merge that a test need not write thousands."""
    monkeypatch.setattr(merging, "MERGED_ROWS", 100)
    monkeypatch.setattr(merging, "LEAST_BATCHES", 16)


@pytest.mark.usefixtures("few")
def test_a_slow_plant_takes_little_room(tmp_path: Path) -> None:
    """One reading a commit: some hundred bytes are kept of it only while it is new."""
    with closing(Ledger.open(tmp_path, Storage())) as ledger:
        empty = used_bytes(ledger)
        for number in range(400):
            ledger.commit(Commit(*micro_batch(number, 1), confirmed=number))
        unmerged = used_bytes(ledger)
        seal_all(ledger)
        assert used_bytes(ledger) - empty < (unmerged - empty) / 4


def used_bytes(ledger: Ledger) -> int:
    """What the rows take."""
    pages, free, page_bytes = (
        ledger._connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * page_bytes)


@pytest.mark.usefixtures("few")
def test_damaged_batches_are_left_out_of_merging(tmp_path: Path) -> None:
    """They stay as they are, with those beside them; the daemon goes on, and merges what comes after."""
    with closing(Ledger.open(tmp_path, Storage())) as ledger:
        for number in range(60):
            ledger.commit(Commit(*micro_batch(number, 1), confirmed=number))
        ledger._connection.execute("UPDATE batches SET input_part = x'00112233445566' WHERE first_seq = 20")
        for _ in range(3):
            seal_all(ledger)
            assert ledger.damages.total == 1
        assert len(batches(ledger)) == 60
        for number in range(60, 90):
            ledger.commit(Commit(*micro_batch(number, 1), confirmed=number))
        seal_all(ledger)
        assert batches(ledger) == [*[1] * 59, 30, 1]
