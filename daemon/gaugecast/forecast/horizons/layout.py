"""What a row must remember to forecast the listed horizons: rings of values, regressors, and forecasts not yet due.

Times are ticks of the stream's own count. A horizon learns every `stride`-th tick, so that at most some thirty of its
forecasts wait; a regressor is made again from the rings when its target comes, never stored. Horizons beyond `FINE`
look at the past in blocks of ticks, about sixteen to the horizon: an hour ahead, the last six seconds say little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from gaugecast.fleet import FINE
from gaugecast.records import Bool, Float64, Int64

MOVES = 6  # newest moves that a regressor holds
WIDE = 24  # blocks of the running mean beside them, where there are horizons beyond the next step
MOST_POINTS = 512  # of all rings of a feature
_SEASON_POINTS = 240  # a week of hours, and three days more to look ahead; fewer where the other rings leave less
_WAITING = 16  # a horizon learns about so many times while one forecast waits

_LEAST_DAY = 12  # ticks: a clock is told from

_DAY_NS = 86_400 * 10**9


def stride_of(horizon: int) -> int:
    """Every so many ticks a horizon learns: a power of two, at most a sixteenth of it."""
    return 1 << max(0, (horizon // _WAITING).bit_length() - 1)


def block_of(horizon: int) -> int:
    """Ticks in one point of the past that a horizon looks at; a power of two, never above `stride_of`."""
    return 1 if horizon <= FINE else stride_of(horizon)


@dataclass(frozen=True, slots=True)
class Ring:
    """Block means of `block` ticks each, `length` of them, at `offset` among a row's points.

    Block k is that of the ticks (k − 1)·block + 1 … k·block. At `wide`, where that is not negative, begins as long a
    ring of the means over the `WIDE` blocks up to each.
    """

    block: int
    offset: int
    length: int
    wide: int


@dataclass(frozen=True, slots=True, eq=False)
class HorizonLayout:
    """Of H horizons (all arrays are by horizon, unless said otherwise).

    Attributes:
        horizons: In ticks, rising, the first is 1 (H,).
        stride: A forecast is kept for learning at ticks divisible by this.
        waiting: How many of them wait at a time; `first` is where they begin among the row's W.
        block: Ticks in a point of the past that is looked at.
        group: Which inverse Hessian it learns with (Q of them): the next step alone, the others by block.
        past: Offset and length of its ring, and where its wide means begin (3, H); `season`: the seasonal ring.
        root: Of the horizon: what moves over it grow with.
        rings: All of them.
        day: Ticks in a day, 0 where seasons are not looked at; `week` the same.
        seasonal: Whether the horizon looks at the season.
        far: Place of the first horizon that has `clocked` experts; `count` where there is none.
        turn: Ticks in a day, as those experts count them.
    """

    horizons: Int64
    stride: Int64
    waiting: Int64
    first: Int64
    block: Int64
    group: Int64
    past: Int64
    root: Float64
    rings: tuple[Ring, ...]
    season: Ring | None
    day: int
    week: int
    seasonal: Bool
    far: int
    turn: int

    @classmethod
    def of(
        cls, horizons: Sequence[int], period_ns: int, *, seasons: bool = True, clocked: bool = False
    ) -> HorizonLayout:
        """For streams of this period.

        Args:
            horizons: In ticks; the next step is always among them.
            period_ns: Distance of two ticks.
            seasons: Look at the same time of day, and of the week, where the period allows.
            clocked: Horizons beyond `FINE` have experts that know the time of day, where a day has whole ticks.
        """
        steps = np.array(sorted({1, *horizons}), np.int64)
        stride = np.array([stride_of(h) for h in steps.tolist()], np.int64)
        block = np.array([block_of(h) for h in steps.tolist()], np.int64)
        waiting = -(-steps // stride)
        lengths = {b: _points(steps[block == b], b) for b in sorted(set(block.tolist()))}
        rings = _lay(lengths, widened=len(steps) > 1)
        room = min(_SEASON_POINTS, MOST_POINTS - _end(rings) - 3)
        day, week, season_block = _season(int(steps[-1]), period_ns, room) if seasons and room > 0 else (0, 0, 0)
        seasonal = np.full(len(steps), day > 0) & (steps * 4 >= season_block)
        if not seasonal.any():
            day = week = 0
        by_block = {ring.block: ring for ring in rings}
        past = np.array(
            [(by_block[b].offset, by_block[b].length, by_block[b].wide) for b in block.tolist()], np.int64
        ).T
        kinds = {b: i for i, b in enumerate(sorted(set(block[1:].tolist())), 1)}
        group = np.array([0, *(kinds[b] for b in block[1:].tolist())], np.int64)
        first = np.concatenate([[0], np.cumsum(waiting)[:-1]])
        ring = None
        if day:  # a ring of its own, without means: the others are short
            needed = (max(2 * day, week) + int(steps[-1])) // season_block + 3
            ring = Ring(season_block, _end(rings), needed, -1)
            rings = (*rings, ring)
        root = np.sqrt(steps)
        far, turn = _far(steps, period_ns) if clocked else (len(steps), 0)
        return cls(steps, stride, waiting, first, block, group, past, root, rings, ring, day, week, seasonal, far, turn)

    @property
    def count(self) -> int:
        """H, horizons."""
        return len(self.horizons)

    @property
    def groups(self) -> int:
        """Q, inverse Hessians a row."""
        return int(self.group[-1]) + 1

    @property
    def points(self) -> int:
        """Points of the past a row."""
        return _end(self.rings)

    @property
    def has_far(self) -> bool:
        """Whether some horizons have `clocked` experts."""
        return self.far < self.count

    @property
    def is_far(self) -> Bool:
        """Which horizons have them (H,)."""
        return np.asarray(np.arange(self.count) >= self.far)

    @property
    def far_groups(self) -> int:
        """Groups of the far horizons."""
        return self.groups - int(self.group[self.far]) if self.has_far else 0

    @property
    def groups_of(self) -> list[slice]:
        """Horizons of each group; they lie side by side."""
        borders = np.searchsorted(self.group, np.arange(self.groups + 1)).tolist()
        return [slice(begin, end) for begin, end in pairwise(borders)]

    @property
    def waits(self) -> int:
        """W, forecasts that wait for their targets, a row."""
        return int(self.waiting.sum())

    @property
    def size(self) -> int:
        """D, coefficients of a horizon; the last is that of the network's own move."""
        beyond = 1 if self.count > 1 else 0
        return MOVES + beyond + (5 if self.week else 3 if self.day else 0) + 3


def _points(horizons: Int64, block: int) -> int:
    """Blocks that the horizons of one ring need: back to the origin of a due forecast, and the regressor before it."""
    return max(int(horizons[-1]) // block + MOVES + 2, WIDE + 1 if horizons[-1] > 1 else 0)


def _season(longest: int, period_ns: int, room: int) -> tuple[int, int, int]:
    """Ticks in a day and in a week, and in one of at most `room` points; 0 where not whole, or too coarse to use."""
    day, rest = divmod(_DAY_NS, period_ns)
    if rest or day < 12:
        return 0, 0, 0
    week_block = -(-(7 * day + longest) // room)
    if week_block <= max(1, day // 24):
        return day, 7 * day, week_block
    return day, 0, -(-(2 * day + longest) // room)


def _far(horizons: Int64, period_ns: int) -> tuple[int, int]:
    """Place of the first horizon that looks at blocks, and ticks in a day; none where those are not whole, or few."""
    day, rest = divmod(_DAY_NS, period_ns)
    if rest or day < _LEAST_DAY:
        return len(horizons), 0
    return int(np.searchsorted(horizons, FINE, side="right")), day


def _lay(lengths: dict[int, int], *, widened: bool) -> tuple[Ring, ...]:
    rings: tuple[Ring, ...] = ()
    for block, length in sorted(lengths.items()):
        offset = _end(rings)
        rings = (*rings, Ring(block, offset, length, offset + length if widened else -1))
    return rings


def _end(rings: Sequence[Ring]) -> int:
    """Where the next ring may begin."""
    return sum(ring.length * (2 if ring.wide >= 0 else 1) for ring in rings)
