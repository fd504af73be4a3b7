"""Files: made whole, or for their user alone; and whether one that a user names is one, for a pipe could block."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a block device",
    stat.S_IFSOCK: "a socket",
}


def make_private(directory: Path) -> None:
    """Make a directory that its user alone can look into; one that all could look into no longer lets others in.

    What a group may do in one that is there already is its administrator's choice, and stays.

    Raises:
        OSError: It cannot be made.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    mode = stat.S_IMODE(directory.stat().st_mode)
    if mode & stat.S_IRWXO:
        with contextlib.suppress(OSError):  # another's: then it is not ours to close
            directory.chmod(mode & ~stat.S_IRWXO)


def write_whole(path: Path, content: bytes) -> None:
    """Make a file of it that whoever reads finds whole or not at all; it is not waited for the disk.

    Raises:
        OSError: It cannot be written.
    """
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.write_bytes(content)
    unfinished.rename(path)


def regular(path: Path) -> Path:
    """The same path, if a regular file stands there (links are followed): to be asked before it is opened.

    Raises:
        OSError: There is none, or something else; `strerror` says what.
    """
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "something else")
        raise OSError(errno.EINVAL, f"a regular file expected, found {kind}", str(path))
    return path
