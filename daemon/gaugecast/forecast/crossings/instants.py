"""From probabilities by horizon to instants: when half of what will have crossed has crossed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gaugecast.records import Float64, Int64

#: Of all crossings within the reach of a threshold, the shares that have happened at the early bound, at the median
#: and at the late bound.
EARLY, MEDIAN, LATE = 0.1, 0.5, 0.9
#: Where the distribution of instants is known, as shares of the longest.
_SHARES = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 3 / 8, 1 / 2, 3 / 4, 1)


def grid_of(withins: Sequence[int], horizons: Sequence[int]) -> tuple[int, ...]:
    """Ticks at which probabilities are learned: listed horizons, and a few on the way to each reach."""
    shares = {max(1, round(share * within)) for within in withins for share in _SHARES}
    return tuple(sorted({1, *shares, *(h for h in horizons if h <= max(withins))}))


def instants(likely: Float64, grid: Int64, reach: Int64) -> Float64:
    """Ticks from now until the early bound, the median and the late bound (N, K, 3); NaN where nothing is likely.

    Args:
        likely: Probability of having crossed by each horizon (N, K, H), rising.
        grid: The horizons, in ticks (H,).
        reach: Place in the grid up to which each threshold looks (K,).
    """
    whole = np.take_along_axis(likely, reach[None, :, None], axis=2)
    within = np.arange(len(grid)) <= reach[:, None]
    capped = np.where(within, likely, whole)
    before = np.concatenate([np.zeros_like(whole), capped[..., :-1]], axis=2)
    earlier = np.concatenate([[0], grid[:-1]]).astype(np.float64)
    out = np.empty((*whole.shape[:2], 3))
    for k, share in enumerate((EARLY, MEDIAN, LATE)):
        wanted = share * whole
        at = np.argmax(capped >= wanted, axis=2)[..., None]
        low, high = np.take_along_axis(before, at, axis=2), np.take_along_axis(capped, at, axis=2)
        part = np.divide(wanted - low, high - low, out=np.ones_like(low), where=high > low)
        out[..., k] = (earlier[at] + part * (grid[at] - earlier[at]))[..., 0]
    return np.where(whole > 0.0, out, np.nan)
