"""A backup taken while the daemon writes is one consistent moment, and is verified."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from gaugecast.config.schema import Storage
from gaugecast.errors import ExitCode, StorageError, WrongUse
from gaugecast.ledger import Ledger, LedgerReader, copying
from gaugecast.records import Commit
from gaugecast.storage.backup import CONFIG_NAME, backup, backup_beside, backups_in, last_backup_s
from gaugecast.storage.checkpoint_format import Chunk
from gaugecast.storage.checkpoints import newest
from ledger_rows import micro_batch
from support.writers import inline_writer


def write_checkpoint(directory: Path, seq: int) -> None:
    """A small checkpoint after input `seq`."""
    writer = inline_writer(directory, Storage())
    writer.begin(seq, {"streams": seq})
    writer.put(Chunk("h", 0, np.full((4, 8), seq, np.float32)))
    writer.finish()
    assert writer.failure is None


def test_a_backup_under_load_has_a_checkpoint_that_its_ledger_can_go_on_from(tmp_path: Path) -> None:
    """The loop commits and checkpoints all the while; the copy is a moment of it, and a daemon could start on it."""
    source, target = tmp_path / "state", tmp_path / "copies" / "one"
    source.mkdir()
    (source / "models").mkdir()
    (source / "models" / "tanks-1.npz").write_bytes(b"weights")
    (source / "models" / "tanks-2.npz.tmp").write_bytes(b"half")
    stop, begun = threading.Event(), threading.Event()

    def write() -> None:
        ledger = Ledger.open(source, Storage())
        first = 0
        while not stop.is_set():
            ledger.commit(Commit(*micro_batch(first, 20)))
            first += 20
            if first % 200 == 0:
                write_checkpoint(source, first)
                begun.set()
        ledger.close()

    daemon = threading.Thread(target=write)
    daemon.start()
    try:
        assert begun.wait(30)
        report = backup(source, target, copying)
    finally:
        stop.set()
        daemon.join()
    assert report.models == 1
    assert report.checkpoint_seq is not None
    assert report.checkpoint_seq <= report.last_seq
    assert report.last_seq % 20 == 0, "never half a commit"
    assert report.size_bytes > 0
    with LedgerReader(target) as reader:
        assert [x for b in reader.replay(0) for x in b.inputs] == micro_batch(0, report.last_seq)[0]
        assert reader.last_position == report.last_seq
    checkpoint = newest(target)
    assert checkpoint is not None
    assert checkpoint.seq == report.checkpoint_seq
    checkpoint.close()
    resumed = Ledger.open(target, Storage(), create=False)
    assert resumed.commit(Commit(*micro_batch(report.last_seq, 1))).first_seq == report.last_seq + 1
    resumed.close()


def test_a_backup_never_overwrites(tmp_path: Path) -> None:
    """A target with anything in it is refused, and so is a source without a ledger."""
    state = tmp_path / "state"
    state.mkdir()
    Ledger.open(state, Storage()).close()
    target = tmp_path / "copy"
    backup(state, target, copying)
    with pytest.raises(WrongUse, match=r"copy is not empty \(it has checkpoints, ledger.sqlite"):
        backup(state, target, copying)
    with pytest.raises(WrongUse, match="lies in the state directory"):
        backup(state, state / "copies", copying)
    (tmp_path / "file").touch()
    with pytest.raises(WrongUse, match="is a file"):
        backup(state, tmp_path / "file", copying)
    assert WrongUse.exit_code is ExitCode.USAGE
    with pytest.raises(StorageError, match="found none"):
        backup(tmp_path / "nowhere", tmp_path / "other", copying)


def test_a_backup_whose_rows_do_not_reach_its_checkpoint_is_refused(tmp_path: Path) -> None:
    """A copy that could not recover is no backup: it says so at once, not on the day it is needed."""
    state = tmp_path / "state"
    state.mkdir()
    ledger = Ledger.open(state, Storage(keep_days=1e-6), segment_rows=1)
    for first in range(0, 100, 10):
        ledger.commit(Commit(*micro_batch(first, 10), confirmed=first))
    write_checkpoint(state, 30)
    while ledger.prune(80):
        pass
    with pytest.raises(StorageError, match="try again"):
        backup(state, tmp_path / "copy", copying)
    ledger.close()


def test_backups_beside_each_other_are_kept_up_to_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Named by the time; the oldest goes only when a newer one is whole, and what else lies there stays."""
    state, place = tmp_path / "state", tmp_path / "copies"
    state.mkdir()
    Ledger.open(state, Storage()).close()
    place.mkdir()
    (place / "mine").touch()
    for second in range(4):
        stamp = f"20260101T00000{second}Z"
        monkeypatch.setattr("gaugecast.storage.backup.time.strftime", lambda *_, stamp=stamp: stamp)
        backup_beside(state, place, copying, keep=2)
    with pytest.raises(StorageError):
        backup_beside(tmp_path / "nowhere", place, copying, keep=2)

    assert [path.name for path in backups_in(place)] == ["20260101T000002Z", "20260101T000003Z"]
    assert sorted(path.name for path in place.iterdir()) == ["20260101T000002Z", "20260101T000003Z", "mine"]
    with pytest.raises(WrongUse, match="is a backup or a state directory itself"):
        backup_beside(state, backups_in(place)[0], copying, keep=2)


def test_a_backup_has_the_configuration_and_is_remembered(tmp_path: Path) -> None:
    """The state directory says when; others may not read the copy."""
    state, target = tmp_path / "state", tmp_path / "copy"
    state.mkdir()
    Ledger.open(state, Storage()).close()
    (tmp_path / "mine.toml").write_text("[mqtt]\n")
    assert last_backup_s(state) is None
    backup(state, target, copying, config=tmp_path / "mine.toml")

    assert (target / CONFIG_NAME).read_text() == "[mqtt]\n"
    assert target.stat().st_mode & 0o777 == 0o700
    assert last_backup_s(state) == pytest.approx(time.time(), abs=300)
    assert last_backup_s(target) is None
    (state / "last-backup.json").write_text("[]")
    assert last_backup_s(state) is None
