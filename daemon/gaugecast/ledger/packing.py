"""A batch's rows as bytes, and back: column by column, compressed, under a checksum. Pure; knows no SQL.

A part is a CRC-32, a byte that says how the rest is stored, and the columns one after another. A column of numbers is
a byte and then one number where all are equal, nothing where it repeats an earlier column, else all of them. Little
endian. `struct` and `join` rather than NumPy: most commits have few rows, and then each call of NumPy's costs as much
as a row. ISA-L's deflate rather than zlib's: the same format, a quarter of the time, and a tenth where a part is short.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple, cast

from isal import isal_zlib

_NOT_DEFLATE = cast(type[Exception], isal_zlib.error)  # its stubs take the class for one of its exceptions
_RAW, _DEFLATED = b"\0", b"\1"
ONE, ALL, LIKE = 0, 1, 2
#: Parts shorter than this are kept as they are: to compress costs 8 µs. A lone forecast's body is longer: that saves
#: two fifths of a page, of the two that a commit of one reading writes.
_COMPRESSED_FROM = 256
_WIDTH = {"B": 1, "I": 4, "q": 8, "Q": 8}
#: A part's numbers where it has one row, which is what most commits of a slow plant are: a third of their packing.
_LONE_INPUT = struct.Struct("<BBBBBIBqBqBqcBqBBBI").pack
_LONE_OUTPUT = struct.Struct("<BBBIBIBqBI").pack
_PACK_ONE = {code: struct.Struct("<B" + code).pack for code in _WIDTH}


class DamagedPart(Exception):
    """Bytes that are not those that were written."""


class InputColumns(NamedTuple):
    """Inputs by column; an event's text is kept elsewhere, and `names` spell out rejects' streams that have no id."""

    kinds: Sequence[int]
    verdicts: Sequence[int]
    stream_ids: Sequence[int]
    at_ns: Sequence[int]
    received_at_ns: Sequence[int]
    keys: Sequence[int]
    deliveries: Sequence[int]
    dups: Sequence[int]
    values: Sequence[bytes]
    reasons: Sequence[str]
    names: Sequence[str]


class OutputColumns(NamedTuple):
    """Outputs by column; `kinds` are 0 (a forecast) or 1 (a notice, such as of a crossing: it has no forecast),
    `causes` the places of the inputs that made them.
    """

    kinds: Sequence[int]
    causes: Sequence[int]
    stream_ids: Sequence[int]
    steps: Sequence[int]
    forecasts: Sequence[bytes]
    body_crcs: Sequence[int]


class BodyColumns(NamedTuple):
    """What is to be published, by column."""

    topics: Sequence[str]
    retains: Sequence[int]
    qos: Sequence[int]
    bodies: Sequence[bytes]


def pack_inputs(columns: InputColumns) -> bytes:
    """At least one input as a part.

    Raises:
        struct.error: A number is too large for its column.
    """
    at_ns = columns.at_ns
    if len(at_ns) == 1 and columns.deliveries[0] >> 63 <= 0:
        return _close(_lone_input(columns), columns.values[0], *_texts(columns.reasons), *_texts(columns.names))
    return _close(
        _numbers("B", columns.kinds),
        _numbers("B", columns.verdicts),
        _numbers("I", columns.stream_ids),
        _numbers("q", at_ns),
        _numbers("q", columns.received_at_ns, like=at_ns),
        _numbers("q", columns.keys, like=at_ns),
        _wide_numbers(columns.deliveries),
        _numbers("B", columns.dups),
        *_blobs(columns.values),
        *_texts(columns.reasons),
        *_texts(columns.names),
    )


def _lone_input(columns: InputColumns) -> bytes:
    """All before the values; the same bytes as column by column."""
    kind, verdict, stream_id, at_ns, received, key, delivery, dup = (column[0] for column in columns[:8])
    return _LONE_INPUT(
        ONE, kind, ONE, verdict, ONE, stream_id, ONE, at_ns, ONE, received, ONE, key, b"q", ONE, delivery, ONE, dup,
        ONE, len(columns.values[0]),
    )  # fmt: skip


def unpack_inputs(part: bytes, count: int) -> InputColumns:
    """Inverse of `pack_inputs`. Raises `DamagedPart`."""
    read = _Reader(open_part(part), count)
    kinds, verdicts, stream_ids, at_ns = read.numbers("B"), read.numbers("B"), read.numbers("I"), read.numbers("q")
    return InputColumns(
        kinds, verdicts, stream_ids, at_ns, read.numbers("q", at_ns), read.numbers("q", at_ns),
        read.wide_numbers(), read.numbers("B"), read.blobs(), read.texts(), read.texts(),
    )  # fmt: skip


def pack_outputs(columns: OutputColumns) -> bytes:
    """At least one output as a part. Raises `struct.error` as `pack_inputs`."""
    if len(columns.steps) == 1:
        (kind,), (cause,), (stream_id,), (step,), (forecast,), crcs = columns
        numbers = _LONE_OUTPUT(ONE, kind, ONE, cause, ONE, stream_id, ONE, step, ONE, len(forecast))
        return _close(numbers, forecast, _numbers("I", crcs))
    return _close(
        _numbers("B", columns.kinds),
        _numbers("I", columns.causes, like=range(len(columns.causes))),
        _numbers("I", columns.stream_ids),
        _numbers("q", columns.steps),
        *_blobs(columns.forecasts),
        _numbers("I", columns.body_crcs),
    )


def unpack_outputs(part: bytes, count: int) -> OutputColumns:
    """Inverse of `pack_outputs`. Raises `DamagedPart`."""
    read = _Reader(open_part(part), count)
    return OutputColumns(
        read.numbers("B"), read.numbers("I", range(count)), read.numbers("I"), read.numbers("q"), read.blobs(),
        read.numbers("I"),
    )  # fmt: skip


def pack_bodies(columns: BodyColumns) -> bytes:
    """At least one message as a part."""
    return _close(
        *_texts(columns.topics),
        _numbers("B", columns.retains),
        _numbers("B", columns.qos),
        *_blobs(columns.bodies),
    )


def unpack_bodies(part: bytes, count: int) -> BodyColumns:
    """Inverse of `pack_bodies`. Raises `DamagedPart`."""
    read = _Reader(open_part(part), count)
    return BodyColumns(read.texts(), read.numbers("B"), read.numbers("B"), read.blobs())


def close_part(raw: bytes, *, compress: bool = True) -> bytes:
    """Compress bytes where that is worth it, and put their checksum before them."""
    if not compress or len(raw) < _COMPRESSED_FROM:
        stored = _RAW + raw
    else:
        stored = _DEFLATED + isal_zlib.compress(raw, 1, -15)
    return isal_zlib.crc32(stored).to_bytes(4, "little") + stored


def check_part(part: bytes) -> memoryview:
    """What stands behind the checksum, still as it is stored. Raises `DamagedPart` where that is another."""
    stored = memoryview(part)[4:]
    if not stored or isal_zlib.crc32(stored) != int.from_bytes(part[:4], "little"):
        raise DamagedPart(f"checksum {part[:4].hex()} expected of {len(stored)} bytes that have another")
    return stored


def open_part(part: bytes) -> bytes:
    """Inverse of `close_part`. Raises `DamagedPart`."""
    stored = check_part(part)
    if stored[0] != _DEFLATED[0]:
        return bytes(stored[1:])
    try:
        return isal_zlib.decompress(stored[1:], -15)
    except _NOT_DEFLATE as exc:
        raise DamagedPart(str(exc)) from exc


def _close(*columns: bytes) -> bytes:
    return close_part(b"".join(columns))


def _numbers(code: str, column: Sequence[int], *, like: Sequence[int] | None = None) -> bytes:
    count, first = len(column), column[0]
    if count == 1 or column.count(first) == count:
        return _PACK_ONE[code](ONE, first)
    if like is not None and tuple(column) == tuple(like):
        return bytes((LIKE,))
    return struct.pack(f"<B{count}{code}", ALL, *column)


def _wide_numbers(column: Sequence[int]) -> bytes:
    """Numbers of 64 bits that may be with or without a sign, all of one batch alike."""
    code = "Q" if max(column) >> 63 > 0 else "q"
    return code.encode() + _numbers(code, column)


def _blobs(column: Sequence[bytes]) -> tuple[bytes, bytes]:
    return _numbers("I", tuple(map(len, column))), b"".join(column)


def _texts(column: Sequence[str]) -> tuple[bytes, ...]:
    if not any(column):  # or none at all
        return (b"\0",)
    return b"\1", *_blobs([text.encode() for text in column])


class _Reader:
    """Takes the columns of a part one after another."""

    __slots__ = ("_at", "_bytes", "_count")

    def __init__(self, raw: bytes, count: int) -> None:
        self._bytes, self._count, self._at = raw, count, 0

    def numbers(self, code: str, like: Sequence[int] | None = None) -> Sequence[int]:
        how, at = self._bytes[self._at], self._at + 1
        if how == LIKE and like is not None:
            self._at = at
            return like
        count = 1 if how == ONE else self._count
        found = struct.unpack_from(f"<{count}{code}", self._bytes, at)
        self._at = at + count * _WIDTH[code]
        return found * self._count if how == ONE else found

    def wide_numbers(self) -> Sequence[int]:
        self._at += 1
        return self.numbers(chr(self._bytes[self._at - 1]))

    def blobs(self) -> list[bytes]:
        found, raw, at = [], self._bytes, 0
        lengths = self.numbers("I")
        at = self._at
        for length in lengths:
            found.append(raw[at : at + length])
            at += length
        self._at = at
        return found

    def texts(self) -> Sequence[str]:
        self._at += 1
        if self._bytes[self._at - 1] == 0:
            return ("",) * self._count
        return [text.decode() for text in self.blobs()]
