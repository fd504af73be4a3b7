"""Small commits become one batch: nothing that is read changes, and nothing is left of their pages."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gaugecast.config.schema import Storage
from gaugecast.ledger import Ledger, LedgerReader, merging
from gaugecast.records import Commit, Input, Output
from ledger_rows import any_batch, micro_batch
from test_ledger_segments import seal_all, told


def batches(ledger: Ledger) -> list[int]:
    """How many inputs each has."""
    rows = ledger._connection.execute("SELECT inputs FROM batches ORDER BY first_seq").fetchall()
    return [row[0] for row in rows]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    commits=st.lists(any_batch(), min_size=2, max_size=8),
    given_up=st.integers(0, 10),
    merged_rows=st.sampled_from([4, 30]),
)
def test_merging_changes_nothing_that_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    commits: list[tuple[list[Input], list[int], list[Output]]],
    given_up: int,
    merged_rows: int,
) -> None:
    """For the writer, an open reader and the next process; what is not confirmed is still to be published."""
    directory = tmp_path_factory.mktemp("ledger")
    with pytest.MonkeyPatch.context() as patch, closing(Ledger.open(directory, Storage())) as ledger:
        patch.setattr(merging, "MERGED_ROWS", merged_rows)
        patch.setattr(merging, "LEAST_BATCHES", 2)
        for commit in commits:
            ledger.commit(Commit(*commit))
        ledger.commit(Commit(confirmed=max(0, ledger.last_position - given_up)))
        before, waiting = told(ledger), [ledger.pending(after, 1000) for after in range(ledger.last_position + 1)]
        with LedgerReader(directory) as reader:
            while ledger.prune(0):
                assert told(reader) == told(ledger) == before
                assert [reader.pending(after, 1000) for after in range(ledger.last_position + 1)] == waiting
    with closing(Ledger.open(directory, Storage())) as ledger:
        assert told(ledger) == before
        assert ledger.commit(Commit(*micro_batch(0, 1))).first_seq == 1 + sum(len(one[0]) for one in commits)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few batches are worth a merge that a test need not write thousands."""
    monkeypatch.setattr(merging, "MERGED_ROWS", 100)
    monkeypatch.setattr(merging, "LEAST_BATCHES", 16)


@pytest.mark.usefixtures("few")
def test_only_small_batches_that_are_confirmed_are_merged(tmp_path: Path) -> None:
    """Large ones stay, and so do few: the pages that a merge writes would not be saved."""
    with closing(Ledger.open(tmp_path, Storage())) as ledger:
        for number in range(10):
            ledger.commit(Commit(*micro_batch(number, 1)))
        ledger.commit(Commit(*micro_batch(10, 50)))
        for number in range(30):
            ledger.commit(Commit(*micro_batch(60 + number, 1)))
        ledger.commit(Commit(confirmed=80))
        seal_all(ledger)
        assert batches(ledger) == [10, 50, 20, *[1] * 10]
        for number in range(14):
            ledger.commit(Commit(*micro_batch(90 + number, 15), confirmed=ledger.last_position))
        seal_all(ledger)
        assert batches(ledger) == [10, 50, 20, 10 + 6 * 15, 7 * 15, 15]


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
