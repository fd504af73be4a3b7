"""How the experts stand: whose share of what is published is how large, and how well each alone would have done."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gaugecast.forecast.horizons import mixture
from gaugecast.forecast.skill import skill
from gaugecast.records import Float64, Int64


class Standing(NamedTuple):
    """Of one feature's streams together, by expert and horizon.

    Attributes:
        shares: Mean share of what is published (E, H), persistence first; NaN where too few errors have come due.
        skills: Over persistence, discounted (E, H); that of persistence is 0. NaN as before, and where nothing moves.
    """

    shares: Float64
    skills: Float64


def standing(mix: Float64, overlap: Int64) -> Standing:
    """How the experts of these rows stand, of those that have errors enough.

    Args:
        mix: State of `mixture` (R, SIZE, H).
        overlap: How many forecasts of a horizon wait at a time (H,).
    """
    known = mix[:, mixture.SEEN] >= mixture.proof(overlap)
    state = np.where(known[:, None], mix, 0.0).swapaxes(0, 1)
    count = known.sum(axis=0)
    shares = mixture.published(state).sum(axis=1)
    lost, last = mixture.losses(state)
    nobody = np.full_like(shares, np.nan)
    return Standing(
        np.divide(shares, count, out=nobody, where=count > 0),
        np.where(count > 0, skill(lost.sum(axis=1), last.sum(axis=0)), np.nan),
    )
