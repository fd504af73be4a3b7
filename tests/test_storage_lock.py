"""Only one daemon works on a state directory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gaugecast.errors import AlreadyRunning, ExitCode
from gaugecast.storage.lock import StateLock


def test_a_second_lock_is_refused_at_once_and_names_the_holder(tmp_path: Path) -> None:
    """Also within one process, and the first is undisturbed by any number of attempts."""
    with StateLock(tmp_path):
        for _ in range(2):
            with pytest.raises(AlreadyRunning, match=f"process {os.getpid()}") as refusal:
                StateLock(tmp_path)
        assert refusal.value.exit_code == ExitCode.CONFIG
    StateLock(tmp_path).release()


def test_the_lock_is_free_when_its_holder_was_killed(tmp_path: Path) -> None:
    """`kill -9` leaves the file but not the lock."""
    code = "import sys; from pathlib import Path; from gaugecast.storage.lock import StateLock\n"
    code += "lock = StateLock(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(AlreadyRunning, match=f"process {holder.pid}"):
        StateLock(tmp_path)
    holder.kill()
    holder.communicate()
    StateLock(tmp_path).release()
