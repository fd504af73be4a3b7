"""What was sealed reads as before, one stream's history is a slice of it, and damage is told."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gaugecast.config.schema import Storage
from gaugecast.errors import StorageError, StorageFull
from gaugecast.ledger import Ledger, LedgerReader
from gaugecast.ledger.reads import LedgerReads
from gaugecast.records import Commit, Input, Kind, Output
from ledger_rows import SECOND, T0, any_batch, forecast, micro_batch, reading

STREAMS = ("a", "b", "c")
ROUNDS = 60


def seal_all(ledger: Ledger, floor_seq: int = 0) -> int:
    """Prune until nothing is left to do; how many calls it took."""
    for steps in range(10_000):
        if ledger.prune(floor_seq) == 0:
            return steps
    raise AssertionError("sealing never ends")


def segments(ledger: Ledger) -> int:
    """How many segments there are."""
    found: int = ledger._connection.execute("SELECT count(*) FROM segments").fetchone()[0]
    return found


def told(ledger: LedgerReads) -> tuple[list[Input], list[int], list[object]]:
    """Inputs, verdicts, and outputs without what is only kept while it is unconfirmed."""
    batches = list(ledger.replay(0, most=7))
    outputs: list[object] = list(ledger.outputs(0, ledger.last_seq))
    return [x for b in batches for x in b.inputs], [v for b in batches for v in b.verdicts], outputs


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


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(batches=st.lists(any_batch(), min_size=1, max_size=5), rows=st.integers(1, 10), given_up=st.integers(0, 10))
def test_sealing_changes_nothing_that_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    batches: list[tuple[list[Input], list[int], list[Output]]],
    rows: int,
    given_up: int,
) -> None:
    """After each of its steps, for the writer, for a reader that is open, and for the next process."""
    directory = tmp_path_factory.mktemp("ledger")
    ledger = Ledger.open(directory, Storage(directory=directory), segment_rows=rows)
    for batch in batches:
        ledger.commit(Commit(*batch))
    ledger.commit(Commit(confirmed=max(0, ledger.last_position - given_up)))
    before, waiting = told(ledger), ledger.pending(0, 1000)
    with LedgerReader(directory) as reader:
        while ledger.prune(0):
            assert told(reader) == told(ledger) == before
            assert reader.pending(0, 1000) == ledger.pending(0, 1000) == waiting
        ledger.close()
        assert reader.first_seq == 1
    ledger = Ledger.open(directory, Storage(directory=directory))
    assert (told(ledger), ledger.pending(0, 1000)) == (before, waiting)
    ledger.close()


def test_sealed_batches_are_deleted_and_unconfirmed_ones_stay(ledger: Ledger) -> None:
    """Only the newest commits are left in the table of batches; seqs and positions go on after a restart."""
    seal_all(ledger)
    left = ledger._connection.execute("SELECT min(first_seq), count(*) FROM batches").fetchone()
    assert left[1] < 14
    assert segments(ledger) == 4
    path = ledger.path.parent
    ledger.close()
    with_all_sealed = Ledger.open(path, Storage(), segment_rows=1)
    with_all_sealed.commit(Commit(confirmed=with_all_sealed.last_position))
    seal_all(with_all_sealed)
    assert with_all_sealed._connection.execute("SELECT count(*) FROM batches").fetchone() == (0,)
    with_all_sealed.close()
    again = Ledger.open(path, Storage())
    assert (again.last_seq, again.last_position, again.confirmed) == (180, 180, 180)
    assert again.commit(Commit(*micro_batch(999, 1)))[:] == (181, 181, 181, 181)
    again.close()


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


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("most", [1, 7, 1000])
def test_a_streams_history_comes_newest_first(ledger: Ledger, sealed: bool, most: int) -> None:
    """Page by page, its readings with their verdicts, and its forecasts beside them; nobody else's."""
    if sealed:
        seal_all(ledger)
    pages = list(ledger.history("tanks", "b", most=most))
    assert all(len(page.readings) <= most for page in pages)
    seqs = [3 * number + 2 for number in reversed(range(ROUNDS))]
    expected = numbered("b")
    assert gathered(page.readings.seqs for page in pages) == seqs
    assert gathered(page.readings.at_ns for page in pages) == [one.at_ns for one in expected]
    assert gathered(page.readings.values for page in pages) == [list(struct.unpack("<2d", x.values)) for x in expected]
    assert gathered(page.readings.verdicts for page in pages) == [0] * ROUNDS
    assert gathered(page.outputs.seqs for page in pages) == gathered(page.outputs.positions for page in pages) == seqs
    steps = [(seq - 2) // 3 for seq in seqs]
    assert gathered(page.outputs.steps for page in pages) == steps
    assert gathered(page.outputs.forecasts for page in pages) == [[float(step)] for step in steps]
    crcs = [crc32(forecast(0, step, stream="b").body) for step in steps]
    assert gathered(page.outputs.body_crcs for page in pages) == crcs
    for page in pages:
        assert page.outputs.seqs.tolist() == page.readings.seqs.tolist()
    assert list(ledger.history("tanks", "never seen")) == []


def gathered(columns: Iterable[Any]) -> list[Any]:
    """A column of all pages."""
    return [row for column in columns for row in column.tolist()]


def numbered(stream: str) -> list[Input]:
    """The readings of a stream, newest first."""
    return [reading(number, stream=stream) for number in reversed(range(ROUNDS))]


def test_a_history_has_the_instants_that_were_asked_for(ledger: Ledger) -> None:
    """From (inclusive) to (exclusive), by event time, with the forecasts of these readings."""
    seal_all(ledger)
    (page,) = ledger.history("tanks", "c", from_ns=T0 + 10 * SECOND, to_ns=T0 + 13 * SECOND)
    assert page.readings.at_ns.tolist() == [T0 + s * SECOND for s in (12, 11, 10)]
    assert page.outputs.steps.tolist() == [12, 11, 10]
    assert list(ledger.history("tanks", "c", from_ns=T0 - 9 * SECOND, to_ns=T0)) == []


def test_a_history_has_readings_alone_and_all_outputs(tmp_path: Path) -> None:
    """Rejects and events are none; what was said without a reading (a stream fell silent) stands in its place."""
    with closing(Ledger.open(tmp_path, Storage(), segment_rows=2)) as ledger:
        rejected = reading(1, stream="a")._replace(kind=Kind.REJECT, reason="bad_time")
        ledger.commit(Commit([reading(0, stream="a"), rejected], [0, 4], [forecast(0, 0, stream="a")]))
        ledger.commit(Commit([Input.timer(T0 + 5 * SECOND)], [5], [forecast(0, 1, stream="a")], confirmed=1))
        for _ in range(2):
            (page,) = ledger.history("tanks", "a")
            assert page.readings.seqs.tolist() == [1]
            assert (page.outputs.seqs.tolist(), page.outputs.steps.tolist()) == ([3, 1], [1, 0])
            ledger.commit(Commit(confirmed=2))
            seal_all(ledger)
        assert segments(ledger) == 1


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
