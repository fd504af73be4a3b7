"""The past of each row in rings of block means, and the regressors made of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gaugecast.forecast.horizons.layout import MOVES, WIDE, HorizonLayout, Ring
from gaugecast.records import Float64, Int64

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
        """Points (R, …) at places (R, …) of the rows."""
        wide = self.rows.reshape(-1, *[1] * (places.ndim - 1)) * self.points.shape[1]
        found: Float64 = np.take(self.points.reshape(-1), places + wide)
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
    for ring in layout.rings:
        now, before = -(-tick // ring.block), -(-(tick - 1 - gap) // ring.block)
        _forget(past, now - before - 1, before, ring)
        place = ring.offset + now % ring.length
        kept = np.where(now > before, np.nan, past.points[past.rows, place])
        position = tick - (now - 1) * ring.block
        moved = kept + (values - kept) / position
        kept = np.where(np.isnan(moved), np.where(np.isnan(kept), values, kept), moved)
        past.points[past.rows, place] = kept
        if ring.wide >= 0:
            newest = past.at(ring.offset + (now[:, None] - np.arange(WIDE)) % ring.length)
            past.points[past.rows, place - ring.offset + ring.wide] = newest.sum(axis=1) / WIDE


def _forget(past: Past, missing: Int64, before: Int64, ring: Ring) -> None:
    """Blocks in a gap are unknown."""
    for k in range(1, min(int(np.max(missing, initial=0)), ring.length) + 1):
        rows = np.flatnonzero(missing >= k)
        past.points[past.rows[rows], ring.offset + (before[rows] + k) % ring.length] = np.nan


def regressors(
    past: Past, base: Float64, origin: Int64, *, level: Float64, s: Float64, own: Float64, layout: HorizonLayout
) -> Float64:
    """What a forecast made at `origin` rests on, in scales (R, H, D); zero where unknown, and where nothing moves.

    Args:
        past: The rings.
        base: Value at the origin (R, H), NaN = not measured.
        origin: Tick of it (R, H): now, or a horizon ago.
        level: Long-run mean (R,).
        s: Scale of a row's moves (R,).
        own: The network's move from the base, in the row's unit (R, H), NaN = none.
        layout: Of the horizons.
    """
    out = np.empty((*base.shape, layout.size))
    at = _recent(out, past, base, origin, layout)
    out[:, :, at] = level[:, None] - base
    if layout.season is not None:
        _seasonal(out[:, :, at + 1 :], past, base, origin, layout)
    out[:, :, -1] = own
    out *= np.divide(1.0, s, out=np.zeros_like(s), where=s > 0.0)[:, None, None]
    np.copyto(out, 0.0, where=np.isnan(out))
    np.minimum(out, _MOST, out=out)
    np.maximum(out, -_MOST, out=out)
    out[:, :, -2] = 1.0
    return out


def _recent(out: Float64, past: Past, base: Float64, origin: Int64, layout: HorizonLayout) -> int:
    """The newest moves, and the running mean; returns how many regressors that is."""
    places = -(-origin // layout.block) % layout.past[:, 1]
    if layout.count > 1:
        out[:, :, MOVES] = past.at(places + layout.past[:, 2]) - base
    ages = np.arange(1, MOVES + 1) - (layout.block > 1)[:, None]  # (H, K); the newest block may still be open
    before = places[:, :, None] - ages
    before += (before < 0) * layout.past[:, 1:2]
    before += layout.past[:, :1]
    seen = past.at(before)
    out[:, :, 0] = base - seen[:, :, 0]
    np.subtract(seen[:, :, :-1], seen[:, :, 1:], out=out[:, :, 1:MOVES])
    return MOVES + (layout.count > 1)


def _seasonal(out: Float64, past: Past, base: Float64, origin: Int64, layout: HorizonLayout) -> None:
    """The value at the target's time of day one and two days ago, and how today differs from yesterday; of the week."""
    ring, h = layout.season, layout.horizons
    assert ring is not None

    def at(back: Int64) -> Float64:
        """Values `back` ticks before the origin (H,), none of them later than it."""
        return past.at(ring.offset + -(-(origin - back) // ring.block) % ring.length)

    days = -(-h // layout.day) * layout.day
    wanted = np.where(layout.seasonal, 1.0, np.nan)
    out[:, :, 0] = (at(days - h) - base) * wanted
    out[:, :, 1] = (at(days + layout.day - h) - base) * wanted
    out[:, :, 2] = (base - at(np.full_like(h, layout.day))) * wanted
    if layout.week:
        weeks = -(-h // layout.week) * layout.week
        then = at(weeks - h)
        out[:, :, 3] = (then - base) * wanted
        out[:, :, 4] = (then - at(weeks)) * wanted
