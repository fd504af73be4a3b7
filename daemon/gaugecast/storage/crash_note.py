"""What is being taken just now, for the next process, should this one die of it; and the trace of such a death.

Two small files beside the ledger, written in place and never fsynced: the kernel's page cache outlives a process that
is killed, crashes or runs out of memory, and that is all they are for. So a note costs a microsecond or two, where a
durable one costs milliseconds, in which an innocent message would be found under way by every `kill -9`.

A process that is killed from outside (`kill -9`, out of memory, a power cut) leaves a note at most. One that dies of
its own doing leaves a trace as well: of a fatal signal the interpreter's `faulthandler` writes where it stood, of a
defect we write it ourselves.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import struct
from pathlib import Path
from zlib import crc32

FILE_NAME = "taking"
TRACE_NAME = "fatal"
_HEAD = struct.Struct("<II")  # length and CRC-32 of the note
_NOTHING = bytes(_HEAD.size)
_TRACE_BYTES = 1 << 16
#: How `faulthandler` names SIGBUS: a mapped file whose page the disk could not give.
_DISK = "Fatal Python error: Bus error"


class CrashNote:
    """The files. Owned by the loop's thread.

    Attributes:
        found: The note that the last process left; empty if it left none, or a torn one.
        trace: What it left of a death of its own doing; empty if it was killed, or ended in order.
    """

    def __init__(self, directory: Path) -> None:
        for name in (FILE_NAME, TRACE_NAME):
            (directory / name).touch()
        self._file = (directory / FILE_NAME).open("r+b", buffering=0)
        self._trace = (directory / TRACE_NAME).open("r+b", buffering=0)
        self.found = _read(self._file.read())
        self.trace = self._trace.read(_TRACE_BYTES).decode(errors="replace")
        self._noted = bool(self.found)
        self._watching = False
        with contextlib.suppress(OSError):
            self._trace.seek(0)
            self._trace.truncate()

    @property
    def blamed(self) -> bool:
        """Whether the last process died of what it was doing. Not of SIGBUS, which is the disk's."""
        return bool(self.trace) and not self.trace.startswith(_DISK)

    def watch_signals(self) -> None:
        """Have a trace written if SIGSEGV, SIGABRT, SIGFPE, SIGILL or SIGBUS ends this process. Until `close`."""
        faulthandler.enable(self._trace)
        self._watching = True

    def blame(self, why: str) -> None:
        """Leave a trace: this process is about to end because of what it has under way."""
        with contextlib.suppress(OSError):
            os.write(self._trace.fileno(), why.encode(errors="replace"))

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
        """Close the files."""
        if self._watching:  # else it would write into whatever is opened next under the same number
            faulthandler.disable()
        self._file.close()
        self._trace.close()

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
