"""What every ledger promises, wherever its rows lie: they come back as they were, in order, and none that it owes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gaugecast import events
from gaugecast.batch import Inputs
from gaugecast.config.schema import Storage
from gaugecast.errors import Defect, StorageError
from gaugecast.ledger import Committed, Pending, StoredBatch
from gaugecast.ledger.batches import PENDING_BYTES
from gaugecast.ledger.reads import LedgerReads
from gaugecast.ledger.writing import LedgerWriter
from gaugecast.records import Commit, Input, Kind, Order, Output, Parked, Refused, Verdict
from ledger_rows import T0, any_batch, forecast, micro_batch, reading
from support.ledgers import InFile, InPostgres, LedgerHome

BatchArguments = tuple[list[Input], list[int], list[Output]]
_SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]


@pytest.fixture(params=["sqlite", "postgres"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> LedgerHome:
    """A place without a ledger, of each kind."""
    return InFile(tmp_path) if request.param == "sqlite" else InPostgres(request.getfixturevalue("postgres"))


@pytest.fixture
def ledger(home: LedgerHome) -> Iterator[LedgerWriter]:
    """An empty ledger."""
    opened = home.open(Storage(quarantine_rows=5))
    yield opened
    opened.close()


def reopened(ledger: LedgerWriter, home: LedgerHome) -> LedgerWriter:
    """The same ledger as the next process would see it."""
    ledger.close()
    return home.open()


def stored_inputs(ledger: LedgerReads) -> list[Input]:
    """All inputs that a replay yields."""
    return [row for batch in ledger.replay(0) for row in batch.inputs]


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(batches=st.lists(any_batch(), max_size=4), most=st.integers(1, 20))
def test_what_is_committed_comes_back_in_order(home: LedgerHome, batches: list[BatchArguments], most: int) -> None:
    """Any inputs, verdicts and outputs come back as they were, by a new process too."""
    home = home.fresh()
    ledger = home.open(segment_rows=2)
    seqs: list[int] = []
    for batch in batches:
        done = ledger.commit(Commit(*batch))
        seqs.extend(done.first_seq + output.cause for output in batch[2])
    ledger.close()
    outputs = [output for batch in batches for output in batch[2]]
    with home.reader() as reader:
        replayed = list(reader.replay(0, most=most))
        assert [x for b in replayed for x in b.inputs] == [x for b in batches for x in b[0]]
        assert [v for b in replayed for v in b.verdicts] == [v for b in batches for v in b[1]]
        assert all(len(b.inputs) <= most for b in replayed)
        assert [b.first_seq + i for b in replayed for i in range(len(b.inputs))] == list(range(1, reader.last_seq + 1))
        stored = list(reader.outputs(0, reader.last_seq))
        assert [s.seq for s in stored] == seqs
        assert [s[2:7] for s in stored] == [(o.fleet, o.stream, o.step, o.forecast, o.body) for o in outputs]
        assert [s.position for s in stored] == list(range(1, len(outputs) + 1))
        waiting = reader.pending(0, 1000)
        assert [(p.body, p.retain, p.qos, p.topic) for p in waiting] == [
            (o.body, o.retain, o.qos, o.topic) for o in outputs
        ]


@pytest.mark.parametrize("delivery", [-1, -1 << 63, 0, (1 << 63) - 1, 1 << 63, (1 << 64) - 1])
def test_a_delivery_hash_may_use_all_64_bits(ledger: LedgerWriter, delivery: int) -> None:
    """With a sign or without: a hash comes back as it was."""
    rows = [reading(0)._replace(delivery=delivery), reading(1)]
    ledger.commit(Commit(rows, [0, 0], []))
    assert stored_inputs(ledger) == rows


def test_seqs_and_positions_go_on_after_a_restart(ledger: LedgerWriter, home: LedgerHome) -> None:
    """Numbers continue where the last process stopped, and a batch knows its own."""
    assert ledger.commit(Commit(*micro_batch(0, 3))) == Committed(1, 3, 1, 3)
    ledger = reopened(ledger, home)
    assert ledger.commit(Commit([reading(3)], [Verdict.HELD], [])) == Committed(4, 4, 4, 3)
    assert ledger.commit(Commit(*micro_batch(4, 2))) == Committed(5, 6, 4, 5)
    assert (ledger.last_seq, ledger.last_position, ledger.received_at_ns) == (6, 5, reading(5).received_at_ns)
    ledger.close()


def test_replay_begins_after_the_given_input_and_ends_at_the_last_wanted(ledger: LedgerWriter) -> None:
    """`after_seq` is exclusive, `upto_seq` inclusive."""
    ledger.commit(Commit(*micro_batch(0, 10)))
    (batch,) = ledger.replay(4, upto_seq=7)
    assert batch == StoredBatch(5, Inputs.of([reading(4), reading(5), reading(6)]), [0, 0, 0])


def test_outputs_are_found_by_the_inputs_that_made_them(ledger: LedgerWriter, home: LedgerHome) -> None:
    """However the sparse index falls, a range of inputs gives exactly their outputs."""
    ledger.close()
    ledger = home.open(segment_rows=3)
    for first in range(0, 40, 4):
        ledger.commit(Commit(*micro_batch(first, 4)))
    for after in range(0, 40, 3):
        for upto in range(after, 41, 5):
            assert [o.seq for o in ledger.outputs(after, upto)] == list(range(after + 1, min(upto, 40) + 1))
    ledger.close()


def test_an_output_stays_pending_until_it_is_confirmed(ledger: LedgerWriter, home: LedgerHome) -> None:
    """The cursor sees unconfirmed outputs only, in order, after a restart as well."""
    ledger.commit(Commit(*micro_batch(0, 5)))
    body = forecast(3, 3).body
    ledger.commit(Commit([], [], [], confirmed=3))
    assert ledger.pending(0, 1) == [Pending(4, "tanks", "hall/boiler", body, False, 1, "out/hall/boiler")]
    ledger = reopened(ledger, home)
    assert ledger.confirmed == 3
    assert [p.position for p in ledger.pending(0, 10)] == [4, 5]
    assert [p.position for p in ledger.pending(4, 10)] == [5]
    ledger.commit(Commit([], [], [], confirmed=2))
    assert ledger.confirmed == 3, "confirmed never goes back"
    ledger.close()


def test_large_outputs_are_read_back_a_few_at_a_time(ledger: LedgerWriter) -> None:
    """The batch that brings them to the bound is the last; whoever asks again goes on behind it."""
    for first in range(0, 12, 3):
        inputs, verdicts, outputs = micro_batch(first, 3)
        large = [output._replace(body=output.body.ljust(PENDING_BYTES // 4)) for output in outputs]
        ledger.commit(Commit(inputs, verdicts, large))
    found = [[p.position for p in ledger.pending(after, 100)] for after in (0, 6, 12)]
    assert found == [[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12], []]


def test_confirmed_bodies_are_dropped_but_their_checksums_stay(ledger: LedgerWriter) -> None:
    """After many confirmed outputs their bodies are gone; what was published can still be verified."""
    ledger.commit(Commit(*micro_batch(0, 3000)))
    ledger.commit(Commit([], [], [], confirmed=2500))
    stored = list(ledger.outputs(0, 3000))
    assert [s.position for s in stored if s.body is not None] == list(range(2501, 3001))
    assert all(s.body_crc == crc32(forecast(0, s.step).body) for s in stored)
    assert ledger.pending(0, 1)[0].position == 2501


def test_a_refused_output_moves_aside_and_does_not_hold_the_others_up(ledger: LedgerWriter) -> None:
    """It leaves the queue with its reason, and leaves the table when it was delivered after all."""
    ledger.commit(Commit(*micro_batch(0, 3)))
    ledger.commit(Commit([], [], [], refused_outputs=[(2, "not_authorized")]))
    assert [p.position for p in ledger.pending(0, 10)] == [1, 3]
    (kept,) = ledger.refused_outputs(0, 10)
    assert ledger.refused_count == 1
    assert (kept.position, kept.reason, kept.body, kept.stream) == (
        2,
        "not_authorized",
        forecast(1, 1).body,
        "hall/boiler",
    )
    ledger.commit(Commit([], [], [], redelivered=[2]))
    assert ledger.refused_outputs(0, 10) == []
    assert ledger.refused_count == 0


def test_the_table_of_refused_outputs_is_bounded(ledger: LedgerWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go first."""
    monkeypatch.setattr("gaugecast.ledger.transaction.REFUSED_OUTPUTS_KEPT", 4)
    ledger.commit(Commit(*micro_batch(0, 10)))
    ledger.commit(Commit([], [], [], refused_outputs=[(position, "quota") for position in range(1, 11)]))
    assert [r.position for r in ledger.refused_outputs(0, 100)] == [7, 8, 9, 10]


def test_the_quarantine_keeps_the_newest_rows_only(ledger: LedgerWriter) -> None:
    """At most `quarantine_rows`, whether they come at once or one by one."""
    rows = [Refused(T0 + i, "tanks", "a", "in/a", "not_json", "expected {", bytes([i])) for i in range(12)]
    assert ledger.quarantine_count == 0
    ledger.commit(Commit([], [], [], refused=rows[:2]))
    assert ledger.quarantine_count == 2
    ledger.commit(Commit([], [], [], refused=rows[2:9]))
    ledger.commit(Commit([], [], [], refused=rows[9:10]))
    ledger.commit(Commit([], [], [], refused=rows[10:]))
    assert [q.head[0] for q in ledger.quarantined(100)] == [11, 10, 9, 8, 7]
    assert ledger.quarantine_count == 5
    assert ledger.quarantined(1)[0][1:] == rows[11]


def test_no_quarantine_is_kept_where_none_is_wanted(home: LedgerHome) -> None:
    """`quarantine_rows = 0` is allowed."""
    ledger = home.open(Storage(quarantine_rows=0))
    ledger.commit(Commit([], [], [], refused=[Refused(T0, "", "", "t", "not_json", "", b"")]))
    assert ledger.quarantined(10) == []
    ledger.close()


def test_a_rejects_invented_name_is_kept_without_a_stream_of_its_own(ledger: LedgerWriter) -> None:
    """A flood of unknown names fills no table but `inputs`, and the names still come back."""
    rejects = [
        reading(i, stream=f"made-up/{i}")._replace(kind=Kind.REJECT, reason="too_many_streams") for i in range(50)
    ]
    ledger.commit(Commit([*rejects, reading(99)], [Verdict.REJECTED] * 50 + [Verdict.STEPPED], []))
    assert stored_inputs(ledger) == [*rejects, reading(99)]
    assert ledger._connection.execute("SELECT count(*) FROM streams").fetchone()[0] <= 2


def test_a_parked_stream_comes_back_as_it_was(ledger: LedgerWriter, home: LedgerHome) -> None:
    """Its state is there until it is unparked, over a restart."""
    ledger.commit(
        Commit([reading(0)], [0], [], parked=[Parked("tanks", "a", b"state a"), Parked("tanks", "b", b"state b")])
    )
    ledger = reopened(ledger, home)
    assert (ledger.parked_count(), ledger.parked_state("tanks", "a")) == (2, b"state a")
    assert ledger.parked_state("tanks", "never seen") is None
    ledger.commit(Commit([reading(1)], [0], [], unparked=[("tanks", "a")]))
    assert (ledger.parked_count(), ledger.parked_state("tanks", "a")) == (1, None)
    with closing(reopened(ledger, home)) as ledger:
        assert ledger.parked_count() == 1


def test_a_fleet_that_is_gone_for_good_has_no_parked_streams(ledger: LedgerWriter, home: LedgerHome) -> None:
    """From its event on; a replay of before finds them, and those of others stay."""
    parked = [Parked("tanks", "a", b"state a"), Parked("tanks", "b", b"state b"), Parked("pumps", "a", b"state c")]
    ledger.commit(Commit([reading(0)], [0], [], parked=parked))
    ledger.commit(Commit([Order(events.FleetForgotten(), "tanks").stamped(1)], [Verdict.NONE]))
    assert (ledger.parked_count(), ledger.parked_state("tanks", "a")) == (1, None)
    assert ledger.parked_state("tanks", "b", at_seq=1) == b"state b"
    with closing(reopened(ledger, home)) as again:
        assert (again.parked_count(), again.parked_state("pumps", "a")) == (1, b"state c")


def test_a_replay_finds_the_state_that_was_parked_then(ledger: LedgerWriter) -> None:
    """A checkpoint from before a stream came back needs the state that it had while parked."""
    ledger.commit(Commit([reading(0)], [0], [], parked=[Parked("tanks", "a", b"first")]))
    ledger.commit(Commit([reading(1)], [0], [], unparked=[("tanks", "a")]))
    ledger.commit(Commit([reading(2)], [0], [], parked=[Parked("tanks", "a", b"second")]))
    states = [ledger.parked_state("tanks", "a", at_seq=seq) for seq in range(4)]
    assert states == [None, b"first", None, b"second"]
    assert ledger.parked_state("tanks", "a") == b"second"


@pytest.mark.parametrize(("was_parked", "is_parked"), [(True, True), (False, False)])
def test_parked_and_unparked_in_one_commit_ends_where_it_must(
    ledger: LedgerWriter, was_parked: bool, is_parked: bool
) -> None:
    """A parked stream that comes back and is parked again is parked; an active one that passes through is not."""
    if was_parked:
        ledger.commit(Commit([reading(0)], [0], [], parked=[Parked("tanks", "a", b"old")]))
    ledger.commit(Commit([reading(1)], [0], [], parked=[Parked("tanks", "a", b"new")], unparked=[("tanks", "a")]))
    assert ledger.parked_state("tanks", "a") == (b"new" if is_parked else None)
    assert ledger.parked_count() == int(is_parked)


def test_a_run_knows_whether_the_one_before_ended_cleanly(ledger: LedgerWriter, home: LedgerHome) -> None:
    """The first run counts as after a clean end; one that was killed does not."""
    assert ledger.begin_run()
    ledger = reopened(ledger, home)
    assert not ledger.begin_run(), "the run before never ended"
    ledger.end_run()
    ledger = reopened(ledger, home)
    assert ledger.begin_run()
    ledger.close()


def test_a_fingerprint_is_noted_where_it_changes(ledger: LedgerWriter) -> None:
    """Each entry says from which input on it holds; the same again adds nothing."""
    ledger.note_fingerprint("numpy 2.3")
    ledger.commit(Commit(*micro_batch(0, 3)))
    ledger.note_fingerprint("numpy 2.3")
    ledger.note_fingerprint("numpy 2.4")
    ledger.note_fingerprint("numpy 2.5")
    assert ledger.fingerprints() == [(1, "numpy 2.3"), (4, "numpy 2.5")]


def test_a_reader_follows_the_tail_while_the_loop_writes(ledger: LedgerWriter, home: LedgerHome) -> None:
    """A reader that stays open sees each commit as soon as it is durable, and never holds the writer up."""
    with home.reader() as reader:
        tail = reader.replay(0, most=1)
        seen = 0
        for first in range(0, 20, 2):
            ledger.commit(Commit(*micro_batch(first, 2), confirmed=ledger.last_position))
            if first == 0:
                next(tail)  # a generator left half-way must not pin anything
            for batch in reader.replay(seen):
                assert batch.first_seq == seen + 1
                seen += len(batch.inputs)
        assert (seen, reader.last_seq, reader.last_position, reader.confirmed, reader.first_seq) == (20, 20, 20, 18, 1)
        assert [p.position for p in reader.pending(0, 10)] == [19, 20]
        with pytest.raises(StorageError), reader._home.errors():
            reader._connection.execute("DELETE FROM batches")


@pytest.mark.parametrize(
    ("inputs", "verdicts", "outputs", "confirmed"),
    [
        ([reading(0)], [], [], None),
        ([], [], [forecast(0, 0)], None),
        ([reading(0)], [0], [forecast(1, 0)], None),
        ([reading(0)], [0], [forecast(-1, 0)], None),
        ([reading(0)], [0], [], 1),
        ([reading(0)._replace(key=1 << 70)], [0], [], None),
    ],
    ids=[
        "verdict missing",
        "output without input",
        "cause too large",
        "cause negative",
        "confirmed ahead",
        "key too wide",
    ],
)
def test_a_commit_that_contradicts_itself_stores_nothing(
    ledger: LedgerWriter, inputs: list[Input], verdicts: list[int], outputs: list[Output], confirmed: int | None
) -> None:
    """A defect of the caller is told as one, and the ledger is as before and goes on."""
    with pytest.raises(Defect):
        ledger.commit(Commit(inputs, verdicts, outputs, confirmed=confirmed))
    assert stored_inputs(ledger) == []
    assert ledger.commit(Commit(*micro_batch(0, 1))) == Committed(1, 1, 1, 1)
    assert stored_inputs(ledger) == [reading(0)]


def test_what_was_told_is_kept_as_it_was_said(ledger: LedgerWriter, home: LedgerHome) -> None:
    """In order, for a reader beside the writer; nothing before anything was told."""
    with home.reader() as reader:
        assert reader.told() == []
        inputs, verdicts, outputs = micro_batch(0, 2)
        ledger.commit(Commit(inputs, verdicts, outputs, told=outputs))
        assert [(one.number, one.topic, one.body) for one in reader.told()] == [
            (n + 1, one.topic, one.body) for n, one in enumerate(outputs)
        ]
        assert [one.number for one in reader.told(after=1)] == [2]
