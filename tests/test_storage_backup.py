"""A backup taken while the daemon writes is one consistent moment, and is verified."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from gaugecast.config.schema import Storage
from gaugecast.errors import StorageError
from gaugecast.ledger import Ledger, LedgerReader, copying
from gaugecast.records import Commit
from gaugecast.storage.backup import backup
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
    Ledger.open(tmp_path, Storage()).close()
    target = tmp_path / "copy"
    backup(tmp_path, target, copying)
    with pytest.raises(StorageError, match="empty"):
        backup(tmp_path, target, copying)
    with pytest.raises(StorageError, match="found none"):
        backup(tmp_path / "nowhere", tmp_path / "other", copying)


def test_a_backup_whose_rows_do_not_reach_its_checkpoint_is_refused(tmp_path: Path) -> None:
    """A copy that could not recover is no backup: it says so at once, not on the day it is needed."""
    ledger = Ledger.open(tmp_path, Storage(keep_days=1e-6), segment_rows=1)
    for first in range(0, 100, 10):
        ledger.commit(Commit(*micro_batch(first, 10), confirmed=first))
    write_checkpoint(tmp_path, 30)
    while ledger.prune(80):
        pass
    with pytest.raises(StorageError, match="try again"):
        backup(tmp_path, tmp_path / "copy", copying)
    ledger.close()
