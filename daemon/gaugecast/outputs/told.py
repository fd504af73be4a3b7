"""What is said of N steps of one fleet, in numbers: what every shape of message is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import NamedTuple

import numpy as np

from gaugecast.forecast.body import rounded_scores
from gaugecast.forecast.templates import by_column, round_digits, texts_of
from gaugecast.records import Float64

_UNKNOWN = b"null"


class Told(NamedTuple):
    """N steps of one fleet.

    Attributes:
        streams, steps: Name each, within the lineage.
        at_ns: Event times.
        forecast: (N, H, G) in the sensors' units; H as in `Fleet.ahead`.
        observed, predicted: (N, G), NaN = nothing.
        lower, upper: Bounds by level (N, H, G, L), NaN = not known; `None` where the fleet has no intervals.
        scores: How strange the values are (N, G), NaN = not judged; `None` where nobody looks.
        bodies: Makes the JSON messages, one a step.
    """

    streams: Sequence[str]
    steps: Sequence[int]
    at_ns: Sequence[int]
    forecast: Float64
    observed: Float64
    predicted: Float64
    lower: Float64 | None
    upper: Float64 | None
    scores: Float64 | None
    bodies: Callable[[], list[bytes]]


class Messages(NamedTuple):
    """Messages by column: of which step each is, where it goes, what it says. Those of a step stand together."""

    rows: list[int]
    topics: list[str]
    bodies: list[bytes]


class Texts:
    """The numbers of N steps as texts by column; empty where a number is not known.

    All at once, since a call costs as much as a hundred numbers.
    """

    def __init__(self, told: Told) -> None:
        self.count, self._horizons, self._width = told.forecast.shape
        forecast = np.moveaxis(told.forecast, 0, 2)  # (H, G, N)
        parts = [forecast, (told.observed - told.predicted).T]
        if told.lower is not None and told.upper is not None:
            self._levels = told.lower.shape[3]
            parts.append(np.moveaxis(np.stack([told.lower, told.upper], axis=4), 0, 4))  # (H, G, L, 2, N)
        rounded = round_digits(np.concatenate([part.reshape(-1, self.count) for part in parts]))
        scores = [] if told.scores is None else [rounded_scores(told.scores).T]
        self.scored = told.scores is not None
        self._columns = columns_of(np.concatenate([rounded, *scores, told.observed.T]))
        self._bounds_from = self._horizons * self._width + self._width

    def forecast(self, h: int, g: int) -> list[bytes]:
        """Of feature `g` at horizon `h`."""
        return self._columns[h * self._width + g]

    def residual(self, g: int) -> list[bytes]:
        """What came minus what had been forecast."""
        return self._columns[self._horizons * self._width + g]

    def bound(self, h: int, g: int, *, level: int, side: int) -> list[bytes]:
        """Of an interval: side 0 is the lower, 1 the upper."""
        place = ((h * self._width + g) * self._levels + level) * 2 + side
        return self._columns[self._bounds_from + place]

    def score(self, g: int) -> list[bytes]:
        """How strange the value is; only where it is `scored`."""
        return self._columns[len(self._columns) - 2 * self._width + g]

    def observed(self, g: int) -> list[bytes]:
        """As it was measured."""
        return self._columns[len(self._columns) - self._width + g]


def columns_of(numbers: Float64) -> list[list[bytes]]:
    """The text of each number of (C, N), by column; empty for NaN and infinities."""
    texts = texts_of(numbers.ravel().tolist())
    if _UNKNOWN in texts:
        texts = [b"" if text == _UNKNOWN else text for text in texts]
    return list(by_column(texts, numbers.shape[1]))


def seconds_of(instants_ns: Sequence[int]) -> list[bytes]:
    """Unix seconds, correctly rounded to a double."""
    return texts_of([instant / 1_000_000_000 for instant in instants_ns])


def joined(columns: Iterable[tuple[bytes, Sequence[bytes]]], *, end: bytes = b"") -> list[bytes]:
    """Rows of columns' texts, each with its column's head before it; of what is not known, neither."""
    pieces: list[Iterable[bytes]] = []
    for head, texts in columns:
        if b"" in texts:
            pieces.append([head + text if text else b"" for text in texts])
        else:
            pieces += (repeat(head), texts)
    return list(map(b"".join, zip(*pieces, repeat(end), strict=False)))
