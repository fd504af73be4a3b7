"""Which checkpoints there are: what is none is not counted, and what cannot be seen is said."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from gaugecast.errors import StorageError
from gaugecast.storage import checkpoints
from gaugecast.storage.checkpoints import floor_seq


def test_a_folder_that_cannot_be_read_lets_nothing_be_pruned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of descriptors, say: pruning waits; whoever must know which there are is told that nobody does."""

    def refused(_place: Path) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    place = checkpoints.folder(tmp_path)
    place.mkdir()
    for seq in (10, 20):
        (place / checkpoints.file_name(seq)).touch()
    assert floor_seq(tmp_path) == 10
    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", refused)
        assert floor_seq(tmp_path) == 0
        with pytest.raises(StorageError, match="Too many open files"):
            checkpoints.kept_files(place)
    (place / "²².ckpt").touch()
    (place / "mine.ckpt").touch()
    assert [seq for seq, _ in checkpoints.kept_files(place)] == [10, 20]
    assert checkpoints.kept_files(tmp_path / "absent") == []
