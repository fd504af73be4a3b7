"""Pruning takes what is old or too much, and never what somebody still needs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gaugecast.config.schema import Storage
from gaugecast.events import ClockStepped
from gaugecast.ledger import Ledger, LedgerReader
from gaugecast.records import Commit, Order, Parked
from ledger_rows import SECOND, T0, micro_batch, reading

DAY_S = 86_400
OLD_AT_ONCE = Storage(keep_days=10 / DAY_S)  # ten seconds; the test's readings are one second apart


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """100 inputs with an output each, ten a commit, a second apart; nothing confirmed."""
    opened = Ledger.open(tmp_path, OLD_AT_ONCE, segment_rows=10)
    for first in range(0, 100, 10):
        opened.commit(Commit(*micro_batch(first, 10)))
    yield opened
    opened.close()


def prune_all(ledger: Ledger, floor_seq: int) -> None:
    """Prune until nothing is left to do."""
    for _ in range(10_000):
        if ledger.prune(floor_seq) == 0:
            return
    raise AssertionError("pruning never ends")


def test_old_rows_go_and_young_ones_stay(ledger: Ledger) -> None:
    """Whole commits, or whole segments, are left, with their outputs."""
    ledger.commit(Commit([], [], [], confirmed=100))
    prune_all(ledger, 100)
    assert ledger.first_seq == 91, "the youngest border between commits that is ten seconds old"
    assert [o.seq for o in ledger.outputs(0, 100)] == list(range(91, 101))


def test_pruning_stops_at_the_older_checkpoint(ledger: Ledger) -> None:
    """Recovery from it must find every input after it."""
    ledger.commit(Commit([], [], [], confirmed=100))
    prune_all(ledger, 45)
    assert ledger.first_seq == 41
    prune_all(ledger, 0)
    assert ledger.first_seq == 41


def test_pruning_stops_at_unconfirmed_outputs(ledger: Ledger) -> None:
    """What was not delivered yet is still to be published, and its inputs stay with it."""
    ledger.commit(Commit([], [], [], confirmed=29))
    prune_all(ledger, 100)
    assert ledger.first_seq == 21
    assert [p.position for p in ledger.pending(0, 3)] == [30, 31, 32]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=12),
    floor=st.integers(0, 120),
    confirmed=st.integers(0, 120),
    segment_rows=st.integers(1, 20),
    calls=st.integers(1, 30),
)
def test_pruning_never_passes_the_floor_nor_the_confirmed_position(
    tmp_path_factory: pytest.TempPathFactory,
    sizes: list[int],
    floor: int,
    confirmed: int,
    segment_rows: int,
    calls: int,
) -> None:
    """However commits, floor and segments fall: what is left is one unbroken stretch that has what is needed."""
    directory = tmp_path_factory.mktemp("ledger")
    ledger = Ledger.open(directory, Storage(keep_days=1 / DAY_S), segment_rows=segment_rows)
    total = 0
    for size in sizes:
        ledger.commit(Commit(*micro_batch(total, size)))
        total += size
    ledger.commit(Commit([], [], [], confirmed=min(confirmed, total)))
    for _ in range(calls):
        ledger.prune(floor)
    seqs = [b.first_seq + i for b in ledger.replay(0) for i in range(len(b.inputs))]
    positions = [o.position for o in ledger.outputs(0, total)]
    assert seqs == list(range(ledger.first_seq, total + 1))
    assert positions == list(range(total - len(positions) + 1, total + 1))
    assert ledger.first_seq <= min(floor, total) + 1
    assert len(ledger.pending(0, 1000)) == total - min(confirmed, total)
    assert total - len(positions) < ledger.first_seq, "no kept input has lost its outputs"
    ledger.close()


def test_numbers_are_not_used_again_after_pruning(ledger: Ledger) -> None:
    """Outputs may all be gone; the next one still gets the next position."""
    ledger.commit(Commit([reading(i) for i in range(100, 150)], [0] * 50, [], confirmed=100))
    prune_all(ledger, 150)
    path = ledger.path.parent
    ledger.close()
    ledger = Ledger.open(path, OLD_AT_ONCE)
    assert ledger.commit(Commit(*micro_batch(150, 1)))[2:] == (101, 101)
    ledger.close()


def test_too_large_a_ledger_loses_its_oldest_rows_whatever_their_age(tmp_path: Path) -> None:
    """`keep_gb` bounds the rows; young ones go too, but never those after the floor."""
    ledger = Ledger.open(tmp_path, Storage(keep_gb=0.0001), segment_rows=100)
    for first in range(0, 20_000, 500):
        ledger.commit(Commit(*micro_batch(first, 500), confirmed=first))
    prune_all(ledger, 19_000)
    assert 1 < ledger.first_seq <= 19_001
    with sqlite3.connect(ledger.path) as other:
        pages, free, page_bytes = (
            other.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
    other.close()
    assert (pages - free) * page_bytes <= 100_000
    ledger.close()


def test_not_even_a_too_large_ledger_loses_rows_after_the_floor_or_unconfirmed(tmp_path: Path) -> None:
    """Better over `keep_gb` for a while than a recovery that finds no inputs."""
    ledger = Ledger.open(tmp_path, Storage(keep_gb=1e-6), segment_rows=100)
    for first in range(0, 3000, 500):
        ledger.commit(Commit(*micro_batch(first, 500), confirmed=min(first, 1700)))
    prune_all(ledger, 1200)
    assert ledger.first_seq == 1001
    prune_all(ledger, 3000)
    assert ledger.first_seq == 1501
    ledger.close()


def test_space_is_given_back_to_the_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a much smaller `keep_gb` the file shrinks, a little in each call."""
    monkeypatch.setattr("gaugecast.ledger.retention._VACUUM_BYTES", 16384)
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


def test_names_that_no_kept_row_uses_are_forgotten(tmp_path: Path) -> None:
    """A stream that vanished long ago leaves the table; those in use and those parked stay."""
    ledger = Ledger.open(tmp_path, OLD_AT_ONCE, segment_rows=1)
    ledger.commit(Commit([reading(0, stream=f"gone/{i}") for i in range(30)], [0] * 30, []))
    ledger.prune(0)  # the first generation ends here
    for second in range(1, 60):
        rows = [reading(second, stream="alive"), reading(second, stream="rare")][: 2 if second % 25 == 0 else 1]
        ledger.commit(
            Commit(rows, [0] * len(rows), [], parked=[Parked("tanks", "parked", b"s")] if second == 55 else [])
        )
        ledger.prune(ledger.last_seq)
        with LedgerReader(tmp_path) as reader:
            kept = {x.stream for b in reader.replay(0) for x in b.inputs}
        assert kept <= {"alive", "rare", *(f"gone/{i}" for i in range(30))}, "every kept row still has its name"
    with sqlite3.connect(ledger.path) as other:
        names = {row[0] for row in other.execute("SELECT stream FROM streams")}
    other.close()
    assert {"alive", "parked"} <= names
    assert not any(name.startswith("gone") for name in names)
    with LedgerReader(tmp_path) as reader:
        assert {x.stream for b in reader.replay(0) for x in b.inputs} <= names
    ledger.close()


def test_streams_parked_for_longer_than_history_are_forgotten(tmp_path: Path) -> None:
    """Else a flood of streams that come once would grow the ledger for ever."""
    ledger = Ledger.open(tmp_path, OLD_AT_ONCE, segment_rows=1)
    ledger.commit(Commit([reading(0)], [0], [], parked=[Parked("tanks", "old", b"1")]))
    ledger.commit(Commit([reading(50)], [0], [], parked=[Parked("tanks", "young", b"2")]))
    ledger.commit(Commit([reading(55)], [0], []))
    prune_all(ledger, 0)
    assert ledger.parked_count() == 1
    assert (ledger.parked_state("tanks", "old"), ledger.parked_state("tanks", "young")) == (None, b"2")
    ledger.close()


def test_a_state_that_came_back_is_kept_as_long_as_a_replay_may_need_it(tmp_path: Path) -> None:
    """It goes with the last input before which the stream was parked, not with the unparking."""
    ledger = Ledger.open(tmp_path, OLD_AT_ONCE, segment_rows=1)
    ledger.commit(Commit([reading(0)], [0], [], parked=[Parked("tanks", "a", b"1")]))
    ledger.commit(Commit([reading(1)], [0], [], unparked=[("tanks", "a")]))
    ledger.commit(Commit([reading(2)], [0], []))
    ledger.commit(Commit([reading(3 + 10 * SECOND // SECOND)], [0], []))
    ledger.prune(1)
    assert ledger.parked_state("tanks", "a", at_seq=1) == b"1"
    prune_all(ledger, 4)
    assert ledger.parked_state("tanks", "a", at_seq=1) is None
    ledger.close()


@pytest.mark.parametrize("segment_rows", [10, 1000])
@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("step_s", [3600, 365 * DAY_S])
def test_a_clock_that_is_set_lets_go_of_nothing_more(
    tmp_path: Path, step_s: int, back: bool, segment_rows: int
) -> None:
    """For seconds or for good: rows and parked states are as old as they were, and go when they would have gone."""
    ledger = Ledger.open(tmp_path, OLD_AT_ONCE, segment_rows=segment_rows)
    for first in range(0, 100, 10):
        ledger.commit(Commit(*micro_batch(first, 10), confirmed=first))
    ledger.commit(Commit([reading(100)], [0], [], parked=[Parked("tanks", "idle", b"state")], confirmed=100))
    step = step_s * SECOND
    told = [(step, T0 + 101 * SECOND + step), (-step, T0 + 102 * SECOND)][: 1 + back]
    for moved, now in told:
        ledger.commit(Commit([Order(ClockStepped(moved)).stamped(now)], [5], []))
        prune_all(ledger, 1000)
        assert ledger.first_seq == 91, "what came in the last ten seconds"
        assert ledger.parked_state("tanks", "idle") == b"state"
        assert ledger.received_at_ns == now
    ledger.close()
    ledger = Ledger.open(tmp_path, OLD_AT_ONCE, segment_rows=segment_rows)
    assert ledger.received_at_ns == told[-1][1]
    for i in range(20, 60):
        ledger.commit(Commit([reading(i)._replace(received_at_ns=told[-1][1] + i * SECOND)], [0], [], confirmed=100))
    prune_all(ledger, 1000)
    assert ledger.parked_state("tanks", "idle") is None
    assert ledger.first_seq > 101
    ledger.close()
