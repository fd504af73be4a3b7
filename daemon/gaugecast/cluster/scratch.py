"""A directory for each process of a cluster; what is in it can be made again."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from pathlib import Path

_NAME = re.compile(r"gaugecast-(?:p[0-9]+|learner)-([0-9]+)-\w+")


def new_scratch(part: str) -> Path:
    """Make one of this process; those that processes of ours left, killed as they were, go.

    Args:
        part: `p3` of partition 3, or `learner`.
    """
    parent = Path(tempfile.gettempdir())
    for path in parent.glob("gaugecast-*"):
        if (found := _NAME.fullmatch(path.name)) and _is_ours(path) and not _lives(int(found[1])):
            shutil.rmtree(path, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"gaugecast-{part}-{os.getpid()}-", dir=parent))


def _is_ours(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return path.lstat().st_uid == os.geteuid()
    return False


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:  # somebody else's now
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True
