"""All detectors of a fleet's streams: a step goes in, scores come out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gaugecast.forecast.anomaly import calibration
from gaugecast.forecast.anomaly.layout import EXPECTING, Layout
from gaugecast.forecast.anomaly.statistics import Now, measure, wild
from gaugecast.records import Bool, Float64
from gaugecast.streams.columns import Array

#: Scores are cut here: a sensor without noise that moves is strange beyond all numbers.
_MOST = 1e6


class Rules(NamedTuple):
    """What is configured of the detectors.

    Attributes:
        scored: Features that are judged; others, such as set-points, only explain (F,).
        healthy: Steps at a stream's beginning that are known to be healthy; 0 = it is found out.
        settle: Steps after a beginning or a change of set-point that are not judged.
        tolerance: Limits are taken times this.
        judges: Detectors that are used (DETECTORS, F).
        mode: Place of the feature that says the machine's state, −1 = none does.
        off: Its values while the machine is off.
        least: Deviations below count for nothing, in the feature's unit (F,).
        sides: 1, −1 where only those upwards, downwards count, else 0 (F,).
    """

    scored: Bool
    healthy: int
    settle: int
    tolerance: float
    judges: Bool
    mode: int
    off: tuple[float, ...]
    least: Float64
    sides: Float64

    @property
    def stretch(self) -> int:
        """Steps of the first stretch."""
        return max(1, self.healthy // 2) if self.healthy else calibration.SHORTEST


def step(
    state: dict[str, Array], now: Now, rules: Rules, layout: Layout, *, wrong: Bool, off: Bool
) -> tuple[Float64, bool]:
    """Take in a step of N streams, in place, scores among it; 1.0 = as strange as a limit allows.

    Args:
        state: Columns of `Layout.spec` of these streams, copies.
        now: The step.
        rules: As configured.
        layout: Of the features.
        wrong: Of which an event is open (N,): nothing is learned from them.
        off: Whose machines are off (N,), see `off_of`: neither are they judged, nor is anything learned.

    Returns by how much each detector that expects a value finds another (DETECTORS, N, F), and whether anything of
    `FITTED` has changed.
    """
    fitted = calibration.begin(state, rules.stretch)
    full = (state["lagged"] >= layout.lags) & ~now.parted
    found, away, z = measure(state, now)
    settling = _settling(state, z, now, rules, off) | off
    score = found.swapaxes(0, 1) / (rules.tolerance * state["limit"])
    score *= rules.judges & ~settling[:, None, None]
    _gate(score, away, rules)
    now_wild, before_wild = wild(state, z)
    tame = ~(now_wild | before_wild) | (rules.healthy > 0)  # what is known to be healthy teaches, however far out
    sound = ~wrong & ~off & ~(score >= 1.0).any(axis=(1, 2))
    calibration.take_in(
        state,
        z,
        found,
        here=~np.isnan(now.values),
        healthy=full & sound & tame,
        given=rules.healthy > 0,
    )
    state["lags"] = np.concatenate([z[:, None], state["lags"][:, :-1]], axis=1)
    state["lagged"] = np.minimum(state["lagged"] + 1, layout.lags)
    rows = calibration.due(state)
    if len(rows):
        fitted = True
        calibration.end_stretch(state, rows, layout, given=rules.healthy > 0)
    state["score"] = np.minimum(score, _MOST).astype(np.float32)
    return away, fitted


def _gate(score: Float64, away: Float64, rules: Rules) -> None:
    """Deviations that are too small for anybody to care, or to the side that does no harm, count for nothing."""
    if not rules.least.any() and not rules.sides.any():
        return
    for detector in EXPECTING:
        off = away[detector]
        score[:, detector] *= (np.abs(off) >= rules.least) & (off * rules.sides >= 0.0)


def off_of(x: Float64, rules: Rules) -> Bool:
    """Whether machines are off (N,), by values as fed (N, F)."""
    off = np.zeros(len(x), bool)
    for value in rules.off:
        off |= x[:, rules.mode] == value
    return off


def _settling(state: dict[str, Array], z: Float64, now: Now, rules: Rules, off: Bool) -> Bool:
    """Whether a step is not judged: something has just begun, or a set-point has just changed."""
    changed = (~now.begins[:, None] & ~rules.scored & ~np.isnan(now.values) & (z != state["lags"][:, 0])).any(axis=1)
    left = np.where(now.begins | changed | off, rules.settle, np.maximum(state["settling"] - 1, 0))
    state["settling"] = left.astype(np.int32)
    return np.asarray(left > 0)
