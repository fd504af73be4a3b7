"""One checkpoint on its way to the disk."""

from __future__ import annotations

import contextlib
from pathlib import Path

from gaugecast.faults import Faults
from gaugecast.storage import checkpoints
from gaugecast.storage.checkpoint_format import ChecksummedFile, Chunk


class CheckpointFile:
    """A checkpoint that is being written, by one thread: tmp, CRC, fsync, rename, fsync of the directory."""

    def __init__(self, directory: Path, seq: int, faults: Faults) -> None:
        self._directory = directory
        self._place = checkpoints.folder(directory)
        self._place.mkdir(exist_ok=True)  # without parents: where a state directory was moved away, none begins anew
        self._path = self._place / checkpoints.file_name(seq)
        self._tmp = self._path.with_suffix(checkpoints.TMP_SUFFIX)
        self._faults = faults
        self._file = self._tmp.open("wb", buffering=1 << 18)
        self._content = ChecksummedFile(self._file)

    def begin(self, seq: int, header: dict[str, object]) -> None:
        """Say what it stands at."""
        self._content.write_header(seq, header)
        self._faults("checkpoint:header")

    def put(self, chunk: Chunk) -> None:
        """Add rows."""
        self._content.write_chunk(chunk)
        self._faults("checkpoint:chunk")

    def finish(self) -> None:
        """Make it durable under its name; then archive or delete those that it displaces."""
        self._content.write_trailer()
        self._file.close()
        self._faults("checkpoint:tmp")
        self._tmp.rename(self._path)
        self._faults("checkpoint:renamed")
        checkpoints.sync_folder(self._place)
        self._faults("checkpoint:after")
        checkpoints.keep_two(self._directory)
        self._faults("checkpoint:kept")

    def abandon(self) -> None:
        """Leave nothing behind."""
        with contextlib.suppress(OSError):  # closing flushes, and the disk may be full
            self._file.close()
        self._tmp.unlink(missing_ok=True)
