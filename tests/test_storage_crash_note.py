"""The note of what is being taken: there for the next process, whole or not at all."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gaugecast.storage.crash_note import FILE_NAME, TRACE_NAME, CrashNote

_DYING = """
import os, sys
from pathlib import Path
from gaugecast.storage.crash_note import CrashNote
notes = CrashNote(Path(sys.argv[1]))
notes.watch_signals()
notes.note(b"under way")
os.kill(os.getpid(), int(sys.argv[2]))
"""


def test_a_note_is_found_by_the_next_process(tmp_path: Path) -> None:
    """The last one counts, however long the one before it was."""
    trail = CrashNote(tmp_path)
    assert trail.found == b""
    trail.note(b"a long one, of a large batch")
    trail.note(b"short")
    assert CrashNote(tmp_path).found == b"short"
    trail.clear()
    assert CrashNote(tmp_path).found == b""


def test_a_torn_note_counts_as_none(tmp_path: Path) -> None:
    """A process may be killed between two pages of a write."""
    CrashNote(tmp_path).note(bytes(range(100)))
    path = tmp_path / FILE_NAME
    torn = bytearray(path.read_bytes())
    torn[60] ^= 1
    path.write_bytes(bytes(torn))
    assert CrashNote(tmp_path).found == b""
    path.write_bytes(bytes(torn[:50]))
    assert CrashNote(tmp_path).found == b""


@pytest.mark.parametrize(
    ("number", "blamed"),
    [
        (signal.SIGSEGV, True),
        (signal.SIGABRT, True),
        (signal.SIGFPE, True),
        (signal.SIGILL, True),
        (signal.SIGBUS, False),  # of a mapped file: the disk's doing
        (signal.SIGKILL, False),
        (signal.SIGTERM, False),
    ],
)
def test_a_process_that_dies_of_its_own_doing_leaves_a_trace(
    tmp_path: Path, number: signal.Signals, blamed: bool
) -> None:
    """The next one can tell it from a process that was killed; the one after that finds nothing of it."""
    died = subprocess.run([sys.executable, "-c", _DYING, str(tmp_path), str(int(number))], check=False, timeout=60)
    assert died.returncode == -number
    found = CrashNote(tmp_path)
    assert (found.found, found.blamed) == (b"under way", blamed)
    assert not CrashNote(tmp_path).trace


def test_a_defect_is_noted_by_the_process_itself(tmp_path: Path) -> None:
    """It is still able to."""
    CrashNote(tmp_path).blame("ZeroDivisionError: nobody foresaw this")
    found = CrashNote(tmp_path)
    assert found.blamed
    assert found.trace == "ZeroDivisionError: nobody foresaw this"


def test_nothing_is_written_into_files_that_are_opened_after_it_was_closed(tmp_path: Path) -> None:
    """A fatal signal after `close` finds no one to write to its file's old number."""
    script = _DYING.replace("os.kill", "notes.close(); file = open(sys.argv[1] + '/other', 'w'); os.kill")
    subprocess.run([sys.executable, "-c", script, str(tmp_path), str(int(signal.SIGSEGV))], check=False, timeout=60)
    assert (tmp_path / "other").read_bytes() == b""
    assert (tmp_path / TRACE_NAME).read_bytes() == b""
