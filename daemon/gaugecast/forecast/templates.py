"""Many messages of one shape at once: texts of numbers by the column, put between the pieces of one template.

A message made one by one costs some ten times as much.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat
from typing import Any

import msgspec
import numpy as np

from gaugecast.records import Float64

#: In a template stands for what differs from message to message; no name has one.
HOLE: Any = "\0"

encode = msgspec.json.Encoder().encode
_encoder = msgspec.json.Encoder()

_DIGITS = 9
_SMALLEST = -220  # of the exponents of what is rounded, and more
_POWERS = 10.0 ** np.arange(_SMALLEST, 221, dtype=np.float64)


def round_digits(values: Float64, digits: int = _DIGITS) -> Float64:
    """Round to so many significant decimal digits: shorter to send, and finer than any sensor."""
    size = np.abs(values)
    size = np.where((size > 1e-200) & (size < 1e200), size, 1.0)
    factor = _POWERS[(digits - 1 - _SMALLEST - np.floor(np.log10(size))).astype(np.int64)]
    out: Float64 = np.where(np.abs(values) < 1e200, np.rint(values * factor) / factor, values)
    return out


def pieces_of(template: object) -> list[bytes]:
    """What stands between the holes of a template, before the first and behind the last."""
    return encode(template).split(encode(HOLE))


def filled(between: Sequence[bytes], columns: Iterable[Sequence[bytes]]) -> list[bytes]:
    """N texts: of each column one entry in the place of a hole; there is at least one column."""
    pieces = chain.from_iterable(zip(map(repeat, between), columns, strict=False))
    return list(map(b"".join, zip(*pieces, repeat(between[-1]), strict=False)))


def texts_of(numbers: Sequence[float]) -> list[bytes]:
    """The text of each, at least one; `null` for NaN."""
    return encode(numbers)[1:-1].split(b",")


def quoted(texts: Sequence[str]) -> list[bytes]:
    """Each in quotes. A line break in a text is escaped, so lines part them."""
    return _encoder.encode_lines(texts).split(b"\n")[:-1]


def by_column(texts: list[bytes], count: int) -> Iterator[list[bytes]]:
    """Columns of N texts that lie behind each other."""
    return (texts[at : at + count] for at in range(0, len(texts), count))
