"""What every ledger promises of what is old: sealed and merged it reads as before, and only what nobody needs goes."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gaugecast.config.schema import Storage
from gaugecast.events import ClockStepped
from gaugecast.ledger import merging
from gaugecast.ledger.writing import LedgerWriter
from gaugecast.records import Commit, Input, Kind, Order, Output, Parked
from ledger_rows import SECOND, T0, any_batch, forecast, micro_batch, reading
from support.ledgers import InFile, InPostgres, LedgerHome, seal_all, segments, told

DAY_S = 86_400
OLD_AT_ONCE = Storage(keep_days=10 / DAY_S)  # ten seconds; the test's readings are one second apart
STREAMS = ("a", "b", "c")
ROUNDS = 60
_SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]


@pytest.fixture(params=["sqlite", "postgres"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> LedgerHome:
    """A place without a ledger, of each kind."""
    return InFile(tmp_path) if request.param == "sqlite" else InPostgres(request.getfixturevalue("postgres"))


@pytest.fixture
def hundred(home: LedgerHome) -> Iterator[LedgerWriter]:
    """100 inputs with an output each, ten a commit, a second apart; nothing confirmed."""
    opened = home.open(OLD_AT_ONCE, segment_rows=10)
    for first in range(0, 100, 10):
        opened.commit(Commit(*micro_batch(first, 10)))
    yield opened
    opened.close()


@pytest.fixture
def turns(home: LedgerHome) -> Iterator[LedgerWriter]:
    """Three streams that take turns, a reading a second each, every one with a forecast; all confirmed but the last."""
    opened = home.open(segment_rows=40)
    for number in range(ROUNDS):
        inputs = [reading(number, stream=stream) for stream in STREAMS]
        outputs = [forecast(i, number, stream=stream) for i, stream in enumerate(STREAMS)]
        opened.commit(Commit(inputs, [0, 0, 2], outputs, confirmed=opened.last_position))
    yield opened
    opened.close()


def test_old_rows_go_and_young_ones_stay(hundred: LedgerWriter) -> None:
    """Whole commits, or whole segments, are left, with their outputs."""
    hundred.commit(Commit([], [], [], confirmed=100))
    seal_all(hundred, 100)
    assert hundred.first_seq == 91, "the youngest border between commits that is ten seconds old"
    assert [o.seq for o in hundred.outputs(0, 100)] == list(range(91, 101))


def test_pruning_stops_at_the_older_checkpoint(hundred: LedgerWriter) -> None:
    """Recovery from it must find every input after it."""
    hundred.commit(Commit([], [], [], confirmed=100))
    seal_all(hundred, 45)
    assert hundred.first_seq == 41
    seal_all(hundred, 0)
    assert hundred.first_seq == 41


def test_pruning_stops_at_unconfirmed_outputs(hundred: LedgerWriter) -> None:
    """What was not delivered yet is still to be published, and its inputs stay with it."""
    hundred.commit(Commit([], [], [], confirmed=29))
    seal_all(hundred, 100)
    assert hundred.first_seq == 21
    assert [p.position for p in hundred.pending(0, 3)] == [30, 31, 32]


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=12),
    floor=st.integers(0, 120),
    confirmed=st.integers(0, 120),
    segment_rows=st.integers(1, 20),
    calls=st.integers(1, 30),
)
def test_pruning_never_passes_the_floor_nor_the_confirmed_position(
    home: LedgerHome,
    sizes: list[int],
    floor: int,
    confirmed: int,
    segment_rows: int,
    calls: int,
) -> None:
    """However commits, floor and segments fall: what is left is one unbroken stretch that has what is needed."""
    home = home.fresh()
    ledger = home.open(Storage(keep_days=1 / DAY_S), segment_rows=segment_rows)
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


def test_numbers_are_not_used_again_after_pruning(hundred: LedgerWriter, home: LedgerHome) -> None:
    """Outputs may all be gone; the next one still gets the next position."""
    hundred.commit(Commit([reading(i) for i in range(100, 150)], [0] * 50, [], confirmed=100))
    seal_all(hundred, 150)
    hundred.close()
    hundred = home.open(OLD_AT_ONCE)
    assert hundred.commit(Commit(*micro_batch(150, 1)))[2:] == (101, 101)
    hundred.close()


def test_too_large_a_ledger_loses_its_oldest_rows_whatever_their_age(home: LedgerHome) -> None:
    """`keep_gb` bounds the rows; young ones go too, but never those after the floor."""
    ledger = home.open(Storage(keep_gb=0.0001), segment_rows=100)
    for first in range(0, 20_000, 500):
        ledger.commit(Commit(*micro_batch(first, 500), confirmed=first))
    seal_all(ledger, 19_000)
    assert 1 < ledger.first_seq <= 19_001
    assert ledger._home.used_bytes(ledger._connection) <= 100_000
    ledger.close()


def test_not_even_a_too_large_ledger_loses_rows_after_the_floor_or_unconfirmed(home: LedgerHome) -> None:
    """Better over `keep_gb` for a while than a recovery that finds no inputs."""
    ledger = home.open(Storage(keep_gb=1e-6), segment_rows=100)
    for first in range(0, 3000, 500):
        ledger.commit(Commit(*micro_batch(first, 500), confirmed=min(first, 1700)))
    seal_all(ledger, 1200)
    assert ledger.first_seq == 1001
    seal_all(ledger, 3000)
    assert ledger.first_seq == 1501
    ledger.close()


def test_names_that_no_kept_row_uses_are_forgotten(home: LedgerHome) -> None:
    """A stream that vanished long ago leaves the table; those in use and those parked stay."""
    ledger = home.open(OLD_AT_ONCE, segment_rows=1)
    ledger.commit(Commit([reading(0, stream=f"gone/{i}") for i in range(30)], [0] * 30, []))
    ledger.prune(0)  # the first generation ends here
    for second in range(1, 60):
        rows = [reading(second, stream="alive"), reading(second, stream="rare")][: 2 if second % 25 == 0 else 1]
        ledger.commit(
            Commit(rows, [0] * len(rows), [], parked=[Parked("tanks", "parked", b"s")] if second == 55 else [])
        )
        ledger.prune(ledger.last_seq)
        with home.reader() as reader:
            kept = {x.stream for b in reader.replay(0) for x in b.inputs}
        assert kept <= {"alive", "rare", *(f"gone/{i}" for i in range(30))}, "every kept row still has its name"
    names = {row[0] for row in ledger._connection.execute("SELECT stream FROM streams").fetchall()}
    assert {"alive", "parked"} <= names
    assert not any(name.startswith("gone") for name in names)
    with home.reader() as reader:
        assert {x.stream for b in reader.replay(0) for x in b.inputs} <= names
    ledger.close()


def test_streams_parked_for_longer_than_history_are_forgotten(home: LedgerHome) -> None:
    """Else a flood of streams that come once would grow the ledger for ever."""
    ledger = home.open(OLD_AT_ONCE, segment_rows=1)
    ledger.commit(Commit([reading(0)], [0], [], parked=[Parked("tanks", "old", b"1")]))
    ledger.commit(Commit([reading(50)], [0], [], parked=[Parked("tanks", "young", b"2")]))
    ledger.commit(Commit([reading(55)], [0], []))
    seal_all(ledger, 0)
    assert ledger.parked_count() == 1
    assert (ledger.parked_state("tanks", "old"), ledger.parked_state("tanks", "young")) == (None, b"2")
    ledger.close()


def test_a_state_that_came_back_is_kept_as_long_as_a_replay_may_need_it(home: LedgerHome) -> None:
    """It goes with the last input before which the stream was parked, not with the unparking."""
    ledger = home.open(OLD_AT_ONCE, segment_rows=1)
    ledger.commit(Commit([reading(0)], [0], [], parked=[Parked("tanks", "a", b"1")]))
    ledger.commit(Commit([reading(1)], [0], [], unparked=[("tanks", "a")]))
    ledger.commit(Commit([reading(2)], [0], []))
    ledger.commit(Commit([reading(3 + 10 * SECOND // SECOND)], [0], []))
    ledger.prune(1)
    assert ledger.parked_state("tanks", "a", at_seq=1) == b"1"
    seal_all(ledger, 4)
    assert ledger.parked_state("tanks", "a", at_seq=1) is None
    ledger.close()


@pytest.mark.parametrize("segment_rows", [10, 1000])
@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("step_s", [3600, 365 * DAY_S])
def test_a_clock_that_is_set_lets_go_of_nothing_more(
    home: LedgerHome, step_s: int, back: bool, segment_rows: int
) -> None:
    """For seconds or for good: rows and parked states are as old as they were, and go when they would have gone."""
    ledger = home.open(OLD_AT_ONCE, segment_rows=segment_rows)
    for first in range(0, 100, 10):
        ledger.commit(Commit(*micro_batch(first, 10), confirmed=first))
    ledger.commit(Commit([reading(100)], [0], [], parked=[Parked("tanks", "idle", b"state")], confirmed=100))
    step = step_s * SECOND
    told = [(step, T0 + 101 * SECOND + step), (-step, T0 + 102 * SECOND)][: 1 + back]
    for moved, now in told:
        ledger.commit(Commit([Order(ClockStepped(moved)).stamped(now)], [5], []))
        seal_all(ledger, 1000)
        assert ledger.first_seq == 91, "what came in the last ten seconds"
        assert ledger.parked_state("tanks", "idle") == b"state"
        assert ledger.received_at_ns == now
    ledger.close()
    ledger = home.open(OLD_AT_ONCE, segment_rows=segment_rows)
    assert ledger.received_at_ns == told[-1][1]
    for i in range(20, 60):
        ledger.commit(Commit([reading(i)._replace(received_at_ns=told[-1][1] + i * SECOND)], [0], [], confirmed=100))
    seal_all(ledger, 1000)
    assert ledger.parked_state("tanks", "idle") is None
    assert ledger.first_seq > 101
    ledger.close()


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(batches=st.lists(any_batch(), min_size=1, max_size=5), rows=st.integers(1, 10), given_up=st.integers(0, 10))
def test_sealing_changes_nothing_that_is_read(
    home: LedgerHome,
    batches: list[tuple[list[Input], list[int], list[Output]]],
    rows: int,
    given_up: int,
) -> None:
    """After each of its steps, for the writer, for a reader that is open, and for the next process."""
    home = home.fresh()
    ledger = home.open(segment_rows=rows)
    for batch in batches:
        ledger.commit(Commit(*batch))
    ledger.commit(Commit(confirmed=max(0, ledger.last_position - given_up)))
    before, waiting = told(ledger), ledger.pending(0, 1000)
    with home.reader() as reader:
        while ledger.prune(0):
            assert told(reader) == told(ledger) == before
            assert reader.pending(0, 1000) == ledger.pending(0, 1000) == waiting
        ledger.close()
        assert reader.first_seq == 1
    ledger = home.open()
    assert (told(ledger), ledger.pending(0, 1000)) == (before, waiting)
    ledger.close()


def test_sealed_batches_are_deleted_and_unconfirmed_ones_stay(turns: LedgerWriter, home: LedgerHome) -> None:
    """Only the newest commits are left in the table of batches; seqs and positions go on after a restart."""
    seal_all(turns)
    left = turns._connection.execute("SELECT min(first_seq), count(*) FROM batches").fetchone()
    assert left[1] < 14
    assert segments(turns) == 4
    turns.close()
    with_all_sealed = home.open(segment_rows=1)
    with_all_sealed.commit(Commit(confirmed=with_all_sealed.last_position))
    seal_all(with_all_sealed)
    assert with_all_sealed._connection.execute("SELECT count(*) FROM batches").fetchone() == (0,)
    with_all_sealed.close()
    again = home.open()
    assert (again.last_seq, again.last_position, again.confirmed) == (180, 180, 180)
    assert again.commit(Commit(*micro_batch(999, 1)))[:] == (181, 181, 181, 181)
    again.close()


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("most", [1, 7, 1000])
def test_a_streams_history_comes_newest_first(turns: LedgerWriter, sealed: bool, most: int) -> None:
    """Page by page, its readings with their verdicts, and its forecasts beside them; nobody else's."""
    if sealed:
        seal_all(turns)
    pages = list(turns.history("tanks", "b", most=most))
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
    assert list(turns.history("tanks", "never seen")) == []


def gathered(columns: Iterable[Any]) -> list[Any]:
    """A column of all pages."""
    return [row for column in columns for row in column.tolist()]


def numbered(stream: str) -> list[Input]:
    """The readings of a stream, newest first."""
    return [reading(number, stream=stream) for number in reversed(range(ROUNDS))]


def test_a_history_has_the_instants_that_were_asked_for(turns: LedgerWriter) -> None:
    """From (inclusive) to (exclusive), by event time, with the forecasts of these readings."""
    seal_all(turns)
    (page,) = turns.history("tanks", "c", from_ns=T0 + 10 * SECOND, to_ns=T0 + 13 * SECOND)
    assert page.readings.at_ns.tolist() == [T0 + s * SECOND for s in (12, 11, 10)]
    assert page.outputs.steps.tolist() == [12, 11, 10]
    assert list(turns.history("tanks", "c", from_ns=T0 - 9 * SECOND, to_ns=T0)) == []


def test_a_history_has_readings_alone_and_all_outputs(home: LedgerHome) -> None:
    """Rejects and events are none; what was said without a reading (a stream fell silent) stands in its place."""
    with closing(home.open(segment_rows=2)) as ledger:
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


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(
    commits=st.lists(any_batch(), min_size=2, max_size=8),
    given_up=st.integers(0, 10),
    merged_rows=st.sampled_from([4, 30]),
)
def test_merging_changes_nothing_that_is_read(
    home: LedgerHome,
    commits: list[tuple[list[Input], list[int], list[Output]]],
    given_up: int,
    merged_rows: int,
) -> None:
    """For the writer, an open reader and the next process; what is not confirmed is still to be published."""
    home = home.fresh()
    with pytest.MonkeyPatch.context() as patch, closing(home.open()) as ledger:
        patch.setattr(merging, "MERGED_ROWS", merged_rows)
        patch.setattr(merging, "LEAST_BATCHES", 2)
        for commit in commits:
            ledger.commit(Commit(*commit))
        ledger.commit(Commit(confirmed=max(0, ledger.last_position - given_up)))
        before, waiting = told(ledger), [ledger.pending(after, 1000) for after in range(ledger.last_position + 1)]
        with home.reader() as reader:
            while ledger.prune(0):
                assert told(reader) == told(ledger) == before
                assert [reader.pending(after, 1000) for after in range(ledger.last_position + 1)] == waiting
    with closing(home.open()) as ledger:
        assert told(ledger) == before
        assert ledger.commit(Commit(*micro_batch(0, 1))).first_seq == 1 + sum(len(one[0]) for one in commits)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """So few batches are worth a merge that a test need not write thousands."""
    monkeypatch.setattr(merging, "MERGED_ROWS", 100)
    monkeypatch.setattr(merging, "LEAST_BATCHES", 16)


def batches_of(ledger: LedgerWriter) -> list[int]:
    """How many inputs each has."""
    rows = ledger._connection.execute("SELECT inputs FROM batches ORDER BY first_seq").fetchall()
    return [row[0] for row in rows]


@pytest.mark.usefixtures("few")
def test_only_small_batches_that_are_confirmed_are_merged(home: LedgerHome) -> None:
    """Large ones stay, and so do few: the pages that a merge writes would not be saved."""
    with closing(home.open()) as ledger:
        for number in range(10):
            ledger.commit(Commit(*micro_batch(number, 1)))
        ledger.commit(Commit(*micro_batch(10, 50)))
        for number in range(30):
            ledger.commit(Commit(*micro_batch(60 + number, 1)))
        ledger.commit(Commit(confirmed=80))
        seal_all(ledger)
        assert batches_of(ledger) == [10, 50, 20, *[1] * 10]
        for number in range(14):
            ledger.commit(Commit(*micro_batch(90 + number, 15), confirmed=ledger.last_position))
        seal_all(ledger)
        assert batches_of(ledger) == [10, 50, 20, 10 + 6 * 15, 7 * 15, 15]
