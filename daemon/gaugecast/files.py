"""Files that a user names: what is no file could block for ever, or never end, once it is opened."""

from __future__ import annotations

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
