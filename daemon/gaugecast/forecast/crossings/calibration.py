"""What a probability has meant so far: a table of how often it came true, by which it is corrected.

The size of errors depends on where a series stands, which one histogram does not know: a crossing that is said to
be likely at 0.3 may happen seven times in ten. Each probability is moved by what was observed at such ones before.
"""

from __future__ import annotations

import numpy as np

from gaugecast.forecast.horizons.statistic import rate_of
from gaugecast.records import Bool, Float64, Int64

BINS = 16
HALF_LIFE = 2000.0  # of what was observed, in due forecasts
PRIOR = 8.0  # forecasts' worth of belief in what was said
#: Floats a row and horizon: by bin how many there were, and how many came true.
SIZE = 2 * BINS
_CENTRES = (np.arange(BINS) + 0.5) / BINS


def learn(state: Float64, said: Float64, happened: Bool, *, due: Bool, overlap: Int64) -> None:
    """Take in what became of forecasts; in place.

    Args:
        state: (R, H, SIZE).
        said: Probabilities as they were before correction (R, H).
        happened: Whether it came true (R, H).
        due: Which there are (R, H).
        overlap: How many forecasts of a horizon wait at a time (H,): overlapping spans say less each.
    """
    longer: Float64 = 0.75 + 0.25 * overlap.astype(np.float64)
    state -= (rate_of(HALF_LIFE * longer) * due)[..., None] * state
    rows, horizons = np.nonzero(due)
    bins = np.minimum((said[rows, horizons] * BINS).astype(np.int64), BINS - 1)
    weight = (1.0 / longer)[horizons]
    state[rows, horizons, bins] += weight
    state[rows, horizons, BINS + bins] += weight * happened[rows, horizons]


def corrected(state: Float64, said: Float64) -> Float64:
    """Probabilities (R, H) by what such ones have meant; NaN stays."""
    count, true = state[..., :BINS], state[..., BINS:]
    off = (true - _CENTRES * count) / (count + PRIOR)
    place = np.where(np.isnan(said), 0.0, said) * BINS - 0.5
    low = np.clip(np.floor(place), 0, BINS - 2).astype(np.int64)[..., None]
    part = np.clip(place - low[..., 0], 0.0, 1.0)
    below, above = np.take_along_axis(off, low, axis=-1)[..., 0], np.take_along_axis(off, low + 1, axis=-1)[..., 0]
    moved: Float64 = np.clip(said + below + part * (above - below), 0.0, 1.0)
    return moved
