"""What happens to a commit when the disk is full, the file is locked, or the process dies in the middle."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gaugecast.config.schema import Storage
from gaugecast.errors import StorageBusy, StorageError, StorageFull
from gaugecast.ledger import Committed, Ledger, LedgerReader, Pending, room
from gaugecast.records import Commit, Parked, Refused
from ledger_rows import micro_batch, reading

REFUSED = [Refused(1, "tanks", "a", "in/a", "not_json", "", b"x")]
PARKED = [Parked("tanks", "parked", b"state")]


def rows_of(directory: Path) -> tuple[list[object], list[Pending]]:
    """All that a commit stored, as a reader sees it."""
    with LedgerReader(directory) as reader:
        inputs = [(b.first_seq + i, x) for b in reader.replay(0) for i, x in enumerate(b.inputs)]
        others = [reader.parked_state("tanks", "parked"), *reader.quarantined(9)]
        return [*inputs, *others, *reader.outputs(0, 1 << 40)], reader.pending(0, 1 << 30)


def undisturbed(directory: Path) -> tuple[list[object], list[Pending]]:
    """What a ledger holds that never met a failure."""
    directory.mkdir()
    ledger = Ledger.open(directory, Storage())
    ledger.commit(Commit(*micro_batch(0, 2)))
    ledger.commit(Commit(*micro_batch(2, 400), refused=REFUSED, parked=PARKED))
    ledger.close()
    return rows_of(directory)


def test_a_full_disk_stores_nothing_and_later_exactly_the_same(tmp_path: Path) -> None:
    """The same call, repeated until there is room, gives the rows and numbers of an undisturbed run."""
    ledger = Ledger.open(tmp_path, Storage())
    ledger.commit(Commit(*micro_batch(0, 2)))
    pages = ledger._connection.execute("PRAGMA page_count").fetchone()[0]
    ledger._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    before = rows_of(tmp_path)
    for _ in range(3):
        with pytest.raises(StorageFull):
            ledger.commit(Commit(*micro_batch(2, 400), refused=REFUSED, parked=PARKED))
        assert rows_of(tmp_path) == before
        assert (ledger.last_seq, ledger.last_position, ledger.parked_count()) == (2, 2, 0)
    ledger._connection.execute("PRAGMA max_page_count = 1000000")
    assert ledger.commit(Commit(*micro_batch(2, 400), refused=REFUSED, parked=PARKED)) == Committed(3, 402, 3, 402)
    ledger.close()
    assert rows_of(tmp_path) == undisturbed(tmp_path / "undisturbed")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB, where the machine lets us mount one."""
    place = tmp_path / "small"
    place.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("needs root to mount a small file system")
    if subprocess.run([mount, "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], capture_output=True).returncode:
        pytest.skip("may not mount here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(ledger: Ledger) -> int:
    """Commit until the disk is full; return the number of the first reading that was not stored."""
    for first in range(0, 1_000_000, 500):
        try:
            ledger.commit(Commit(*micro_batch(first, 500)))
        except StorageFull:
            return first
    raise AssertionError("the disk never got full")


def test_a_file_system_without_space_is_told_from_a_broken_one(small_disk: Path) -> None:
    """A real ENOSPC, first come in the WAL, is `StorageFull`; with space again the same rows go in."""
    ledger = Ledger.open(small_disk, Storage())
    first = fill(ledger)
    assert 0 < ledger.last_seq == first
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    assert ledger.commit(Commit(*micro_batch(first, 500))) == Committed(first + 1, first + 500, first + 1, first + 500)
    assert sum(len(b.inputs) for b in ledger.replay(0)) == first + 500
    ledger.close()


@contextmanager
def short_files(length: int) -> Iterator[None]:
    """No file may grow beyond so many bytes: a write that SQLite reports as it reports a quota that is reached."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (length, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def wal_bytes(ledger: Ledger) -> int:
    """How long the write-ahead log is."""
    return ledger.path.with_name("ledger.sqlite-wal").stat().st_size


@pytest.mark.parametrize("number", [errno.EDQUOT, errno.ENOSPC])
def test_a_quota_that_is_reached_is_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """SQLite says only that the write failed; what our own write says makes the difference, and the same rows go in."""

    def refused(_directory: Path) -> None:
        raise OSError(number, os.strerror(number))

    ledger = Ledger.open(tmp_path, Storage())
    ledger.commit(Commit(*micro_batch(0, 2)))
    before = rows_of(tmp_path)
    monkeypatch.setattr(room, "write_probe", refused)
    with short_files(wal_bytes(ledger)):
        for _ in range(3):
            with pytest.raises(StorageFull, match="SQLITE_IOERR_WRITE"):
                ledger.commit(Commit(*micro_batch(2, 400), refused=REFUSED, parked=PARKED))
            assert rows_of(tmp_path) == before
    ledger.commit(Commit(*micro_batch(2, 400), refused=REFUSED, parked=PARKED))
    ledger.close()
    assert rows_of(tmp_path) == undisturbed(tmp_path / "undisturbed")


@pytest.fixture
def quota(tmp_path: Path) -> Iterator[Path]:
    """A directory on btrfs whose quota is 8 MB, where the machine lets us make one; files are written in place."""
    image, place = tmp_path / "image", tmp_path / "btrfs"
    if os.geteuid() != 0 or not all(map(shutil.which, ("mkfs.btrfs", "btrfs", "mount", "chattr"))):
        pytest.skip("needs root and btrfs-progs to make a quota")
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(256 << 20)
    made = subprocess.run(["mkfs.btrfs", "-q", str(image)], capture_output=True)
    if (
        made.returncode
        or subprocess.run(["mount", "-o", "loop", str(image), str(place)], capture_output=True).returncode
    ):
        pytest.skip("may not mount btrfs here")
    try:
        limited = place / "limited"
        for command in (
            ["btrfs", "quota", "enable", str(place)],
            ["btrfs", "subvolume", "create", str(limited)],
            ["btrfs", "qgroup", "limit", "8M", str(limited)],
            ["chattr", "+C", str(limited)],
        ):
            subprocess.run(command, check=True, capture_output=True)
        yield limited
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_real_quota_is_waited_for(quota: Path) -> None:
    """By a real EDQUOT, first come in the WAL; once the quota is raised the same rows go in."""
    ledger = Ledger.open(quota, Storage())
    first = fill(ledger)
    assert 0 < ledger.last_seq == first
    subprocess.run(["btrfs", "qgroup", "limit", "64M", str(quota)], check=True)
    assert ledger.commit(Commit(*micro_batch(first, 500))) == Committed(first + 1, first + 500, first + 1, first + 500)
    ledger.close()


def test_a_write_that_fails_where_there_is_room_is_a_broken_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is tried again, and the probe leaves nothing."""
    monkeypatch.setattr(room, "PROBE_BYTES", 4096)
    ledger = Ledger.open(tmp_path, Storage())
    ledger.commit(Commit(*micro_batch(0, 2)))
    with short_files(wal_bytes(ledger)), pytest.raises(StorageError) as failure:
        ledger.commit(Commit(*micro_batch(2, 400)))
    assert not isinstance(failure.value, StorageFull | StorageBusy)
    ledger.close()
    assert {path.name for path in tmp_path.iterdir()} <= {"ledger.sqlite", "ledger.sqlite-wal", "ledger.sqlite-shm"}


def test_a_probe_tells_a_full_disk_from_one_with_room(small_disk: Path, tmp_path: Path) -> None:
    """By a real ENOSPC."""
    assert not room.lacks_room(tmp_path)
    (small_disk / "ballast").write_bytes(bytes(3 << 19))
    assert room.lacks_room(small_disk)
    assert [path.name for path in small_disk.iterdir()] == ["ballast"]
    assert not room.lacks_room(tmp_path / "absent")


def test_a_lock_held_by_another_is_busy_and_then_the_same_rows(tmp_path: Path) -> None:
    """Somebody's sqlite3 shell in a transaction delays a commit, and changes nothing in it."""
    ledger = Ledger.open(tmp_path, Storage())
    ledger.commit(Commit(*micro_batch(0, 2)))
    before = rows_of(tmp_path)
    other = sqlite3.connect(ledger.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for _ in range(2):
        with pytest.raises(StorageBusy):
            ledger.commit(Commit(*micro_batch(2, 400), refused=REFUSED, parked=PARKED))
        assert rows_of(tmp_path) == before
    other.execute("ROLLBACK")
    other.close()
    ledger.commit(Commit(*micro_batch(2, 400), refused=REFUSED, parked=PARKED))
    ledger.close()
    assert rows_of(tmp_path) == undisturbed(tmp_path / "undisturbed")


def test_new_streams_of_a_failed_commit_are_new_the_next_time(tmp_path: Path) -> None:
    """An id that was rolled back must not be remembered: its rows would name a stream that does not exist."""
    failing = True

    def faults(point: str) -> None:
        if failing and point == "commit:inserted":
            raise StorageFull("no space left")

    ledger = Ledger.open(tmp_path, Storage(), faults=faults)
    with pytest.raises(StorageFull):
        ledger.commit(Commit([reading(0, stream="a"), reading(0, stream="b")], [0, 0], []))
    failing = False
    ledger.commit(Commit([reading(0, stream="b"), reading(0, stream="a")], [0, 0], []))
    assert [x.stream for batch in ledger.replay(0) for x in batch.inputs] == ["b", "a"]
    ledger.close()


def test_after_any_other_failure_the_ledger_is_never_tried_again(tmp_path: Path) -> None:
    """An fsync that failed once may lie the second time: nothing more is written."""
    failing = True

    def faults(point: str) -> None:
        if failing and point == "commit:inserted":
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            error.sqlite_errorname = "SQLITE_IOERR_FSYNC"
            raise error

    ledger = Ledger.open(tmp_path, Storage(), faults=faults)
    with pytest.raises(StorageError) as failure:
        ledger.commit(Commit(*micro_batch(0, 1)))
    assert not isinstance(failure.value, StorageFull | StorageBusy)
    failing = False
    with pytest.raises(StorageError, match="failed before"):
        ledger.commit(Commit(*micro_batch(0, 1)))
    ledger.close()


CRASH = """
import os, sys
from pathlib import Path
from ledger_rows import micro_batch
from gaugecast.config.schema import Storage
from gaugecast.ledger import Ledger
from gaugecast.records import Commit, Parked, Refused

directory, fatal, kill = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "kill"
armed = False
def faults(point):
    if armed and point == fatal:
        os.kill(os.getpid(), 9) if kill else os._exit(9)
ledger = Ledger.open(directory, Storage(), faults=faults)
ledger.commit(Commit(*micro_batch(0, 2)))
armed = True
ledger.commit(Commit(*micro_batch(2, 400), refused=[Refused(1, "tanks", "a", "in/a", "not_json", "", b"x")],
                     parked=[Parked("tanks", "parked", b"state")]))
os._exit(3)
"""


@pytest.mark.parametrize("how", ["exit", "kill"])
@pytest.mark.parametrize(
    ("point", "durable"),
    [("commit:before", False), ("commit:begun", False), ("commit:inserted", False), ("commit:after", True)],
)
def test_a_process_that_dies_in_a_commit_leaves_all_of_it_or_nothing(
    tmp_path: Path, point: str, durable: bool, how: str
) -> None:
    """Before COMMIT returned nothing is there, after it everything; and the next process goes on."""
    directory = tmp_path / "state"
    directory.mkdir()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(Path(__file__).parent)])}
    died = subprocess.run([sys.executable, "-c", CRASH, str(directory), point, how], env=environment, timeout=60)
    assert died.returncode == (9 if how == "exit" else -signal.SIGKILL), "the point must be reached"
    ledger = Ledger.open(directory, Storage())
    assert ledger.last_seq == ledger.last_position == (402 if durable else 2)
    if not durable:
        ledger.commit(Commit(*micro_batch(2, 400), refused=REFUSED, parked=PARKED))
    ledger.close()
    assert rows_of(directory) == undisturbed(tmp_path / "undisturbed")


def test_the_wal_is_bounded_without_anybody_copying_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commits without a pause, and no thread that copies: the writer sees to it in the end."""
    monkeypatch.setattr("gaugecast.ledger.wal.HARD_BOUND_BYTES", 1 << 20)
    monkeypatch.setattr("gaugecast.ledger.wal.BOUND_BYTES", 1 << 19)
    ledger = Ledger.open(tmp_path, Storage())
    longest = 0
    for first in range(0, 30_000, 300):
        ledger.commit(Commit(*micro_batch(first, 300), confirmed=first))
        longest = max(longest, ledger.path.with_name("ledger.sqlite-wal").stat().st_size)
    assert 1 << 20 <= longest < 3 << 20
    ledger.close()
