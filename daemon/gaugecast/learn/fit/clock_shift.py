"""Recorded inputs as if they had been measured at other hours."""

from __future__ import annotations

import numpy as np

from gaugecast.model import Manifest
from gaugecast.records import Float32, Float64

_HOURS_A_DAY = 24.0
#: First column of each sine and cosine, and its turns a day: as `forecast.scaling` lays the clock out.
_HANDS = ((0, 1.0), (2, 2.0), (4, 1.0 / 7.0))


def shift_clock(x: Float32, hours: Float64, manifest: Manifest) -> Float32:
    """Inputs (T, B, I) with the clock of each row set off by its `hours` (B,); as they are, where there is no clock."""
    recipe = manifest.recipe
    if not recipe.clock:
        return x
    own = 2 if recipe.kind == "difference" and recipe.level else 1
    first = own if manifest.rows == "per_feature" else 0
    out = x.copy()
    for hand, turns in _HANDS:
        angle = hours * (2.0 * np.pi * turns / _HOURS_A_DAY)
        sin, cos = x[:, :, first + hand], x[:, :, first + hand + 1]
        out[:, :, first + hand] = sin * np.cos(angle) + cos * np.sin(angle)
        out[:, :, first + hand + 1] = cos * np.cos(angle) - sin * np.sin(angle)
    return out
