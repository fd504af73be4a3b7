"""What is being taken just now, for the next process, should this one die of it.

One small file beside the ledger, written in place and never fsynced: the kernel's page cache outlives a process that
is killed, crashes or runs out of memory, and that is all it is for. So a note costs a microsecond or two, where a
durable one costs milliseconds, in which an innocent message would be found under way by every `kill -9`.
"""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path
from zlib import crc32

FILE_NAME = "taking"
_HEAD = struct.Struct("<II")  # length and CRC-32 of the note
_NOTHING = bytes(_HEAD.size)


class CrashNote:
    """The file. Owned by the loop's thread.

    Attributes:
        found: The note that the last process left; empty if it left none, or a torn one.
    """

    def __init__(self, directory: Path) -> None:
        path = directory / FILE_NAME
        path.touch()
        self._file = path.open("r+b", buffering=0)
        self.found = _read(self._file.read())
        self._noted = bool(self.found)

    def note(self, content: bytes) -> None:
        """Put a note in place of the last one. Without room on the disk there is none: it is a help, no promise."""
        self._put(_HEAD.pack(len(content), crc32(content)) + content)
        self._noted = True

    def clear(self) -> None:
        """Nothing is under way any more."""
        if self._noted:
            self._put(_NOTHING)
            self._noted = False

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _put(self, content: bytes) -> None:
        with contextlib.suppress(OSError):
            self._file.seek(0)
            self._file.write(content)


def _read(content: bytes) -> bytes:
    if len(content) < _HEAD.size:
        return b""
    length, crc = _HEAD.unpack_from(content)
    note = content[_HEAD.size : _HEAD.size + length]
    return note if len(note) == length and crc32(note) == crc else b""
