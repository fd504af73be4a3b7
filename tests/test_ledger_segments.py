"""What was sealed reads as before, one stream's history is a slice of it, and damage is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gaugecast.config.schema import Storage
from gaugecast.errors import StorageError, StorageFull
from gaugecast.ledger import Ledger, LedgerReader
from gaugecast.records import Commit
from ledger_rows import SECOND, T0, forecast, micro_batch, reading
from support.ledgers import seal_all, segments, told

STREAMS = ("a", "b", "c")
ROUNDS = 60


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Three streams that take turns, a reading a second each, every one with a forecast; all confirmed but the last."""
    opened = Ledger.open(tmp_path, Storage(directory=tmp_path), segment_rows=40)
    for number in range(ROUNDS):
        inputs = [reading(number, stream=stream) for stream in STREAMS]
        outputs = [forecast(i, number, stream=stream) for i, stream in enumerate(STREAMS)]
        opened.commit(Commit(inputs, [0, 0, 2], outputs, confirmed=opened.last_position))
    yield opened
    opened.close()


CRASH = """
import os, sys
from pathlib import Path
from gaugecast.config.schema import Storage
from gaugecast.ledger import Ledger

left = int(sys.argv[2])
def faults(point):
    global left
    left -= point == sys.argv[3]
    if left < 0:
        os.kill(os.getpid(), 9)
ledger = Ledger.open(Path(sys.argv[1]), Storage(), segment_rows=40, faults=faults)
while ledger.prune(0):
    pass
os._exit(3)
"""


@pytest.mark.parametrize("point", ["prune:deleted", "prune:after"])
def test_a_process_that_dies_while_it_seals_leaves_every_row_once(ledger: Ledger, point: str) -> None:
    """Whichever step it dies in; the next one begins anew, and deletes what was left of the segment."""
    before, directory = told(ledger), ledger.path.parent
    ledger.close()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for step in range(100):
        died = subprocess.run(
            [sys.executable, "-c", CRASH, str(directory), str(step), point], env=environment, timeout=60
        )
        with LedgerReader(directory) as reader:
            assert told(reader) == before
        if died.returncode == 3:
            break
        assert died.returncode == -signal.SIGKILL
    assert step > 3
    ledger = Ledger.open(directory, Storage(), segment_rows=40)
    seal_all(ledger)
    pieces = ledger._connection.execute("SELECT count(*) FROM pieces").fetchone()[0]
    assert pieces == 2 * segments(ledger) == 8, "expected no piece of a segment that never was"
    ledger.close()


def test_a_disk_that_is_full_while_it_seals_only_puts_it_off(tmp_path: Path) -> None:
    """What was collected is collected again."""
    calls = 0

    def faults(point: str) -> None:
        nonlocal calls
        calls += point == "prune:deleted"
        if point == "prune:deleted" and calls in (2, 4, 7):
            raise StorageFull("no space left")

    ledger = Ledger.open(tmp_path, Storage(), segment_rows=40, faults=faults)
    for first in range(0, 100, 10):
        ledger.commit(Commit(*micro_batch(first, 10), confirmed=first))
    before = told(ledger)
    for _ in range(3):
        with pytest.raises(StorageFull):
            seal_all(ledger)
        assert told(ledger) == before
    seal_all(ledger)
    assert segments(ledger) == 2
    assert told(ledger) == before
    ledger.close()


def test_a_damaged_batch_is_told_by_its_seqs_and_counted(ledger: Ledger) -> None:
    """Its neighbours are read; nothing is taken from it; sealing stops before it and the daemon goes on."""
    ledger._connection.execute(
        "UPDATE batches SET input_part = CAST(substr(input_part, 1, 20) || x'7F7F7F' || substr(input_part, 24) AS BLOB)"
        " WHERE first_seq = 31"
    )
    assert next(x.at_ns for b in ledger.replay(33) for x in b.inputs) == T0 + 11 * SECOND
    with pytest.raises(StorageError, match="inputs 31…33 are damaged"):
        list(ledger.replay(0))
    assert ledger.damages.total == 1
    with LedgerReader(ledger.path.parent) as reader:
        with pytest.raises(StorageError, match=r"ledger\.sqlite: inputs 31…33 are damaged"):
            list(reader.history("tanks", "b"))
        assert reader.damages.total == 1
    seal_all(ledger)
    assert segments(ledger) == 0
    assert ledger.damages.total == 1, "one place, however often it is met"
    ledger.commit(Commit(*micro_batch(200, 1)))


def test_a_damaged_piece_is_told_by_its_seqs(ledger: Ledger) -> None:
    """A bit that flips in a segment is never read as something else."""
    seal_all(ledger)
    last = ledger._connection.execute("SELECT last_seq FROM segments WHERE first_seq = 1").fetchone()[0]
    ledger._connection.execute(
        "UPDATE pieces SET part = CAST(substr(part, 1, 90) || x'7F7F7F' || substr(part, 94) AS BLOB) WHERE id = 1 << 20"
    )
    with pytest.raises(StorageError, match=f"inputs 1…{last} are damaged"):
        list(ledger.replay(0))
    with pytest.raises(StorageError, match=f"inputs 1…{last} are damaged"):
        list(ledger.history("tanks", "a"))
    assert next(iter(ledger.replay(last))).first_seq == last + 1
    assert ledger.damages.total == 1
    assert "are damaged" in str(ledger.damages.newest)


def test_a_steady_flow_stays_within_its_bound(tmp_path: Path) -> None:
    """Two steps of pruning a commit are enough: the file holds `keep_gb`, and what is left has no hole."""
    keep = 200_000
    ledger = Ledger.open(tmp_path, Storage(keep_gb=keep / 1e9), segment_rows=2000)
    largest = 0
    for first in range(0, 60_000, 100):
        ledger.commit(Commit(*micro_batch(first, 100), confirmed=ledger.last_position))
        for _ in range(2):
            ledger.prune(ledger.last_seq)
        pages, page_bytes = (
            ledger._connection.execute(f"PRAGMA {x}").fetchone()[0] for x in ("page_count", "page_size")
        )
        largest = max(largest, pages * page_bytes)
    assert ledger.first_seq > 1
    assert largest <= 1.1 * keep
    assert next(b.first_seq for b in ledger.replay(ledger.first_seq - 1)) == ledger.first_seq
    ledger.close()
