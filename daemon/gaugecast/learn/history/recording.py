"""History on disk: rows of each stream on their ticks, read in slices, so that its length costs no memory."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gaugecast.records import Float64, Int64

SLICE_ROWS = 65_536
#: The share of a row's distance from its tick that the phase takes over, as in `align.ticks`.
FOLLOW = 8


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows `start` to `stop` of one stream, on successive ticks without a gap: the state lives as long."""

    stream: str
    start: int
    stop: int


class _Shelf:
    """One stream's two files."""

    def __init__(self, place: Path) -> None:
        self.ticks, self.values = place.with_suffix(".ticks"), place.with_suffix(".values")
        self.rows = 0
        self.origin = self.phase = 0
        self.last_at = 0
        self.last_tick = -(2**62)
        self.breaks: list[int] = []
        self.hashes = (hashlib.sha256(), hashlib.sha256())  # ticks, values: however the rows were cut


class Recording:
    """Streams of F features, a row a tick. One thread's; its files lie in `directory` and are the caller's to remove.

    Args:
        directory: For the files.
        features: F.
        period_ns: Distance of two ticks.
        bridge: Gaps of up to so many ticks become rows of which nothing is known; longer ones end a stretch.

    Attributes:
        dropped: Rows that came late or twice and were left out.
        bridged: Rows that stand for ticks at which nothing came.
    """

    def __init__(self, directory: Path, features: int, period_ns: int, *, bridge: int = 0) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory, self.features, self.period_ns = directory, features, period_ns
        self.dropped = self.bridged = 0
        self._bridge = bridge
        self._shelves: dict[str, _Shelf] = {}

    @property
    def streams(self) -> list[str]:
        """Names, sorted: the order in which they came must not matter."""
        return sorted(self._shelves)

    def rows(self, stream: str) -> int:
        """Rows of one stream."""
        return self._shelves[stream].rows

    @property
    def total_rows(self) -> int:
        """Rows of all streams."""
        return sum(shelf.rows for shelf in self._shelves.values())

    def digest(self) -> str:
        """SHA-256 over all rows: the same wherever they came from, in whatever order the streams did."""
        total = hashlib.sha256()
        for name in self.streams:
            shelf = self._shelves[name]
            parts = [shelf.origin.to_bytes(8, "little", signed=True), *(part.digest() for part in shelf.hashes)]
            total.update(b"".join([name.encode(), b"\0", *parts]))
        return total.hexdigest()

    def add(self, stream: str, at_ns: Int64, values: Float64) -> None:
        """Append rows of one stream: event times (n,) and values (n, F), NaN = absent; late ones are left out."""
        if stream not in self._shelves:
            self._shelves[stream] = _Shelf(self.directory / f"stream-{len(self._shelves)}")
            self._shelves[stream].origin = self._shelves[stream].phase = int(at_ns[0])
        shelf = self._shelves[stream]
        ticks = self._ticks(shelf, at_ns)
        newest = np.maximum.accumulate(np.concatenate([[shelf.last_tick], ticks]))[:-1]
        rising = ticks > newest
        self.dropped += int((~rising).sum())
        ticks, values, newest = ticks[rising], np.ascontiguousarray(values[rising], "<f8"), newest[rising]
        if not len(ticks):
            return
        ticks, values = self._fill(ticks, values, ticks - newest - 1)
        newest = np.concatenate([[shelf.last_tick], ticks[:-1]])
        shelf.breaks += [shelf.rows + int(i) for i in np.flatnonzero(ticks != newest + 1)]
        for path, block in ((shelf.ticks, ticks), (shelf.values, values)):
            with path.open("ab") as file:
                file.write(block.tobytes())
        shelf.hashes[0].update(ticks.tobytes())
        shelf.hashes[1].update(values.tobytes())
        shelf.rows += len(ticks)
        shelf.last_tick = int(ticks[-1])

    def _fill(self, ticks: Int64, values: Float64, gap: Int64) -> tuple[Int64, Float64]:
        """Rows for the ticks of short gaps; `gap` (n,) ticks are missing before each row."""
        missing = np.where(gap <= self._bridge, gap, 0)
        if not missing.any():
            return ticks, values
        self.bridged += int(missing.sum())
        before = np.repeat(np.arange(len(ticks)), missing)
        rank = np.arange(len(before)) - np.repeat(np.cumsum(missing) - missing, missing)
        filled = ticks[before] - missing[before] + rank
        return np.insert(ticks, before, filled), np.insert(values, before, np.nan, axis=0)

    def _ticks(self, shelf: _Shelf, at_ns: Int64) -> Int64:
        """The tick of each row; its phase follows a sensor whose period is not quite ours, as the daemon's does."""
        period, half = self.period_ns, self.period_ns // 2
        ticks: Int64 = (at_ns - shelf.phase + half) // period
        if np.array_equal(shelf.phase + ticks * period, at_ns):
            shelf.last_at = int(at_ns[-1])
            return ticks
        phase, last_at = shelf.phase, shelf.last_at
        for i, at in enumerate(at_ns.tolist()):
            ticks[i] = tick = (at - phase + half) // period
            if at - last_at > half:
                phase += (at - phase - tick * period) // FOLLOW
            last_at = max(last_at, at)
        shelf.phase, shelf.last_at = phase, last_at
        return ticks

    def read(self, stream: str, start: int, stop: int) -> tuple[Int64, Float64]:
        """Event times on the tick (n,), ns, and values (n, F) of rows `start` to `stop`, cut to what there is."""
        shelf = self._shelves[stream]
        start, stop = max(start, 0), min(stop, shelf.rows)
        count = max(stop - start, 0)
        ticks = np.fromfile(shelf.ticks, "<i8", count=count, offset=8 * start)
        width = self.features
        values = np.fromfile(shelf.values, "<f8", count=count * width, offset=8 * width * start)
        return shelf.origin + ticks * self.period_ns, values.reshape(count, width)

    def stretches(self, stream: str) -> list[Stretch]:
        """The stream's rows, cut where ticks are missing."""
        shelf = self._shelves[stream]
        edges = [*shelf.breaks, shelf.rows]
        return [Stretch(stream, a, b) for a, b in itertools.pairwise(edges)]
