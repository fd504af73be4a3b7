"""How large errors are at a time of day, beside what they are over all: one profile a row, shared by its horizons.

At night a load hardly moves, at noon it does: an interval of one width is too wide at the one and too narrow at the
other. Each bin follows the size of the errors that come due in its part of the day, whatever their horizon, over the
row's own mean size; what counts is a bin over the mean of all.
"""

from __future__ import annotations

import numpy as np

from gaugecast.forecast.horizons.layout import HorizonLayout
from gaugecast.forecast.horizons.statistic import rate_of
from gaugecast.records import Bool, Float64, Int64

BINS = 24
HALF_LIFE = 30.0  # of a bin, in days
_START = 3.0  # days that a first error counts as much as
_OUTLIER = 6.0  # errors count as so much in their mean size
_LEAST, _MOST = 0.2, 5.0  # a bin
#: The profile of rows that have none.
NOTHING: Float64 = np.ones((1, 0))


def bins_of(layout: HorizonLayout) -> int:
    """How many a row has; none where the period knows no day, or none is looked at."""
    return min(BINS, layout.day)


def shape_at(profile: Float64, tick: Int64, layout: HorizonLayout) -> Float64:
    """What errors of that time of day are in their mean size, (R, H).

    Args:
        profile: (R, bins).
        tick: The instants' (R, H).
        layout: Of the horizons.
    """
    if not profile.shape[1]:
        return np.ones((1, 1))
    bins = np.take_along_axis(profile, _bin(tick, layout, profile.shape[1]), axis=1)
    return np.asarray(bins / (profile.sum(axis=1) / profile.shape[1])[:, None])


def learn(profile: Float64, error: Float64, size: Float64, *, due: Bool, tick: Int64, layout: HorizonLayout) -> None:
    """Take in errors that are due now; in place.

    Args:
        profile: (R, bins).
        error: (R, H).
        size: Mean size of each horizon's errors (R, H); 0 = not known.
        due: Which count (R, H).
        tick: Now (R,).
        layout: Of the horizons.
    """
    if not profile.shape[1]:
        return
    due = due & (size > 0.0)
    ratio = np.minimum(np.divide(np.abs(error), size, out=np.zeros_like(error), where=due), _OUTLIER)
    count = due.sum(axis=1)
    now = ratio.sum(axis=1) / np.maximum(count, 1)
    rows, place = np.arange(len(profile)), _bin(tick, layout, profile.shape[1])
    before = profile[rows, place]
    rate = np.maximum(1.0 / (tick // layout.day + _START), rate_of(HALF_LIFE)) * (count > 0)
    profile[rows, place] = np.minimum(np.maximum(before + rate * (now - before), _LEAST), _MOST)


def _bin(tick: Int64, layout: HorizonLayout, bins: int) -> Int64:
    return tick % layout.day * bins // layout.day
