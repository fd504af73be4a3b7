"""Writes checkpoints: in a thread of its own (`CheckpointWriter`), or in the caller's (`InlineCheckpointWriter`)."""

from __future__ import annotations

import enum
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Protocol

from gaugecast.config.schema import Storage
from gaugecast.errors import Defect, StorageError
from gaugecast.faults import Faults, no_faults
from gaugecast.storage import checkpoints
from gaugecast.storage.checkpoint_file import CheckpointFile
from gaugecast.storage.checkpoint_format import Chunk

QUEUED_BYTES = 8 << 20  # copies of state that may wait for the disk
DAILY_SHARE = 0.25  # of `keep_gb`, for archived checkpoints
WAL_EVERY_S = 1.0


class _End(enum.Enum):
    """How a checkpoint ends."""

    FINISH = enum.auto()
    GIVE_UP = enum.auto()


_FINISH, _GIVE_UP = _End.FINISH, _End.GIVE_UP
_Piece = Chunk | tuple[int, dict[str, object]] | _End


class InlineCheckpointWriter:
    """Writes checkpoints in the caller's thread, for simulations and tools that must do one thing at a time.

    Args:
        directory: The state directory.
        storage: How much is kept.
        oldest_input: Asked, in the writing thread, for the oldest input that the ledger keeps.
        faults: Called with each point of a checkpoint that is passed.
        kept: Told of each whole file, in the writing thread, before it counts as written.

    Attributes:
        completed_seq: What the newest durable checkpoint of this writer stands at; 0 before the first.
        failures_total: Checkpoints that could not be written.
        failure: What ended the newest one, until one is written whole.
    """

    def __init__(
        self, directory: Path, storage: Storage, oldest_input: Callable[[], int], *, faults: Faults = no_faults,
        kept: Callable[[int, Path], None] = lambda _seq, _file: None,
    ) -> None:  # fmt: skip
        checkpoints.folder(directory).mkdir(parents=True, exist_ok=True)
        checkpoints.remove_unfinished(directory)
        self._directory = directory
        self._storage = storage
        self._oldest_input = oldest_input
        self._faults = faults
        self._kept = kept
        self._seq = 0
        self._open: CheckpointFile | None = None
        self.completed_seq = 0
        self.failures_total = 0
        self.failure: BaseException | None = None
        self.wal_failures_total = 0  # it copies none
        self.wal_failure: Exception | None = None

    @property
    def busy(self) -> bool:
        """Whether a checkpoint is begun and not finished."""
        return self._open is not None

    def begin(self, seq: int, header: dict[str, object]) -> None:
        """Begin the checkpoint that stands after input `seq`; `header` is anything that JSON can say."""
        self._seq = seq
        try:
            self._open = CheckpointFile(self._directory, seq, self._faults)
            self._open.begin(seq, header)
        except (OSError, StorageError) as exc:
            self._fail(exc)

    def put(self, chunk: Chunk, *, timeout_s: float = 0.0) -> bool:  # noqa: ARG002  (the threaded writer waits)
        """Add rows; always true. After a failure they go nowhere."""
        if self._open is not None:
            try:
                self._open.put(chunk)
            except (OSError, StorageError) as exc:
                self._fail(exc)
        return True

    def finish(self) -> None:
        """Make it durable, unless it failed."""
        if self._open is not None:
            try:
                self._open.finish()
                self._prune_daily()
                self._kept(self._seq, checkpoints.folder(self._directory) / checkpoints.file_name(self._seq))
            except (OSError, StorageError) as exc:
                self._fail(exc)
            else:
                self._open, self.completed_seq, self.failure = None, self._seq, None

    def abandon(self) -> None:
        """Give up the checkpoint that is begun."""
        self._abandon()

    def wait(self, *, timeout_s: float) -> bool:  # noqa: ARG002
        """Nothing is ever waited for."""
        return True

    def close(self, *, timeout_s: float = 30.0) -> bool:  # noqa: ARG002
        """Abandon what is not finished."""
        self._abandon()
        return True

    def _abandon(self) -> None:
        if self._open is not None:
            self._open.abandon()
            self._open = None

    def _fail(self, exc: BaseException) -> None:
        self.failures_total += 1
        self.failure = exc
        self._abandon()

    def _prune_daily(self) -> None:
        most_bytes = int(self._storage.keep_gb * 1e9 * DAILY_SHARE)
        checkpoints.prune_daily(self._directory, self._oldest_input(), most_bytes)


class CopiesWal(Protocol):
    """What the writer's thread does for the ledger once a second; `ledger.wal.WalCopier`."""

    failures_total: int
    failure: Exception | None

    def copy(self) -> None:
        """Copy what was committed since the last copy; failures are counted."""

    def close(self) -> None:
        """Close what is open."""


class CheckpointWriter:
    """A thread that writes checkpoints, and copies the ledger's WAL into its file so that the loop never has to.

    The loop calls `begin`, then `put` slice by slice, then `finish`; none of them waits for the disk. The pieces
    that are not written yet take at most `QUEUED_BYTES` (or one piece, if that is larger).

    A disk that is full or fails costs this checkpoint and is counted, no more: the one before still stands.

    Args:
        directory, storage, oldest_input, faults, kept: As of `InlineCheckpointWriter`.
        wal: Belongs to the writer's thread from now on.
        wal_every_s: How often it is asked to copy.
    """

    def __init__(
        self, directory: Path, storage: Storage, oldest_input: Callable[[], int], wal: CopiesWal, *,
        faults: Faults = no_faults, wal_every_s: float = WAL_EVERY_S,
        kept: Callable[[int, Path], None] = lambda _seq, _file: None,
    ) -> None:  # fmt: skip
        self._inline = InlineCheckpointWriter(directory, storage, oldest_input, faults=faults, kept=kept)
        self._wal = wal
        self._wal_every_s = wal_every_s
        self._wake = threading.Condition()
        self._queue: deque[_Piece] = deque()
        self._queued_bytes = 0
        self._writing = False  # from `begin` until the thread is done with `finish`
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="checkpoint-writer", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether a checkpoint is begun and not yet durable (or failed); `begin` must wait for it."""
        return self._writing

    @property
    def failure(self) -> BaseException | None:
        """What ended the newest checkpoint, until one is written whole; else `None`."""
        return self._inline.failure

    @property
    def failures_total(self) -> int:
        """Checkpoints that could not be written."""
        return self._inline.failures_total

    @property
    def completed_seq(self) -> int:
        """What the newest durable checkpoint of this writer stands at; 0 before the first."""
        return self._inline.completed_seq

    @property
    def wal_failures_total(self) -> int:
        """Attempts to copy the WAL that failed."""
        return self._wal.failures_total

    @property
    def wal_failure(self) -> Exception | None:
        """What the newest of them was, or `None`."""
        return self._wal.failure

    def begin(self, seq: int, header: dict[str, object]) -> None:
        """Begin the checkpoint that stands after input `seq`. Raises `Defect` while the one before is being written."""
        if self._writing or self._closing:
            raise Defect(f"checkpoint {seq} was begun before the one before it was finished")
        with self._wake:
            self._writing = True
            self._queue.append((seq, header))
            self._wake.notify_all()

    def put(self, chunk: Chunk, *, timeout_s: float = 0.0) -> bool:
        """Add rows; false (nothing added) if the queue is still full after `timeout_s`."""
        size = chunk.rows.nbytes
        with self._wake:
            room = self._wake.wait_for(
                lambda: self._queued_bytes == 0 or self._queued_bytes + size <= QUEUED_BYTES, timeout_s
            )
            if room:
                self._queue.append(chunk)
                self._queued_bytes += size
                self._wake.notify_all()
            return room

    def finish(self) -> None:
        """All rows were put; the thread makes the checkpoint durable. `wait` tells when."""
        with self._wake:
            self._queue.append(_FINISH)
            self._wake.notify_all()

    def abandon(self) -> None:
        """Give up the checkpoint that is begun; `busy` until the thread has taken its file away."""
        with self._wake:
            self._queue.append(_GIVE_UP)
            self._wake.notify_all()

    def wait(self, *, timeout_s: float) -> bool:
        """Wait until the finished checkpoint is durable or has failed; false if that takes longer."""
        with self._wake:
            return self._wake.wait_for(lambda: not self._writing, timeout_s)

    def close(self, *, timeout_s: float = 30.0) -> bool:
        """End the thread after what is queued; a checkpoint that was not finished is abandoned. False if it hangs."""
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        next_wal = monotonic() + self._wal_every_s
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._queue or self._closing, max(0.0, next_wal - monotonic()))
                found = bool(self._queue)
                piece = self._queue.popleft() if found else _FINISH
                if not found and self._closing:
                    break
            if found:
                self._take(piece)
            if monotonic() >= next_wal:
                self._wal.copy()
                next_wal = monotonic() + self._wal_every_s
        self._inline.close()
        self._wal.close()

    def _take(self, piece: _Piece) -> None:
        try:
            if piece is _FINISH:
                self._inline.finish()
            elif piece is _GIVE_UP:
                self._inline.abandon()
            elif isinstance(piece, Chunk):
                self._inline.put(piece)
            elif isinstance(piece, tuple):
                self._inline.begin(*piece)
        except Exception as exc:  # a defect (rows of objects, a header that is no JSON) costs the checkpoint only
            self._inline._fail(exc)
        with self._wake:
            if isinstance(piece, Chunk):
                self._queued_bytes -= piece.rows.nbytes
            if isinstance(piece, _End):
                self._writing = False
            self._wake.notify_all()
