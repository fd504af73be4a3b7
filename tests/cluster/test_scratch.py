"""Directories of a cluster's processes: none stays for ever after a kill."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from gaugecast.cluster.scratch import new_scratch


def test_what_killed_processes_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of those that live, and nothing that is not ours by its name."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    mine = new_scratch("p3")
    (tmp_path / f"gaugecast-p12-{gone.pid}-abc_1").mkdir()
    (tmp_path / f"gaugecast-p12-{gone.pid}-abc_1" / "models").touch()
    (tmp_path / f"gaugecast-learner-{gone.pid}-abc").mkdir()
    others = [f"gaugecast-p1-{os.getppid()}-x", f"gaugecast-notes-{gone.pid}-x", "gaugecast-p1-abc"]
    for name in others:
        (tmp_path / name).mkdir()
    learner = new_scratch("learner")
    assert {path.name for path in tmp_path.iterdir()} == {mine.name, learner.name, *others}
    assert mine.name.startswith(f"gaugecast-p3-{os.getpid()}-")
