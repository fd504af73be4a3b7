"""One daemon, and one learner, for a state directory."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from types import TracebackType

from gaugecast.errors import AlreadyRunning, StorageError

#: Of the daemon, and of the learner.
FILE_NAME, LEARNER_FILE_NAME = "lock", "learner.lock"


class StateLock:
    """Holds a role in the state directory for this process until `release`, or until it ends, however it ends.

    Args:
        directory: The state directory.
        file_name: Of the lock; one for each role.

    Raises:
        AlreadyRunning: another process holds it; at once, and without disturbing it. The message has its pid.
        StorageError: the lock file cannot be made.
    """

    def __init__(self, directory: Path, file_name: str = FILE_NAME) -> None:
        path = directory / file_name
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise StorageError(f"{path}: expected to make a lock file: {exc.strerror}") from exc
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            holder = os.pread(self._file, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._file)
            raise AlreadyRunning(f"{directory} is in use by another gaugecast, process {holder}") from exc
        with contextlib.suppress(OSError):  # on a full disk the lock still holds; only its holder's pid is not told
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let the next one have it."""
        if self._file >= 0:
            os.close(self._file)  # closing the last descriptor releases the lock
            self._file = -1

    def __enter__(self) -> StateLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
