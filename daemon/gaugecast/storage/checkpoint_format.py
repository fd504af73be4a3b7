"""The checkpoint file: all state at one ledger position, as named pieces of arrays, with a checksum over everything.

Little-endian throughout::

    magic    8 bytes  b"GCCKPT\\x00\\x01" (the last one is the version)
    header   u32 length, JSON {"seq": …, "header": {…}}
    chunk    b"C", u16 length and name, u8 length and dtype (`numpy.dtype.str`), u64 start, u8 ndim, u64 × ndim, rows
    trailer  b"E", u64 number of chunks, u32 CRC-32 of all bytes before it

Nothing in it is ever executed or unpickled; a chunk's size is checked against the file's before it is read.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple
from zlib import crc32

import numpy as np
import numpy.typing as npt

from gaugecast.errors import StorageError

MAGIC = b"GCCKPT\x00\x01"
_TRAILER = struct.Struct("<QI")
_BLOCK_BYTES = 1 << 20
_MAX_HEADER_BYTES = 64 << 20
_KINDS = "biufcSV"  # what may be in a file: numbers, flags and bytes, never objects


class Chunk(NamedTuple):
    """Rows `start`, `start + 1`, … of the array called `name`. Whoever puts one must not change `rows` afterwards."""

    name: str
    start: int
    rows: npt.NDArray[Any]


class ChecksummedFile:
    """A file that is written from front to back while its CRC-32 is taken. One thread."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._crc = 0
        self._chunks = 0

    def write_header(self, seq: int, header: dict[str, object]) -> None:
        """Begin the file."""
        text = json.dumps({"seq": seq, "header": header}, separators=(",", ":")).encode()
        self._write(MAGIC + struct.pack("<I", len(text)) + text)

    def write_chunk(self, chunk: Chunk) -> None:
        """Add rows. Raises `TypeError` for arrays of objects."""
        rows = np.ascontiguousarray(chunk.rows).reshape(chunk.rows.shape)
        rows = rows.astype(rows.dtype.newbyteorder("<"), copy=False)
        if rows.dtype.kind not in _KINDS or rows.dtype.names is not None:
            raise TypeError(f"{chunk.name}: expected numbers or bytes, got {rows.dtype}")
        name, kind = chunk.name.encode(), rows.dtype.str.encode()
        self._write(
            b"C" + struct.pack("<H", len(name)) + name + struct.pack("<B", len(kind)) + kind
            + struct.pack(f"<QB{rows.ndim}Q", chunk.start, rows.ndim, *rows.shape)
        )  # fmt: skip
        if rows.size:
            self._write(rows.reshape(-1).view(np.uint8).data)
        self._chunks += 1

    def write_trailer(self) -> None:
        """End the file and fsync it."""
        self._write(b"E")
        end = struct.pack("<Q", self._chunks)
        self._write(end)
        self._file.write(struct.pack("<I", self._crc))
        self._file.flush()
        os.fsync(self._file.fileno())

    def _write(self, block: bytes | memoryview) -> None:
        self._crc = crc32(block, self._crc)
        self._file.write(block)


def read_header(path: Path) -> dict[str, Any]:
    """The header of a checkpoint, without reading or checking the rest.

    Raises:
        StorageError: there is none.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(MAGIC) + 4)
            (length,) = struct.unpack("<I", start[len(MAGIC) :])
            content = json.loads(file.read(min(length, _MAX_HEADER_BYTES)))
            header: dict[str, Any] = content["header"]
            return header
    except (OSError, struct.error, ValueError, KeyError, TypeError) as exc:
        raise StorageError(f"{path}: expected a checkpoint's header: {exc}") from exc


class Checkpoint:
    """A checkpoint file whose checksum was found right. Keeps the file open, so that it can be read even if deleted.

    Raises:
        StorageError: not a checkpoint, damaged, or cut short.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = path.open("rb")
        except OSError as exc:
            raise StorageError(f"{path}: expected a checkpoint: {exc.strerror}") from exc
        try:
            self._end = self._verify()
            self.seq, self.header = self._read_header()
            self._first_chunk = self._file.tell()
        except BaseException:
            self._file.close()
            raise

    def chunks(self) -> Iterator[Chunk]:
        """All pieces in the order in which they were put, one in memory at a time; the arrays are read-only."""
        position = self._first_chunk
        while position < self._end:
            self._file.seek(position)
            yield self._read_chunk()
            position = self._file.tell()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _verify(self) -> int:
        """Check magic and CRC in one pass; return where the trailer begins."""
        size = os.fstat(self._file.fileno()).st_size
        left = size - 4
        if self._file.read(len(MAGIC)) != MAGIC or left < len(MAGIC) + 4 + 9:
            raise StorageError(f"{self.path}: expected a checkpoint of version {MAGIC[-1]}, got something else")
        self._file.seek(0)
        crc = 0
        while left:
            block = self._file.read(min(left, _BLOCK_BYTES))
            if not block:
                raise StorageError(f"{self.path}: the checkpoint shrank while it was read")
            crc, left = crc32(block, crc), left - len(block)
        stored = self._file.read(4)
        if stored != struct.pack("<I", crc):
            raise StorageError(f"{self.path}: expected CRC {crc:08x}, got {stored.hex()}: damaged or cut short")
        self._file.seek(size - 13)
        if self._file.read(1) != b"E":
            raise StorageError(f"{self.path}: expected a trailer, found none")
        self._file.seek(len(MAGIC))
        return size - 13

    def _read_header(self) -> tuple[int, dict[str, Any]]:
        (length,) = struct.unpack("<I", self._exactly(4))
        content = json.loads(self._exactly(min(length, _MAX_HEADER_BYTES)))
        return int(content["seq"]), content["header"]

    def _read_chunk(self) -> Chunk:
        if self._exactly(1) != b"C":
            raise StorageError(f"{self.path}: expected a chunk, got something else")
        name = self._exactly(struct.unpack("<H", self._exactly(2))[0]).decode()
        kind = np.dtype(self._exactly(self._exactly(1)[0]).decode())
        start, ndim = struct.unpack("<QB", self._exactly(9))
        shape = struct.unpack(f"<{ndim}Q", self._exactly(8 * ndim))
        rows = np.frombuffer(self._exactly(math.prod(shape) * kind.itemsize), dtype=kind).reshape(shape)
        return Chunk(name, start, rows)

    def _exactly(self, count: int) -> bytes:
        if count > self._end:
            raise StorageError(f"{self.path}: expected {count} bytes in a file of {self._end}")
        block = self._file.read(count)
        if len(block) != count:
            raise StorageError(f"{self.path}: expected {count} bytes, got {len(block)}")
        return block
