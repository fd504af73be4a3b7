"""How often intervals held what they promised: of those that were told, judged when their targets came."""

from __future__ import annotations

import numpy as np

from gaugecast.forecast.horizons.statistic import spans_of, starting_rate
from gaugecast.records import Bool, Float64, Int64

HALF_LIFE = 500.0  # due intervals
LEAST = 100.0  # due intervals until a share is told


def note(state: Float64, error: Float64, reach: Float64, *, due: Bool, overlap: Int64) -> None:
    """Take in due intervals; in place.

    Args:
        state: (1 + L, R, H): intervals seen, then by level the share that held.
        error: What came, less what was said (R, H).
        reach: How far below and above that the intervals went (L, 2, R, H); NaN where none was told.
        due: Which there are (R, H).
        overlap: How many forecasts of a horizon wait at a time (H,): overlapping spans say less each.
    """
    longer = spans_of(overlap)
    told = due & np.isfinite(reach[0, 0])
    held = (error >= reach[:, 0]) & (error <= reach[:, 1])
    seen, shares = state[0], state[1:]
    rate = starting_rate(seen, HALF_LIFE * longer) * told
    shares += rate * (held - shares)
    seen += told


def observed(state: Float64) -> Float64:
    """Share that held over all rows by level and horizon (L, H).

    Rows count by what they have seen, up to a half-life; NaN where too few intervals came due.
    """
    weight = np.minimum(state[0], HALF_LIFE)
    total = weight.sum(axis=0)
    held = (weight * state[1:]).sum(axis=1)
    shares: Float64 = np.divide(held, total, out=np.full_like(held, np.nan), where=total >= LEAST)
    return shares
