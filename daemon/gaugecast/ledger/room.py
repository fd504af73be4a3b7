"""Whether a write failed for want of room: a disk that is full heals, a broken one does not.

SQLite says so of ENOSPC alone (`SQLITE_FULL`). A quota that is reached (EDQUOT) it reports as any other write that
fails, `SQLITE_IOERR_WRITE`, and Python is not told the errno. So we write ourselves and see.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

PROBE_BYTES = 1 << 20
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


def lacks_room(directory: Path) -> bool:
    """Whether a megabyte cannot be written into `directory`, since its disk is full or a quota is reached.

    Where that goes well, or fails for another reason, a failed write of SQLite's is taken for a broken disk.
    """
    try:
        write_probe(directory)
    except OSError as exc:
        return exc.errno in _NO_ROOM
    return False


def write_probe(directory: Path) -> None:
    """Write and sync a file that has no name any more, so that nothing is left of it whatever happens.

    Raises:
        OSError: As the kernel says.
    """
    path = directory / f".room-{os.getpid()}"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.unlink(path)
        left = memoryview(os.urandom(PROBE_BYTES))  # a file system that compresses would find room for zeros
        while left:
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)  # NFS and delayed allocation say it only now
    finally:
        with contextlib.suppress(OSError):
            os.close(descriptor)
