"""The past of each row in rings of block means, and the regressors made of it."""

from __future__ import annotations

import numpy as np

from gaugecast.forecast.horizons.layout import MOVES, WIDE, HorizonLayout, Ring
from gaugecast.records import Float64, Int64

#: Regressors are cut at so many scales: no sensor's ordinary move comes near.
_MOST = 100.0


def remember(points: Float64, values: Float64, tick: Int64, gap: Int64, layout: HorizonLayout) -> None:
    """Write values (R,), NaN = not measured, into the rings (R, points), in place.

    Args:
        points: All rings of each row.
        values: Of the tick that is now.
        tick: Its number (R,), from 1.
        gap: Ticks before it that had no step (R,); theirs become unknown.
        layout: Where the rings lie.
    """
    rows = np.arange(len(points))
    for ring in layout.rings:
        now, before = -(-tick // ring.block), -(-(tick - 1 - gap) // ring.block)
        _forget(points, now - before - 1, before, ring)
        place = ring.offset + now % ring.length
        kept = np.where(now > before, np.nan, points[rows, place])
        position = tick - (now - 1) * ring.block
        moved = kept + (values - kept) / position
        kept = np.where(np.isnan(moved), np.where(np.isnan(kept), values, kept), moved)
        points[rows, place] = kept


def _forget(points: Float64, missing: Int64, before: Int64, ring: Ring) -> None:
    """Blocks in a gap are unknown."""
    for k in range(1, min(int(missing.max(initial=0)), ring.length) + 1):
        rows = np.flatnonzero(missing >= k)
        points[rows, ring.offset + (before[rows] + k) % ring.length] = np.nan


def regressors(
    points: Float64, base: Float64, origin: Int64, *, level: Float64, s: Float64, own: Float64, layout: HorizonLayout
) -> Float64:
    """What a forecast made at `origin` rests on, in scales (R, H, D); zero where unknown, and where nothing moves.

    Args:
        points: The rings (R, points).
        base: Value at the origin (R, H), NaN = not measured.
        origin: Tick of it (R, H): now, or a horizon ago.
        level: Long-run mean (R,).
        s: Scale of a row's moves (R,).
        own: The network's move from the base, in the row's unit (R, H), NaN = none.
        layout: Of the horizons.
    """
    out = np.zeros((*base.shape, layout.size))
    at = _recent(out, points, base, origin, layout)
    out[:, :, at] = level[:, None] - base
    if layout.season is not None:
        _seasonal(out[:, :, at + 1 :], points, base, origin, layout)
    out[:, :, -1] = own
    still = s <= 0.0
    out /= np.where(still, np.inf, s)[:, None, None]
    out[np.isnan(out)] = 0.0
    np.minimum(out, _MOST, out=out)
    np.maximum(out, -_MOST, out=out)
    out[:, :, -2] = 1.0
    return out


def _recent(out: Float64, points: Float64, base: Float64, origin: Int64, layout: HorizonLayout) -> int:
    """The newest moves, and running means; returns how many regressors that is."""
    depth = max(WIDE) if layout.count > 1 else MOVES
    ages = np.arange(1, depth + 1) - (layout.block > 1)[:, None]  # (H, K); the newest block may still be open
    length = layout.past[:, 1:]
    places = (-(-origin // layout.block) % layout.past[:, 1])[:, :, None] - ages
    places += (places < 0) * length
    places += layout.past[:, :1]
    seen = np.take_along_axis(points, places.reshape(len(points), -1), axis=1).reshape(places.shape)
    out[:, :, 0] = base - seen[:, :, 0]
    out[:, :, 1:MOVES] = seen[:, :, : MOVES - 1] - seen[:, :, 1:MOVES]
    if layout.count == 1:
        return MOVES
    for i, width in enumerate(WIDE):
        out[:, :, MOVES + i] = seen[:, :, :width].sum(axis=2) / width - base
    return MOVES + len(WIDE)


def _seasonal(out: Float64, points: Float64, base: Float64, origin: Int64, layout: HorizonLayout) -> None:
    """The value at the target's time of day one and two days ago, and how today differs from yesterday; of the week."""
    ring, h = layout.season, layout.horizons
    assert ring is not None

    def at(back: Int64) -> Float64:
        """Values `back` ticks before the origin (H,), none of them later than it."""
        places = ring.offset + -(-(origin - back) // ring.block) % ring.length
        return np.take_along_axis(points, places, axis=1)

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
