"""All detectors of a fleet's streams: a step goes in, scores come out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gaugecast.forecast.anomaly import calibration
from gaugecast.forecast.anomaly.layout import EXPECTING, LEVEL, RELATION, Layout
from gaugecast.forecast.anomaly.statistics import Now, measure
from gaugecast.records import Bool, Float64
from gaugecast.streams.columns import Array
from gaugecast.watching import SHORTEST

#: Scores are cut here: a sensor without noise that moves is strange beyond all numbers.
_MOST = 1e6
#: A level that is on its way is judged at last so many times `settle` after what it began with, wherever it is then.
_PATIENCE = 30


class Rules(NamedTuple):
    """What is configured of the detectors.

    Attributes:
        scored: Features that are judged; others, such as set-points, only explain (F,).
        healthy: Steps at a stream's beginning that are known to be healthy; 0 = it is found out.
        settle: Steps after a beginning or a change of set-point that are not judged.
        tolerance: Limits are taken times this.
        judges: Detectors that are used (DETECTORS, F).
        mode: Place of the feature that says the machine's state; −1 = none does.
        off: Its values while the machine is off.
        refit: Steps without an event after which a frozen reference is fitted anew; 0 = never.
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
    refit: int
    least: Float64
    sides: Float64

    @property
    def stretch(self) -> int:
        """Steps of the first stretch of what is known to be healthy."""
        return max(1, self.healthy // 2)

    @property
    def stretch_again(self) -> int:
        """Steps of the stretch at which a frozen reference is fitted anew."""
        return max(SHORTEST, self.healthy // 2 or min(self.refit, calibration.LONGEST))


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
    fitted = calibration.begin_again(state, wrong, rules.refit, stretch=rules.stretch_again)
    known_well = (state["age"] < rules.healthy) & (state["quiet"] >= 0)
    fitted = calibration.begin(state, np.where(known_well, rules.stretch, SHORTEST)) or fitted
    state["age"] += 1
    full = (state["lagged"] >= layout.lags) & ~now.parted
    measured = measure(state, now)
    settling = _settling(state, measured.z, now, rules, off) | off
    limit = rules.tolerance * np.ascontiguousarray(state["limit"].swapaxes(0, 1))
    score = measured.found / limit  # (DETECTORS, N, F)
    _arrive(state, score, now.begins & ~wrong, rules)
    score *= rules.judges[:, None]
    if np.count_nonzero(settling):
        score[:, settling] = 0.0
    _gate(score, measured.away, rules)
    sound = ~wrong & ~off & ~np.asarray((score >= 1.0).any(axis=0)).any(axis=1)
    calibration.take_in(
        state,
        measured.z,
        measured.found,
        here=~np.isnan(now.values),
        healthy=full & sound & (known_well | ~measured.far),  # what is known to be well teaches, however far out
        given=known_well,
    )
    state["lags"] = np.concatenate([measured.kept[:, None], state["lags"][:, :-1]], axis=1)
    state["lagged"] = np.minimum(state["lagged"] + 1, layout.lags)
    rows = calibration.due(state)
    if len(rows):
        fitted = True
        calibration.end_stretch(state, rows, layout, given=known_well, judged=rules.judges)
    state["score"] = np.minimum(score, _MOST).astype(np.float32).swapaxes(0, 1)
    return measured.away, fitted


def _arrive(state: dict[str, Array], score: Float64, begins: Bool, rules: Rules) -> None:
    """After a gap, or a change of the machine's state, levels are on their way: none is judged before it was there.

    Nor does it wait for ever: what comes back broken never gets there. `begins` leaves out what was wrong before: it
    goes on to be.
    """
    there = state["arrived"] & ~begins[:, None]
    if there.all():
        return
    there |= (score[LEVEL] < 1.0) & (score[RELATION] < 1.0)
    there |= (state["settling"] <= -_patience(rules))[:, None]
    state["arrived"] = there
    score[LEVEL] *= there
    score[RELATION] *= np.asarray((there | ~rules.scored).all(axis=1))[:, None]


def _patience(rules: Rules) -> int:
    return _PATIENCE * max(1, rules.settle)


def _gate(score: Float64, away: Float64, rules: Rules) -> None:
    """Deviations that are too small for anybody to care, or to the side that does no harm, count for nothing."""
    if not rules.least.any() and not rules.sides.any():
        return
    for detector in EXPECTING:
        off = away[detector]
        score[detector] *= (np.abs(off) >= rules.least) & (off * rules.sides >= 0.0)


def off_of(x: Float64, rules: Rules) -> Bool:
    """Whether machines are off (N,), by values as fed (N, F)."""
    off = np.zeros(len(x), bool)
    for value in rules.off:
        off |= x[:, rules.mode] == value
    return off


def _settling(state: dict[str, Array], z: Float64, now: Now, rules: Rules, off: Bool) -> Bool:
    """Whether a step is not judged: something has just begun, or a set-point has just changed.

    What is no set-point, such as the weather, changes often: that explains nothing.
    """
    unrest = now.begins | off
    if not rules.scored.all():
        changed = ~rules.scored & (state["spread"] == 0.0) & ~np.isnan(now.values) & (z != state["lags"][:, 0])
        unrest = unrest | changed.any(axis=1)  # a beginning is one in any case
    left = np.where(unrest, rules.settle, np.maximum(state["settling"] - 1, -_patience(rules)))
    state["settling"] = left.astype(np.int32)
    return np.asarray(left > 0)
