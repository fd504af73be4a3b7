"""The past of each row in rings of block means, and the regressors made of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gaugecast.forecast.horizons.layout import MOVES, WIDE, HorizonLayout, Ring
from gaugecast.records import Float64, Int64

_AGES = np.arange(1, MOVES + 1)[:, None, None]
_WIDE_AGES = np.arange(WIDE)
#: Regressors are cut at so many scales: no sensor's ordinary move comes near.
_MOST = 100.0


class Past(NamedTuple):
    """Where the rings of R rows are.

    Attributes:
        points: All rings of all rows there are (C, points); written to in place.
        rows: Which of them are meant (R,), each once.
    """

    points: Float64
    rows: Int64

    def at(self, places: Int64) -> Float64:
        """Points (…, R, H) at such places of the rows."""
        found: Float64 = np.take(self.points.reshape(-1), places + (self.rows * self.points.shape[1])[:, None])
        return found


def remember(past: Past, values: Float64, tick: Int64, gap: Int64, layout: HorizonLayout) -> None:
    """Write values (R,), NaN = not measured, into the rings.

    Args:
        past: The rings.
        values: Of the tick that is now.
        tick: Its number (R,), from 1.
        gap: Ticks before it that had no step (R,); theirs become unknown.
        layout: Where the rings lie.
    """
    missed = gap.any()
    for ring in layout.rings:
        now = -(-tick // ring.block) if ring.block > 1 else tick
        place = ring.offset + now % ring.length
        kept = values
        if ring.block > 1 or missed:
            before = -(-(tick - 1 - gap) // ring.block)
            if missed:
                _forget(past, now - before - 1, before, ring)
            kept = np.where(now > before, np.nan, past.points[past.rows, place])
            moved = kept + (values - kept) / (tick - (now - 1) * ring.block)
            kept = np.where(np.isnan(moved), np.where(np.isnan(kept), values, kept), moved)
        past.points[past.rows, place] = kept
        if ring.wide >= 0:
            newest = (place - ring.offset)[:, None] - _WIDE_AGES
            newest += ring.length * (newest < 0) + ring.offset
            past.points[past.rows, place - ring.offset + ring.wide] = past.at(newest).sum(axis=1) / WIDE


def _forget(past: Past, missing: Int64, before: Int64, ring: Ring) -> None:
    """Blocks in a gap are unknown."""
    for k in range(1, min(int(np.max(missing, initial=0)), ring.length) + 1):
        rows = np.flatnonzero(missing >= k)
        past.points[past.rows[rows], ring.offset + (before[rows] + k) % ring.length] = np.nan


def regressors(
    past: Past, base: Float64, origin: Int64, *, level: Float64, s: Float64, own: Float64, layout: HorizonLayout,
    of: slice = slice(None),
) -> Float64:  # fmt: skip
    """What a forecast made at `origin` rests on, in scales (D, R, H); zero where unknown, and where nothing moves.

    Args:
        past: The rings.
        base: Value at the origin (R, H), NaN = not measured.
        origin: Tick of it (R, H): now, or a horizon ago.
        level: Long-run mean (R,).
        s: Scale of a row's moves (R,).
        own: The network's move from the base, in the row's unit (R, H), NaN = none.
        layout: Of the horizons.
        of: Which of them these H are.
    """
    out = np.empty((layout.size, *base.shape))
    at = _recent(out, past, base, origin, layout, of)
    np.subtract(level[:, None], base, out=out[at])
    if layout.season is not None:
        _seasonal(out[at + 1 :], past, base, origin, layout, of)
    out[-1] = own
    out *= np.divide(1.0, s, out=np.zeros_like(s), where=s > 0.0)[:, None]
    np.copyto(out, 0.0, where=np.isnan(out))
    np.minimum(out, _MOST, out=out)
    np.maximum(out, -_MOST, out=out)
    out[-2] = 1.0
    return out


def _recent(out: Float64, past: Past, base: Float64, origin: Int64, layout: HorizonLayout, of: slice) -> int:
    """The newest moves, and the running mean; returns how many regressors that is."""
    offset, length, wide = layout.past[:, of]
    block = layout.block[of]
    coarse = block[-1] > 1  # blocks rise with the horizons
    newest = (-(-origin // block) if coarse else origin) % length
    before = newest - (_AGES - (block > 1) if coarse else _AGES)  # (K, R, H); the newest block may still be open
    before += length * (before < 0)
    before += offset
    seen = past.at(before)
    np.subtract(base, seen[0], out=out[0])
    np.subtract(seen[:-1], seen[1:], out=out[1:MOVES])
    if layout.count == 1:
        return MOVES
    newest += wide
    np.subtract(past.at(newest), base, out=out[MOVES])
    return MOVES + 1


def _seasonal(out: Float64, past: Past, base: Float64, origin: Int64, layout: HorizonLayout, of: slice) -> None:
    """The value at the target's time of day one and two days ago, and how today differs from yesterday; of the week."""
    ring, h = layout.season, layout.horizons[of]
    assert ring is not None
    newest = -(-origin // ring.block) if ring.block > 1 else origin
    newest_place = newest % ring.length

    def at(back: Int64 | int) -> Float64:
        """Values `back` ticks before the origin (H,), none of them later than it."""
        age = newest - -(-(origin - back) // ring.block) if ring.block > 1 else back
        place = newest_place - age
        place += ring.length * (place < 0)
        place += ring.offset
        return past.at(place)

    days = -(-h // layout.day) * layout.day
    wanted = np.where(layout.seasonal[of], 1.0, np.nan)
    np.multiply(at(days - h) - base, wanted, out=out[0])
    np.multiply(at(days + layout.day - h) - base, wanted, out=out[1])
    np.multiply(base - at(layout.day), wanted, out=out[2])
    if layout.week:
        weeks = -(-h // layout.week) * layout.week
        then = at(weeks - h)
        np.multiply(then - base, wanted, out=out[3])
        np.multiply(then - at(weeks), wanted, out=out[4])
