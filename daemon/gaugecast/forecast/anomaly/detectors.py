"""All detectors of a fleet's streams: a step goes in, scores come out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gaugecast.forecast.anomaly import calibration
from gaugecast.forecast.anomaly.layout import EXPECTING, LEVEL, RELATION, Layout, turned
from gaugecast.forecast.anomaly.statistics import Measured, Now, measure
from gaugecast.records import Bool, Float64
from gaugecast.streams.columns import Array
from gaugecast.watching import SHORTEST

#: Scores are cut here: a sensor without noise that moves is strange beyond all numbers.
_MOST = 1e6
#: A level that is on its way is judged at last so many times `settle` after what it began with, wherever it is then.
_PATIENCE = 30


@dataclass(frozen=True, eq=False)
class Rules:
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

    @cached_property
    def all_scored(self) -> bool:
        """No feature only explains."""
        return bool(self.scored.all())

    @cached_property
    def all_judge(self) -> bool:
        """Each detector judges each feature."""
        return bool(self.judges.all())

    @cached_property
    def gates(self) -> bool:
        """Some deviations count for nothing."""
        return bool(self.least.any() or self.sides.any())

    def matters(self, away: Float64) -> Bool:
        """Which deviations (N, F) are neither too small for anybody to care nor to the side that does no harm."""
        return (np.abs(away) >= self.least) & (away * self.sides >= 0.0)

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
    fitted = calibration.begin(state, known_well, rules.stretch) or fitted
    state["age"] += 1
    measured = measure(state, now)
    found = turned(measured.found)  # (N, DETECTORS, F)
    score = found / (state["limit"] if rules.tolerance == 1.0 else rules.tolerance * state["limit"])
    unrest = _unrest(state, measured, now, rules) | off
    settling = _settling(state, unrest, rules) | off
    _arrive(state, score, unrest & ~wrong, rules)
    if not rules.all_judge:
        score *= rules.judges
    if np.count_nonzero(settling):
        score[settling] = 0.0
    _gate(score, measured.away, rules)
    sound = ~(wrong | off | strange(score))
    healthy = measured.full & sound & (known_well | ~measured.far)  # what is known to be well teaches, however far out
    calibration.take_in(state, measured, found, healthy=healthy, given=known_well)
    state["lags"] = np.concatenate([measured.kept[:, None], state["lags"][:, :-1]], axis=1)
    state["lagged"] = np.minimum(state["lagged"] + 1, layout.lags)
    rows = calibration.due(state)
    if len(rows):
        fitted = True
        calibration.end_stretch(state, rows, layout, given=known_well, judged=rules.judges)
    state["score"] = np.minimum(score, _MOST, out=score).astype(np.float32)
    return measured.away, fitted


def strange(score: Array) -> Bool:
    """Of which streams a detector finds a feature at its limit, or above (N,), by scores (N, DETECTORS, F)."""
    at_limit = score >= 1.0
    if not np.count_nonzero(at_limit):  # as a rule
        return np.zeros(len(score), bool)
    return np.asarray(at_limit.reshape(len(score), -1).any(axis=1))


def _arrive(state: dict[str, Array], score: Float64, unrest: Bool, rules: Rules) -> None:
    """After a gap, or a change of state or set-point, levels are on their way: none is judged before it was there.

    Nor does it wait for ever: what comes back broken never gets there. `unrest` leaves out what was wrong before: it
    goes on to be.
    """
    there = state["arrived"] & ~unrest[:, None]
    if there.all():
        return
    there |= (score[:, LEVEL] < 1.0) & (score[:, RELATION] < 1.0) & (state["settling"] <= 0)[:, None]
    there |= (state["settling"] <= -_patience(rules))[:, None]
    state["arrived"] = there
    score[:, LEVEL] *= there
    score[:, RELATION] *= np.asarray((there | ~rules.scored).all(axis=1))[:, None]


def _patience(rules: Rules) -> int:
    return _PATIENCE * max(1, rules.settle)


def _gate(score: Float64, away: Float64, rules: Rules) -> None:
    """Deviations that matter to nobody count for nothing."""
    if not rules.gates:
        return
    for detector in EXPECTING:
        score[:, detector] *= rules.matters(away[detector])


def off_of(x: Float64, rules: Rules) -> Bool:
    """Whether machines are off (N,), by values as fed (N, F)."""
    off = np.zeros(len(x), bool)
    for value in rules.off:
        off |= x[:, rules.mode] == value
    return off


def _unrest(state: dict[str, Array], measured: Measured, now: Now, rules: Rules) -> Bool:
    """Where something has just begun, or a set-point has just changed (N,).

    What is no set-point, such as the weather, changes often: that explains nothing.
    """
    if rules.all_scored:
        return now.begins
    changed = ~rules.scored & (state["spread"] == 0.0) & measured.moved
    unrest: Bool = now.begins | changed.any(axis=1)
    return unrest


def _settling(state: dict[str, Array], unrest: Bool, rules: Rules) -> Bool:
    """Whether a step is not judged, as there was unrest a short while ago (N,)."""
    left = np.maximum(state["settling"] - 1, -_patience(rules))
    if np.count_nonzero(unrest):
        left = np.where(unrest, rules.settle, left).astype(np.int32)
    state["settling"] = left
    return np.asarray(left > 0)
