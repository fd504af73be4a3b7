"""A checkpoint is whole or it is not there: what was put comes back, and what was damaged is passed over."""

from __future__ import annotations

import os
import sqlite3
import struct
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gaugecast.config.schema import Storage
from gaugecast.errors import Defect, StorageError
from gaugecast.ledger import Ledger
from gaugecast.ledger.wal import WalCopier
from gaugecast.records import Commit
from gaugecast.storage import checkpoints
from gaugecast.storage.checkpoint_format import Checkpoint, Chunk
from gaugecast.storage.checkpoints import at_or_before, floor_seq, newest, oldest_exact
from ledger_rows import micro_batch
from support.writers import inline_writer, threaded_writer

DAY_S = 86_400
STORAGE = Storage()


def write(directory: Path, seq: int, chunks: list[Chunk] | None = None, **header: object) -> Path:
    """A checkpoint after input `seq`; returns its file."""
    writer = inline_writer(directory, STORAGE)
    writer.begin(seq, header)
    for chunk in [Chunk("h", 0, np.arange(8.0))] if chunks is None else chunks:
        writer.put(chunk)
    writer.finish()
    assert writer.failure is None, writer.failure
    assert writer.completed_seq == seq
    return checkpoints.folder(directory) / checkpoints.file_name(seq)


def newest_seq(directory: Path, **bounds: int) -> int | None:
    """What the newest whole checkpoint stands at."""
    found = newest(directory, **bounds)
    if found is None:
        return None
    found.close()
    return found.seq


any_array = hnp.arrays(
    dtype=st.sampled_from(["<f4", "<f8", ">f4", "<i8", "<u2", "?", "S5"]),
    shape=hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5),
)
any_chunk = st.builds(Chunk, name=st.text(max_size=10), start=st.integers(0, (1 << 64) - 1), rows=any_array)
any_json: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seq=st.integers(0, (1 << 62)),
    header=st.dictionaries(st.text(max_size=5), any_json, max_size=3),
    chunks=st.lists(any_chunk, max_size=5),
)
def test_what_was_put_comes_back_to_the_bit(
    tmp_path_factory: pytest.TempPathFactory, seq: int, header: dict[str, object], chunks: list[Chunk]
) -> None:
    """Any header, any arrays of numbers, flags or bytes, of any shape."""
    directory = tmp_path_factory.mktemp("state")
    write(directory, seq, chunks, **{f"k{k}": v for k, v in header.items()})
    with newest(directory) as found:  # type: ignore[union-attr]
        assert (found.seq, found.header) == (seq, {f"k{k}": v for k, v in header.items()})
        for _ in range(2):  # it can be read again
            back = list(found.chunks())
            assert [(c.name, c.start, c.rows.shape) for c in back] == [(c.name, c.start, c.rows.shape) for c in chunks]
            for ours, theirs in zip(back, chunks, strict=True):
                assert ours.rows.tobytes() == theirs.rows.astype(theirs.rows.dtype.newbyteorder("<")).tobytes()


@settings(max_examples=60, deadline=None)
@given(position=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_no_damaged_byte_goes_unseen(tmp_path_factory: pytest.TempPathFactory, position: float, flip: int) -> None:
    """Wherever one byte is wrong the checkpoint is refused and the one before it is taken."""
    directory = tmp_path_factory.mktemp("state")
    write(directory, 10)
    path = write(directory, 20)
    content = bytearray(path.read_bytes())
    content[int(position * len(content))] ^= flip
    path.write_bytes(content)
    with pytest.raises(StorageError):
        Checkpoint(path)
    assert newest_seq(directory) == 10


def test_a_checkpoint_that_was_cut_short_is_passed_over(tmp_path: Path) -> None:
    """At any length, zero included; without a whole one there is none."""
    path = write(tmp_path, 20)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert newest_seq(tmp_path) is None
    path.write_bytes(whole + b"\0")
    assert newest_seq(tmp_path) is None


def test_a_chunk_that_claims_more_than_the_file_has_is_refused(tmp_path: Path) -> None:
    """A right checksum over a wrong size must not make us ask for the memory."""
    path = write(tmp_path, 1)
    content = path.read_bytes()
    import zlib

    forged = content[:-4].replace(struct.pack("<Q", 8), struct.pack("<Q", 1 << 50), 1)
    path.write_bytes(forged + struct.pack("<I", zlib.crc32(forged)))
    with Checkpoint(path) as found, pytest.raises(StorageError, match="bytes in a file"):
        list(found.chunks())


def test_two_are_kept_and_one_a_day_is_archived(tmp_path: Path) -> None:
    """Of the displaced ones the first of each day goes to the archive, the others go."""
    for number in range(1, 13):
        path = write(tmp_path, number * 10)
        day = DAY_S * (number // 4)  # 3, 4, 4, 1 checkpoints a day
        os.utime(path, (day + number, day + number))
    kept = [seq for seq, _ in checkpoints.kept_files(checkpoints.folder(tmp_path))]
    archived = [seq for seq, _ in checkpoints.kept_files(checkpoints.daily_folder(tmp_path))]
    assert kept == [110, 120]
    assert archived == [10, 40, 80]
    assert floor_seq(tmp_path) == 110
    assert newest_seq(tmp_path) == 120
    assert newest_seq(tmp_path, upto_seq=115) == 110
    for seq, expected in ((9, None), (10, 10), (39, 10), (115, 110), (10**9, 120)):
        found = at_or_before(tmp_path, seq)
        assert (None if found is None else found.seq) == expected
        if found is not None:
            found.close()


def test_exactness_reaches_back_to_the_oldest_checkpoint_whose_inputs_are_kept(tmp_path: Path) -> None:
    """From the very beginning while nothing was pruned; nowhere if the rows after all checkpoints are gone."""
    assert oldest_exact(tmp_path, 1) == 0
    for number in range(1, 5):
        os.utime(write(tmp_path, number * 10), (DAY_S * number, DAY_S * number))
    assert oldest_exact(tmp_path, 1) == 0
    assert oldest_exact(tmp_path, 2) == 10
    assert oldest_exact(tmp_path, 11) == 10
    assert oldest_exact(tmp_path, 12) == 20
    assert oldest_exact(tmp_path, 42) is None


def test_archived_checkpoints_go_with_the_inputs_after_them(tmp_path: Path) -> None:
    """And the oldest go when all of them are too large."""
    for number in range(1, 7):
        os.utime(write(tmp_path, number * 10), (DAY_S * number, DAY_S * number))
    assert checkpoints.prune_daily(tmp_path, 21, 1 << 30) == 1
    assert [seq for seq, _ in checkpoints.kept_files(checkpoints.daily_folder(tmp_path))] == [20, 30, 40]
    size = write(tmp_path, 60).stat().st_size
    assert checkpoints.prune_daily(tmp_path, 1, 2 * size) == 1
    assert [seq for seq, _ in checkpoints.kept_files(checkpoints.daily_folder(tmp_path))] == [30, 40]


def test_no_floor_is_given_before_there_are_two(tmp_path: Path) -> None:
    """With one checkpoint, if it is damaged, everything must be replayed: nothing may be pruned."""
    assert floor_seq(tmp_path) == 0
    write(tmp_path, 10)
    assert floor_seq(tmp_path) == 0


def test_the_writer_thread_writes_what_it_was_given(tmp_path: Path) -> None:
    """Slices of several arrays, interleaved, come back in order; the header too."""
    writer = threaded_writer(tmp_path, STORAGE)
    chunks = [Chunk(name, start, np.full((16, 4), start)) for start in range(0, 160, 16) for name in ("h", "c")]
    writer.begin(7, {"fleets": ["tanks"]})
    assert writer.busy
    assert all(writer.put(chunk, timeout_s=10) for chunk in chunks)
    writer.finish()
    assert writer.wait(timeout_s=10)
    assert (writer.busy, writer.failure, writer.completed_seq) == (False, None, 7)
    with newest(tmp_path) as found:  # type: ignore[union-attr]
        assert found.header == {"fleets": ["tanks"]}
        assert all(
            (a.name, a.start, a.rows.tolist()) == (b.name, b.start, b.rows.tolist())
            for a, b in zip(found.chunks(), chunks, strict=True)
        )
    assert writer.close()


def test_a_slow_disk_makes_put_say_no_instead_of_taking_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits is bounded; the loop tries again later, and one piece above the bound still gets through."""
    monkeypatch.setattr("gaugecast.storage.checkpoint_writer.QUEUED_BYTES", 1000)
    disk = threading.Event()

    def faults(point: str) -> None:
        if point == "checkpoint:header":
            disk.wait(30)

    writer = threaded_writer(tmp_path, STORAGE, faults=faults)
    writer.begin(1, {})
    piece = Chunk("h", 0, np.zeros(100, np.float32))
    assert [writer.put(piece) for _ in range(4)] == [True, True, False, False]
    disk.set()
    assert writer.put(Chunk("h", 0, np.zeros(10_000, np.float32)), timeout_s=10)
    assert writer.put(piece, timeout_s=10)
    writer.finish()
    assert writer.wait(timeout_s=10)
    with newest(tmp_path) as found:  # type: ignore[union-attr]
        assert [chunk.rows.size for chunk in found.chunks()] == [100, 100, 10_000, 100]
    writer.close()


@pytest.mark.parametrize("point", ["checkpoint:header", "checkpoint:chunk", "checkpoint:tmp"])
def test_a_failing_disk_costs_one_checkpoint_and_no_more(tmp_path: Path, point: str) -> None:
    """The one before stands, nothing is left behind, the failure is counted, the next one succeeds."""
    write(tmp_path, 1)
    failing = True

    def faults(reached: str) -> None:
        if failing and reached == point:
            raise OSError(28, "No space left on device")

    writer = threaded_writer(tmp_path, STORAGE, faults=faults)
    for seq in (5, 6):
        writer.begin(seq, {})
        assert (writer.failure is None) == (seq == 5), "expected a failure to be told until one is whole"
        assert writer.put(Chunk("h", 0, np.zeros(10)), timeout_s=10)
        writer.finish()
        assert writer.wait(timeout_s=10)
        if seq == 5:
            assert isinstance(writer.failure, OSError)
            assert (writer.failures_total, writer.completed_seq, newest_seq(tmp_path)) == (1, 0, 1)
            assert [path.name for path in checkpoints.folder(tmp_path).glob("*.tmp")] == []
            failing = False
    assert (writer.failures_total, writer.failure, newest_seq(tmp_path)) == (1, None, 6)
    writer.close()


def test_no_checkpoint_begins_a_state_directory_anew(tmp_path: Path) -> None:
    """Where it was moved away, it fails: else the directory could not be moved back, and a start would begin empty."""
    state = tmp_path / "state"
    state.mkdir()
    writer = threaded_writer(state, STORAGE)
    state.rename(tmp_path / "away")
    writer.begin(5, {})
    writer.finish()
    assert writer.wait(timeout_s=10)
    assert isinstance(writer.failure, FileNotFoundError)
    assert not state.exists()
    writer.close()


def test_what_cannot_be_stored_costs_one_checkpoint_too(tmp_path: Path) -> None:
    """Objects in an array, or a header that JSON cannot say: a failure with its reason, and the thread lives on."""
    writer = threaded_writer(tmp_path, STORAGE)
    for header, rows in (({}, np.array([object()])), ({"at": object()}, np.zeros(1))):
        writer.begin(1, header)
        writer.put(Chunk("h", 0, rows), timeout_s=10)
        writer.finish()
        assert writer.wait(timeout_s=10)
        assert isinstance(writer.failure, TypeError)
    assert writer.failures_total == 2
    assert newest_seq(tmp_path) is None
    writer.close()


def test_a_checkpoint_that_was_not_finished_leaves_nothing(tmp_path: Path) -> None:
    """Neither when the writer is closed, nor when a process died and the next one begins."""
    writer = threaded_writer(tmp_path, STORAGE)
    writer.begin(5, {})
    writer.put(Chunk("h", 0, np.zeros(10)), timeout_s=10)
    with pytest.raises(Defect):
        writer.begin(6, {})
    assert writer.close()
    assert list(checkpoints.folder(tmp_path).iterdir()) == []
    (checkpoints.folder(tmp_path) / "00000000000000000009.tmp").write_bytes(b"half")
    threaded_writer(tmp_path, STORAGE).close()
    assert list(checkpoints.folder(tmp_path).iterdir()) == []


def test_the_writer_thread_copies_the_wal_so_that_the_loop_need_not(tmp_path: Path) -> None:
    """Some time after a commit its pages are in the main file, and the loop did nothing for it."""
    ledger = Ledger.open(tmp_path, STORAGE)
    size = ledger.path.stat().st_size
    copied = threading.Event()
    writer = threaded_writer(tmp_path, STORAGE, wal_every_s=0.01)
    ledger.commit(Commit(*micro_batch(0, 2000)))
    for _ in range(1000):
        if ledger.path.stat().st_size > size + 10_000:
            break
        copied.wait(0.01)  # never set: a wait with a deadline
    assert ledger.path.stat().st_size > size + 10_000
    assert writer.wal_failures_total == 0
    assert writer.close()
    ledger.close()


def test_a_wal_that_cannot_be_copied_is_counted_and_tried_again(tmp_path: Path) -> None:
    """Though nothing new was committed since; the reason is kept for the journal."""
    ledger = Ledger.open(tmp_path, STORAGE)
    ledger.commit(Commit(*micro_batch(0, 2000)))
    size = ledger.path.stat().st_size
    copier = WalCopier(ledger.path)
    copier.copy()
    assert (copier.failures_total, copier.failure) == (0, None)
    copied = ledger.path.stat().st_size
    assert copied > size
    ledger.commit(Commit(*micro_batch(2000, 2000)))
    assert copier._connection is not None
    copier._connection.set_authorizer(lambda *asked: sqlite3.SQLITE_DENY if asked[1] == "wal_checkpoint" else 0)
    copier.copy()
    copier.copy()
    assert copier.failures_total == 2
    assert "not authorized" in str(copier.failure)
    copier._connection.set_authorizer(None)
    copier.copy()
    assert copier.failures_total == 2
    assert ledger.path.stat().st_size > copied
    copier.close()
    ledger.close()
