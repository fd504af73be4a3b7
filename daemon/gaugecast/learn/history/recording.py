"""History on disk: rows of each stream on their ticks, read in slices, so that its length costs no memory."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gaugecast.align import cells
from gaugecast.align.rates import Counted, rates_of
from gaugecast.align.ticks import tick_of, ticks_along
from gaugecast.fleet import Fleet
from gaugecast.records import Float64, Int64

SLICE_ROWS = 65_536
_NEVER = -(2**62)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows `start` to `stop` of one stream, on successive ticks without a gap: the state lives as long."""

    stream: str
    start: int
    stop: int


class _Cells(NamedTuple):
    """Ticks (n,), the features joined at each (n, F), and of how many readings (n, F)."""

    ticks: Int64
    values: Float64
    counts: Int64

    def cut(self, rows: slice) -> _Cells:
        """Some of the ticks."""
        return _Cells(self.ticks[rows], self.values[rows], self.counts[rows])


class _Shelf:
    """One stream's two files, and its tick that is still open."""

    def __init__(self, place: Path, origin: int, features: int) -> None:
        self.ticks, self.values = place.with_suffix(".ticks"), place.with_suffix(".values")
        self.rows = 0
        self.origin = self.phase = origin
        self.key = np.full(features, _NEVER, np.int64)  # newest event time by feature
        self.last_tick = _NEVER  # on disk
        self.open = _Cells(np.zeros(0, np.int64), np.zeros((0, features)), np.zeros((0, features), np.int64))
        self.last = np.full(features, np.nan)  # values on disk that go on to hold, and until which tick they do
        self.last_ticks = np.full(features, _NEVER, np.int64)
        self.counted = Counted.nothing((features,))
        self.breaks: list[int] = []
        self.hashes = (hashlib.sha256(), hashlib.sha256())  # ticks, values: however the rows were cut


class Recording:
    """Streams of F features, a row a tick. One thread's; its files lie in `directory` and are the caller's to remove.

    Which rows count, on which tick they lie and how those of one tick are joined is the pipeline's to say: the
    functions of `align` do it here too, for many rows of one stream at a time.

    Args:
        directory: For the files.
        fleet: Features, period and aggregates.
        bridge: Gaps of up to so many ticks become rows of which nothing is known; longer ones end a stretch.

    Attributes:
        dropped: Rows that came late or twice and were left out.
        bridged: Rows that stand for ticks at which nothing came.
    """

    def __init__(self, directory: Path, fleet: Fleet, *, bridge: int = 0) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory, self.fleet, self.features = directory, fleet, len(fleet.features)
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
        """Append readings of one stream: event times (n,) and values (n, F), NaN = absent.

        Late and repeated ones are left out; a tick that is not complete waits for more.
        """
        if not len(at_ns):
            return
        if stream not in self._shelves:
            origin = 0 if self.fleet.on_clock else int(at_ns[0])
            place = self.directory / f"stream-{len(self._shelves)}"
            self._shelves[stream] = _Shelf(place, origin, self.features)
        shelf = self._shelves[stream]
        newest = int(shelf.key.max())
        values = self._new(shelf, at_ns, values)
        if self.fleet.on_clock:
            ticks = tick_of(at_ns, np.zeros(1, np.int64), self.fleet.period_ns)
        else:
            ticks, shelf.phase = ticks_along(at_ns, shelf.phase, newest, self.fleet.period_ns)
        joined = self._join(shelf, ticks, values)
        whole = bool((joined.counts[-1:] > 0).all()) and not self.fleet.aggregated
        end = len(joined.ticks) - (not whole)
        self._write(shelf, joined.cut(slice(end)))
        shelf.open = joined.cut(slice(end, None))

    def finish(self) -> None:
        """No more will come: close the ticks that are open."""
        for shelf in self._shelves.values():
            self._write(shelf, shelf.open)
            shelf.open = shelf.open.cut(slice(0))

    def _new(self, shelf: _Shelf, at_ns: Int64, values: Float64) -> Float64:
        """The values without features whose event time does not rise, as `gates` has it."""
        present = ~np.isnan(values)
        said = np.where(present, at_ns[:, None], _NEVER)
        before = np.maximum.accumulate(np.concatenate([shelf.key[None], said]))
        shelf.key = before[-1]
        old = present & (said <= before[:-1])
        return np.where(old, np.nan, values) if old.any() else values

    def _join(self, shelf: _Shelf, ticks: Int64, values: Float64) -> _Cells:
        """All ticks that are not on disk yet, oldest first."""
        oldest = int(shelf.open.ticks[0]) if len(shelf.open.ticks) else shelf.last_tick + 1
        newest = np.maximum.accumulate(np.concatenate([[oldest], ticks]))[:-1]
        taken = (ticks >= newest) & ~np.isnan(values).all(axis=1)
        self.dropped += int((~taken).sum())
        ticks, values = ticks[taken], values[taken]
        found = np.unique(np.concatenate([shelf.open.ticks, ticks]))
        cell, count = np.full((len(found), self.features), np.nan), np.zeros((len(found), self.features), np.int64)
        cell[: len(shelf.open.ticks)], count[: len(shelf.open.ticks)] = shelf.open.values, shelf.open.counts
        place = np.searchsorted(found, ticks)
        rank = np.arange(len(ticks)) - np.searchsorted(ticks, ticks)
        for number in range(int(rank.max(initial=-1)) + 1):
            self._join_each(place[rank == number], values[rank == number], cell, count)
        return _Cells(found, cell, count)

    def _join_each(self, place: Int64, values: Float64, cell: Float64, count: Int64) -> None:
        """One reading to each of some ticks; a tick that is complete is closed, and takes no more."""
        if not self.fleet.aggregated:
            waits = ~(count[place] > 0).all(axis=1)
            self.dropped += int((~waits).sum())
            place, values = place[waits], values[waits]
        for f, feature in enumerate(self.fleet.features):
            cell[place, f] = cells.join(feature, cell[place, f], count[place, f], values[:, f])
        count[place] += ~np.isnan(values)

    def _write(self, shelf: _Shelf, rows: _Cells) -> None:
        """Put closed ticks on disk, with rows for the ticks of short gaps before them."""
        if not len(rows.ticks):
            return
        ticks, values = rows.ticks, cells.closed(self.fleet, rows.values, rows.counts)
        if self.fleet.hold_ns:
            ticks, values = self._hold(shelf, ticks, values)
        values = self._rates(shelf, ticks, values)
        ticks, values = self._fill(ticks, values, np.diff(ticks, prepend=shelf.last_tick) - 1)
        newest = np.concatenate([[shelf.last_tick], ticks[:-1]])
        shelf.breaks += [shelf.rows + int(i) for i in np.flatnonzero(ticks != newest + 1)]
        values = np.ascontiguousarray(values, "<f8")
        for path, block, digest in zip((shelf.ticks, shelf.values), (ticks, values), shelf.hashes, strict=True):
            with path.open("ab") as file:
                file.write(block.tobytes())
            digest.update(block.tobytes())
        shelf.rows += len(ticks)
        shelf.last_tick = int(ticks[-1])

    def _hold(self, shelf: _Shelf, ticks: Int64, values: Float64) -> tuple[Int64, Float64]:
        """With rows for ticks at which nothing came, as far as `hold` goes, and with what goes on to hold in all."""
        most = self.fleet.hold_ns // self.fleet.period_ns
        gap = np.diff(ticks, prepend=shelf.last_tick) - 1
        missing = np.where(gap < 2**61, np.minimum(gap, most), 0)  # the first row of all has none before it
        before = np.repeat(np.arange(len(ticks)), missing)
        rank = np.arange(len(before)) - np.repeat(np.cumsum(missing) - missing, missing)
        filled = (ticks - gap)[before] + rank
        ticks, values = np.insert(ticks, before, filled), np.insert(values, before, np.nan, axis=0)
        known, spoke = hold(values, shelf.last), np.where(np.isnan(values), _NEVER, ticks[:, None])
        spoke = np.maximum.accumulate(np.concatenate([shelf.last_ticks[None], spoke]))[1:]
        shelf.last, shelf.last_ticks = known[-1], spoke[-1]
        return ticks, np.where(ticks[:, None] - spoke <= most, known, np.nan)

    def _rates(self, shelf: _Shelf, ticks: Int64, values: Float64) -> Float64:
        """With rates in place of counters' totals."""
        places = [f for f, feature in enumerate(self.fleet.features) if feature.counter]
        if not places:
            return values
        values = values.copy()
        per_ns = np.array([self.fleet.features[f].per_ns for f in places], np.int64)
        kept = shelf.counted
        counted = Counted(kept.total[places], kept.at[places], kept.zero_at[places])
        for i, tick in enumerate(ticks.tolist()):
            at_ns = np.array(shelf.phase + tick * self.fleet.period_ns)
            values[i, places], counted = rates_of(values[i, places], at_ns, counted, per_ns)
        kept.total[places], kept.at[places], kept.zero_at[places] = counted
        return values

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

    def read(self, stream: str, start: int, stop: int) -> tuple[Int64, Float64]:
        """Event times on the tick (n,), ns, and values (n, F) of rows `start` to `stop`, cut to what there is."""
        shelf = self._shelves[stream]
        start, stop = max(start, 0), min(stop, shelf.rows)
        count = max(stop - start, 0)
        ticks = np.fromfile(shelf.ticks, "<i8", count=count, offset=8 * start)
        width = self.features
        values = np.fromfile(shelf.values, "<f8", count=count * width, offset=8 * width * start)
        return shelf.origin + ticks * self.fleet.period_ns, values.reshape(count, width)

    def stretches(self, stream: str) -> list[Stretch]:
        """The stream's rows, cut where ticks are missing."""
        shelf = self._shelves[stream]
        edges = [*shelf.breaks, shelf.rows]
        return [Stretch(stream, a, b) for a, b in itertools.pairwise(edges)]


def hold(values: Float64, before: Float64) -> Float64:
    """Absent values (n, F) replaced by the newest one measured, `before` (F,) the first row; NaN where never seen."""
    known = np.concatenate([before[None], values])
    newest = np.where(np.isnan(known), 0, np.arange(len(known))[:, None])
    np.maximum.accumulate(newest, axis=0, out=newest)
    return np.take_along_axis(known, newest, axis=0)[1:]
