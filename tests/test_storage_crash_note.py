"""The note of what is being taken: there for the next process, whole or not at all."""

from __future__ import annotations

from pathlib import Path

from gaugecast.storage.crash_note import FILE_NAME, CrashNote


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
