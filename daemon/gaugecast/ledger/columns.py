"""Columns of a sealed segment as bytes, and back: what is alike is laid together, then deflated. Pure.

Integers are stored as differences, in byte planes (all lowest bytes, then all next ones, …), of which the upper ones
are nearly all zero. Numbers that a sensor sends have few decimals: these are stored as integers; all others as bits,
each against the one before it. Whatever goes in comes out to the bit.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from isal import isal_zlib

from gaugecast.ledger.blobs import Blobs
from gaugecast.records import Float64, Int64

_UInt64 = npt.NDArray[np.uint64]
_CONSTANT, _EVEN, _OFFSETS, _DIFFERENCES = range(4)
_BITS = 255  # stands for the number of decimals where there is none
_SCALES = tuple(10.0**k for k in range(7))
_EXACT = float(1 << 53)
_NAN = np.array([np.nan]).view(np.int64)[0]
_LEVEL = 1
_SAMPLE = 16
_FEW_PLANES = 3  # are put together faster one by one than by strides
_MOST_LENGTHS = 8  # of blobs in a column, beyond which they are not looked into


def encode_ints(column: Int64) -> bytes:
    """At least one integer."""
    first = int(column[0])
    steps = np.diff(column)  # wraps around, and so does the sum
    if not steps.any():
        return struct.pack("<Bq", _CONSTANT, first)
    if (steps == steps[0]).all():
        return struct.pack("<Bqq", _EVEN, first, int(steps[0]))
    offsets, differences = _zigzag(column - column[0]), _zigzag(np.concatenate((column[:1] * 0, steps)))
    how, chosen = min((_OFFSETS, offsets), (_DIFFERENCES, differences), key=lambda pair: _cost(pair[1]))
    return struct.pack("<Bq", how, first) + _planes(chosen)


def decode_ints(stored: bytes, count: int) -> Int64:
    """Inverse of `encode_ints`."""
    how, first = struct.unpack_from("<Bq", stored)
    if how == _CONSTANT:
        return np.full(count, first, np.int64)
    if how == _EVEN:
        step: int = struct.unpack_from("<q", stored, 9)[0]
        return np.int64(first) + np.arange(count, dtype=np.int64) * np.int64(step)
    found = _unzigzag(_from_planes(stored[9:], count))
    column: Int64 = np.cumsum(found, dtype=np.int64) if how == _DIFFERENCES else found
    return np.int64(first) + column


def _cost(column: _UInt64) -> float:
    """About how many bits the numbers of a column have."""
    return float(np.log2(column + 1.0).sum())


def encode_floats(column: Float64) -> bytes:
    """At least one float64, whatever its bits."""
    bits = np.ascontiguousarray(column).view(np.int64)
    absent = bits == _NAN
    present = column[~absent]
    for decimals, scale in enumerate(_SCALES):
        if _exact_ints(present[:_SAMPLE], scale) is None:  # most numbers that are none say so at once
            continue
        ints = _exact_ints(present, scale)
        if ints is not None:
            mask = isal_zlib.compress(np.packbits(absent).tobytes(), _LEVEL) if absent.any() else b""
            return struct.pack("<BI", decimals, len(mask)) + mask + (encode_ints(ints) if len(ints) else b"")
    unsigned = bits.view(np.uint64)
    changes = unsigned.copy()
    changes[1:] ^= unsigned[:-1]
    return bytes((_BITS,)) + _planes(changes)


def _exact_ints(column: Float64, scale: float) -> Int64 | None:
    """The integers that give these numbers to the bit, once divided by `scale`; `None` where there are none."""
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.rint(column * scale)
    if len(scaled) and not np.abs(scaled).max() < _EXACT:  # NaN, too
        return None
    ints = scaled.astype(np.int64)
    return ints if np.array_equal((ints / scale).view(np.int64), column.view(np.int64)) else None


def decode_floats(stored: bytes, count: int) -> Float64:
    """Inverse of `encode_floats`."""
    if stored[0] == _BITS:
        return np.bitwise_xor.accumulate(_from_planes(stored[1:], count)).view(np.float64)
    decimals, length = struct.unpack_from("<BI", stored)
    if not length and count:
        floats: Float64 = decode_ints(stored[5:], count) / _SCALES[decimals]
        return floats
    absent = np.zeros(count, np.bool_)
    if length:
        packed = np.frombuffer(isal_zlib.decompress(stored[5 : 5 + length]), np.uint8)
        absent = np.unpackbits(packed, count=count).astype(np.bool_)
    column = np.full(count, _NAN, np.int64).view(np.float64)
    present = count - int(absent.sum())
    if present:
        column[~absent] = decode_ints(stored[5 + length :], present) / _SCALES[decimals]
    return column


def encode_blobs(column: Blobs) -> bytes:
    """At least one string of bytes; those that may be float64s are taken for such."""
    parts = [encode_ints(column.lengths)]
    kinds = _float_lengths(column.lengths)
    if kinds is None:
        return join([*parts, isal_zlib.compress(column.raw.tobytes(), _LEVEL)])
    for length in kinds:
        whole = column if len(kinds) == 1 else column.take(np.flatnonzero(column.lengths == length))
        table = whole.table() if length else np.empty((0, 0))
        parts += (encode_floats(table[:, f].copy()) for f in range(length // 8))
    return join(parts)


def decode_blobs(stored: bytes, count: int) -> Blobs:
    """Inverse of `encode_blobs`."""
    first, *parts = split(stored)
    lengths = decode_ints(first, count)
    kinds = _float_lengths(lengths)
    if kinds is None:
        return Blobs(lengths, np.frombuffer(isal_zlib.decompress(parts[0]), np.uint8))
    raw, rest = np.empty(int(lengths.sum()), np.uint8), iter(parts)
    places = np.repeat(lengths, lengths)  # of which length is the string that each byte is of
    for length in kinds:
        rows = int((lengths == length).sum())
        table = np.empty((rows, length // 8), "<f8")
        for f in range(length // 8):
            table[:, f] = decode_floats(next(rest), rows)
        if len(kinds) == 1:
            return Blobs(lengths, table.reshape(-1).view(np.uint8))
        raw[places == length] = table.reshape(-1).view(np.uint8)
    return Blobs(lengths, raw)


def _float_lengths(lengths: Int64) -> list[int] | None:
    """The lengths that occur, ascending; `None` where what has them is not to be taken for float64s."""
    kinds = np.unique(lengths) if (lengths != lengths[0]).any() else lengths[:1]
    odd = len(kinds) > _MOST_LENGTHS or (kinds % 8).any() or kinds[-1] > 1024
    return None if odd else kinds.tolist()


def encode_texts(column: Sequence[str]) -> bytes:
    """At least one text, mostly empty."""
    return encode_blobs(Blobs.of([text.encode() for text in column])) if any(column) else b""


def decode_texts(stored: bytes, count: int) -> list[str]:
    """Inverse of `encode_texts`."""
    return [text.decode() for text in decode_blobs(stored, count).to_list()] if stored else [""] * count


def join(parts: Sequence[bytes]) -> bytes:
    """Parts, with their number and lengths before them."""
    return struct.pack(f"<I{len(parts)}I", len(parts), *map(len, parts)) + b"".join(parts)


def split(stored: bytes) -> list[bytes]:
    """Inverse of `join`."""
    (count,) = struct.unpack_from("<I", stored)
    lengths = struct.unpack_from(f"<{count}I", stored, 4)
    return _cut(stored[4 + 4 * count :], np.array(lengths, np.int64))


def _cut(raw: bytes, lengths: Int64) -> list[bytes]:
    ends = np.cumsum(lengths).tolist()
    return [raw[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _zigzag(column: Int64) -> _UInt64:
    return ((column << 1) ^ (column >> 63)).view(np.uint64)


def _unzigzag(column: _UInt64) -> Int64:
    return ((column >> np.uint64(1)) ^ (~(column & np.uint64(1)) + np.uint64(1))).view(np.int64)


def _planes(column: _UInt64) -> bytes:
    width = max(1, (int(np.max(column)).bit_length() + 7) // 8)
    planes = column.astype("<u8", copy=False).view(np.uint8).reshape(-1, 8).T[:width]
    return bytes((width,)) + isal_zlib.compress(np.ascontiguousarray(planes).tobytes(), _LEVEL)


def _from_planes(stored: bytes, count: int) -> _UInt64:
    width = stored[0]
    planes = np.frombuffer(isal_zlib.decompress(stored[1:]), np.uint8).reshape(width, count)
    if width <= _FEW_PLANES:
        found: _UInt64 = planes[0].astype(np.uint64)
        for k in range(1, width):
            found |= planes[k].astype(np.uint64) << np.uint64(8 * k)
        return found
    whole = np.zeros((count, 8), np.uint8)
    whole[:, :width] = planes.T
    return whole.view("<u8").reshape(count)
