"""How rows become batches: segments that carry the state on, or windows that begin from zero.

Stateful, the array of one batch is (segment steps, lanes · R, I): every lane is one stream, and the next batch goes
on where this one ended, so rows are in order and never shuffled. Windowed it is (look-back steps, windows · R, I),
and every window begins anew. Both are written (streams, steps, features) in the tutorials; here steps come first.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gaugecast.learn.fit.descent import TrainingBatch
from gaugecast.learn.fit.prepared import Prepared
from gaugecast.learn.history.recording import Stretch
from gaugecast.records import Int64

#: Steps before the validation part that only warm the state up.
WARM_STEPS = 200


@dataclass(frozen=True, slots=True)
class Span:
    """Rows of each stream that count, as shares of its length: `low` to `high`."""

    low: float
    high: float

    def rows(self, total: int) -> tuple[int, int]:
        """First and last-but-one row of a stream of so many."""
        return round(self.low * total), round(self.high * total)


@dataclass(frozen=True, slots=True)
class Piece:
    """Up to T successive steps of one stream; those before `counts_from` only move the state."""

    stream: str
    start: int
    stop: int
    counts_from: int
    begins: bool


def origins_of(stretch: Stretch, span: Span, total: int, ahead: int) -> tuple[int, int]:
    """Rows of a stretch whose targets, the `ahead` rows after them, all lie in the span and the stretch."""
    low, high = span.rows(total)
    return max(stretch.start, low - 1), min(stretch.stop, high) - ahead


class Segments:
    """Contiguous segments, laid end to end in `lanes`; the state goes on within a stretch."""

    def __init__(
        self, prepared: Prepared, span: Span, *, steps: int, lanes: int, last_only: bool, warm: int = 0
    ) -> None:
        self._prepared, self._steps, self._last_only = prepared, steps, last_only
        recording, ahead = prepared.recording, prepared.manifest.decode_steps
        parts = []
        for stretch in prepared.stretches():
            first, stop = origins_of(stretch, span, recording.rows(stretch.stream), ahead)
            if stop > first:
                parts.append((Stretch(stretch.stream, max(stretch.start, first - warm), stop), first))
        self.targets = sum(part.stop - first for part, first in parts)
        self._lanes = _lay_out(_cut_longest(parts, lanes), lanes)

    def __len__(self) -> int:
        return max((sum(-(-(p.stop - p.start) // self._steps) for p, _ in lane) for lane in self._lanes), default=0)

    def batches(self, rng: np.random.Generator | None = None) -> Iterator[TrainingBatch]:
        """One pass, in order; `rng` is not used: rows that follow each other are not shuffled."""
        del rng
        queues = [_pieces(lane, self._steps) for lane in self._lanes]
        for row in itertools.zip_longest(*queues):
            yield assemble(self._prepared, row, self._steps, last_only=self._last_only)


class Windows:
    """Windows of `steps` rows, one every `stride`; each begins from the initial state."""

    def __init__(
        self, prepared: Prepared, span: Span, *, steps: int, stride: int, size: int, last_only: bool, shuffle: bool
    ) -> None:
        self._prepared, self._steps, self._stride, self._size = prepared, steps, stride, size
        self._last_only, self._shuffle = last_only, shuffle
        recording, ahead = prepared.recording, prepared.manifest.decode_steps
        self._runs: list[tuple[str, int]] = []
        counts = [0]
        for stretch in prepared.stretches():
            first, stop = origins_of(stretch, span, recording.rows(stretch.stream), ahead)
            first = max(first, stretch.start + steps - 1)  # the last step of a window, whose target is forecast
            if stop > first:
                self._runs.append((stretch.stream, first))
                counts.append(counts[-1] + -(-(stop - first) // stride))
        self._counts = np.array(counts, np.int64)
        self.targets = counts[-1]

    def __len__(self) -> int:
        return -(-self.targets // self._size)

    def batches(self, rng: np.random.Generator | None = None) -> Iterator[TrainingBatch]:
        """One pass over all windows, in random order if `rng` is given and shuffling is wanted."""
        order: Int64 = np.arange(self.targets)
        if rng is not None and self._shuffle:
            rng.shuffle(order)
        for start in range(0, self.targets, self._size):
            pieces: list[Piece | None] = [self._piece(int(i)) for i in order[start : start + self._size]]
            pieces += [None] * (self._size - len(pieces))
            yield assemble(self._prepared, pieces, self._steps, last_only=self._last_only)

    def _piece(self, number: int) -> Piece:
        run = int(np.searchsorted(self._counts, number, side="right")) - 1
        stream, first = self._runs[run]
        last = first + (number - int(self._counts[run])) * self._stride
        start = last - self._steps + 1
        return Piece(stream, start, last + 1, start, begins=True)


def assemble(prepared: Prepared, pieces: Sequence[Piece | None], steps: int, *, last_only: bool) -> TrainingBatch:
    """Read pieces side by side into one batch of fixed shape; `None` is an empty lane."""
    rows, width = prepared.input_shape
    outputs = prepared.target_shape[1]
    lanes = len(pieces)
    x = np.zeros((steps, lanes, rows, width), np.float32)
    target = np.zeros((steps, lanes, rows, outputs), np.float32)
    weight = np.zeros((steps, lanes, rows, outputs), np.float32)
    begins = np.zeros((lanes, rows), np.float32)
    for lane, piece in enumerate(pieces):
        if piece is None:
            continue
        n = piece.stop - piece.start
        x[:n, lane] = prepared.inputs(piece.stream, piece.start, piece.stop)
        wanted = prepared.targets(piece.stream, piece.start, piece.stop)
        known = np.isfinite(wanted)
        known[: max(piece.counts_from - piece.start, 0)] = False
        if last_only:
            known[:-1] = False
        target[:n, lane] = np.where(known, wanted, 0.0)
        weight[:n, lane] = known
        begins[lane] = piece.begins
    flat = (steps, lanes * rows, -1)
    return TrainingBatch(x.reshape(flat), target.reshape(flat), weight.reshape(flat), begins.reshape(-1, 1))


def _cut_longest(parts: list[tuple[Stretch, int]], lanes: int) -> list[tuple[Stretch, int]]:
    """Halve the longest parts until every lane has one; a part of a stream begins from the initial state, too."""
    parts = list(parts)
    while parts and len(parts) < lanes:
        parts.sort(key=lambda part: part[0].stop - part[0].start)
        stretch, counts_from = parts.pop()
        middle = (stretch.start + stretch.stop) // 2
        if middle == stretch.start:
            return [*parts, (stretch, counts_from)]
        parts += [
            (Stretch(stretch.stream, stretch.start, middle), counts_from),
            (Stretch(stretch.stream, middle, stretch.stop), max(middle, counts_from)),
        ]
    return parts


def _lay_out(parts: list[tuple[Stretch, int]], lanes: int) -> list[list[tuple[Stretch, int]]]:
    """Parts in lanes of about the same length, the longest first."""
    laid: list[list[tuple[Stretch, int]]] = [[] for _ in range(lanes)]
    lengths = [0] * lanes
    for part in sorted(parts, key=lambda p: p[0].stop - p[0].start, reverse=True):
        shortest = lengths.index(min(lengths))
        laid[shortest].append(part)
        lengths[shortest] += part[0].stop - part[0].start
    return laid


def _pieces(lane: list[tuple[Stretch, int]], steps: int) -> Iterator[Piece]:
    for stretch, counts_from in lane:
        for start in range(stretch.start, stretch.stop, steps):
            stop = min(start + steps, stretch.stop)
            yield Piece(stretch.stream, start, stop, counts_from, begins=start == stretch.start)
