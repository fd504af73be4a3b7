"""What each detector looks at: statistics of a step, larger = stranger, in units that have no scale of the sensor's.

Arrays are small here: what a step costs is how often NumPy is called. Hence all running means go on at once, and what
is hardly ever there, such as an absent value, is asked for before it is looked at; the bits are the same.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gaugecast.forecast.anomaly import layout as at
from gaugecast.forecast.anomaly.layout import turned
from gaugecast.forecast.anomaly.reference import diagonal, expected, left_out, weighed
from gaugecast.records import Bool, Float64, Int64
from gaugecast.streams.columns import Array

#: Rates of the running means: of squares, of the level, of what shows that noise has vanished, of absence.
FAST, LEVEL_RATE, SLOW, ABSENT_RATE = 1 / 8, 1 / 16, 1 / 64, 1 / 16
#: Squares in their scales count as this at most: one outlier is no event, and is soon forgotten.
MOST, MOST_SURPRISE = 64.0, 44.0
_ERROR_RATE = 1 / 1000  # of the mean square of forecast errors
_ERROR_START = 2.0
_ERROR_CLIP = 16.0  # an error's square counts as so many mean squares at most: an outlier widens nothing for hours
_HUGE = 1e150
_WILD = 8.0  # spreads from the mean
_LEVEL_CLIP = 6.0  # in spreads: farther a value does not pull its level, so that one outlier is no shift
_CLEARLY = 0.1  # in spreads: so far from a mean a level is on one side of it


class Now(NamedTuple):
    """N steps of different streams, as detectors see them.

    Attributes:
        values: Measured (N, F), NaN = absent.
        x: The same as fed to the models (N, F).
        error: Measured less what had been forecast (N, F), NaN = nothing to compare.
        begins: The step follows none, or a gap that was too long to bridge (N,).
        parted: It does not follow the one before tick by tick (N,).
    """

    values: Float64
    x: Float64
    error: Float64
    begins: Bool
    parted: Bool


class Measured(NamedTuple):
    """What a step says.

    Attributes:
        found: Statistics (DETECTORS, N, F).
        away: By how much each detector that expects a value finds another, in the feature's unit (DETECTORS, N, F).
        z: Values relative to their origin (N, F).
        kept: The same, but for a lone outlier, in whose place stands what was expected (N, F): what comes after it is
            expected of these.
        here: What was measured (N, F).
        moved: What was, and is another value than before (N, F).
        full: Whose lags follow one another up to now (N,).
        far: Whether any value now, or any among the lags, lies far out (N,).
    """

    found: Float64
    away: Float64
    z: Float64
    kept: Float64
    here: Bool
    moved: Bool
    full: Bool
    far: Bool


class _Means(NamedTuple):
    """Where running means (SMOOTH, N, F) go: at what rate, and how far what comes lies from them."""

    rate: Float64
    off: Float64


def measure(state: dict[str, Array], now: Now) -> Measured:
    """Take in a step, in place, and say what it says.

    Args:
        state: Columns of these streams, copies.
        now: The step.
    """
    here, z = ~np.isnan(now.values), _relative(state, now.x)
    smooth, runs = (_apart(state, name) for name in ("smooth", "runs"))  # (SMOOTH, N, F), (RUNS, N, F)
    out, away = np.zeros((2, len(at.DETECTORS), *z.shape))
    moved = (z != state["lags"][:, 0]) & here
    _stillness(runs, moved, here & ~now.begins[:, None], out)
    now_wild, before_wild = wild(state, z)
    if np.count_nonzero(now.parted):
        state["lagged"] = np.where(now.parted, 0, state["lagged"])
    full = state["lagged"] >= state["lags"].shape[1]
    seen = here & (full & (now_wild | ~before_wild))[:, None]
    means = _Means(*np.zeros((2, *smooth.shape)))
    means.rate[at.ABSENT], means.off[at.ABSENT] = ABSENT_RATE, ~here - smooth[at.ABSENT]
    _surprise(smooth, now.error, means, away[at.SURPRISE])
    kept = _by_reference(state, smooth, z, seen, means=means, away=away[at.REFERENCE])
    _level_moves(state, smooth[at.AT], z, now.begins, means)
    np.multiply(*means, out=means.off)
    smooth += means.off
    _of_means(smooth, out)
    _of_level(state, smooth[at.AT], runs, out=out, away=away)
    return Measured(out, away, z, kept, here, moved, full, now_wild | before_wild)


def _relative(state: dict[str, Array], x: Float64) -> Float64:
    """Values relative to the first ever seen of their feature; 0 where there is none yet."""
    first = np.isnan(state["origin"])
    if np.count_nonzero(first):
        state["origin"] = np.where(first, x, state["origin"])
    z = x - state["origin"]
    np.maximum(np.minimum(z, _HUGE, out=z), -_HUGE, out=z)
    absent = np.isnan(z)
    return np.where(absent, 0.0, z) if np.count_nonzero(absent) else z


def _apart(state: dict[str, Array], name: str) -> Array:
    """A column (N, K, F) with its K parts each in one piece (K, N, F), which the column is from now on."""
    parts = turned(state[name])
    state[name] = parts.swapaxes(0, 1)
    return parts


def _stillness(runs: Int64, moved: Bool, here: Bool, out: Float64) -> None:
    runs[at.RUN] += here
    runs[at.RUN] *= ~(moved & here)
    out[at.STUCK] = runs[at.RUN]


def _surprise(smooth: Float64, error: Float64, means: _Means, away: Float64) -> None:
    known = ~np.isnan(error)
    np.copyto(away, error, where=known)
    share = _share(known)
    square = np.minimum(away * away, _HUGE * _HUGE)
    usual, count = smooth[at.ERROR], smooth[at.ERRORS]
    there = usual > 0.0
    ratio = np.divide(square, usual, out=means.off[at.SURPRISED], where=there)
    np.minimum(ratio, MOST_SURPRISE, out=ratio)
    ratio -= smooth[at.SURPRISED]
    means.rate[at.SURPRISED] = FAST * share
    np.multiply(np.maximum(_ERROR_START / (count + _ERROR_START), _ERROR_RATE), share, out=means.rate[at.ERROR])
    most = np.where(there, _ERROR_CLIP * usual, np.inf)
    np.subtract(np.minimum(square, most), usual, out=means.off[at.ERROR])
    means.rate[at.ERRORS], means.off[at.ERRORS] = 1.0, known


def _by_reference(
    state: dict[str, Array], smooth: Float64, z: Float64, seen: Bool, *, means: _Means, away: Float64
) -> Float64:
    """What is kept as lags; `seen`: measured, and no outlier spoils what is expected (N, F)."""
    said = expected(state["weights"], state["lags"])
    np.subtract(z, said, out=away, where=seen)
    square = np.minimum(left_out(state["precision"], away), _HUGE)
    gross, kept = square >= MOST, z
    if np.count_nonzero(gross):
        most = square.max(axis=1, keepdims=True)
        gross &= square >= most
        kept = np.where(gross & ~state["gross"], said, z)  # once only: what stays where it is was no outlier
        square *= MOST / np.maximum(most, MOST)  # all in proportion: who is strangest must be seen
    state["gross"] = gross
    own = np.minimum(away * away * diagonal(state["precision"]), MOST)
    np.subtract(square, smooth[at.UNEXPECTED], out=means.off[at.UNEXPECTED])
    np.subtract(own, smooth[at.QUIETLY], out=means.off[at.QUIETLY])
    share = _share(seen)
    means.rate[at.UNEXPECTED], means.rate[at.QUIETLY] = FAST * share, SLOW * share
    return kept


def _level_moves(state: dict[str, Array], level: Float64, z: Float64, begins: Bool, means: _Means) -> None:
    most = _LEVEL_CLIP * state["spread"]
    free = (most <= 0.0) | begins[:, None]
    means.rate[at.AT] = LEVEL_RATE
    if np.count_nonzero(free):
        most = np.where(free, np.inf, most)
        means.rate[at.AT][begins] = 1.0
    np.maximum(np.minimum(z - level, most), -most, out=means.off[at.AT])


def _of_means(smooth: Float64, out: Float64) -> None:
    out[at.DROPOUT] = smooth[at.ABSENT]
    both = slice(at.SURPRISED, at.UNEXPECTED + 1)
    np.sqrt(smooth[both], out=out[at.SURPRISE : at.REFERENCE + 1])
    quiet = np.sqrt(smooth[at.QUIETLY])
    np.divide(1.0, quiet, out=out[at.CALM], where=quiet > 0.0)


def _of_level(state: dict[str, Array], level: Float64, runs: Int64, *, out: Float64, away: Float64) -> None:
    kin = np.sqrt(diagonal(state["kinship"]))
    off = away[at.LEVEL]
    np.subtract(level, state["mean"], out=off, where=state["spread"] > 0.0)
    both = _in_spreads(state, off, kin)
    np.divide(both[1], kin, out=away[at.RELATION], where=kin > 0.0)
    np.abs(both, out=out[at.LEVEL : at.RELATION + 1])
    if np.count_nonzero(state["quiet"] < 0):  # what has slowly become usual goes about another mean
        both = _in_spreads(state, np.where(state["spread"] > 0.0, level - _centre(state), 0.0), kin)
    _turns(runs, both)


def _in_spreads(state: dict[str, Array], off: Float64, kin: Float64) -> Float64:
    """How far levels are away, each by itself and beyond the others, in spreads (2, N, F).

    Args:
        state: Columns of N streams.
        off: In the features' units (N, F).
        kin: One over the spread of each beyond the others (N, F).
    """
    both = np.zeros((2, *off.shape))
    np.divide(off, state["spread"], out=both[0], where=state["spread"] > 0.0)
    np.divide(weighed(state["kinship"], off), kin, out=both[1], where=kin > 0.0)
    return both


def _centre(state: dict[str, Array]) -> Float64:
    """What levels turn about (N, F): the mean of the reference, or of the stretch so far while that is refitted."""
    count = state["moments"][:, :1]
    total = state["moments"][:, 1 : 1 + state["mean"].shape[1]]
    so_far = np.divide(total, count, out=state["mean"].copy(), where=count > 0.0)
    return np.where((state["quiet"] < 0)[:, None], so_far, state["mean"])


def _turns(runs: Int64, away: Float64) -> None:
    """Count how often levels change sides, of what is usual and of what the others say; `away` is (2, N, F)."""
    sides, turns, now = runs[at.SIDE :: 2], runs[at.TURNS :: 2], np.sign(away)
    other = (np.abs(away) >= _CLEARLY) & (now != sides)
    if np.count_nonzero(other):
        turns += other & (sides != 0)
        np.copyto(sides, now, where=other, casting="unsafe")


def wild(state: dict[str, Array], z: Float64) -> tuple[Bool, Bool]:
    """Whether any value now, and any among the lags, lies far out (N,)."""
    far = np.where(state["spread"] > 0.0, _WILD * state["spread"], np.inf)
    now, before = np.abs(z - state["mean"]) > far, np.zeros(z.shape, bool)
    for lag in range(state["lags"].shape[1]):
        before |= np.abs(state["lags"][:, lag] - state["mean"]) > far
    return _any(now), _any(before)


def _any(flags: Bool) -> Bool:
    """Whether any feature has it (N,); as a rule none has."""
    return np.asarray(flags.any(axis=1)) if np.count_nonzero(flags) else np.zeros(len(flags), bool)


def _share(flags: Bool) -> Bool | float:
    """What a rate is taken times, which is 1 where all have it."""
    return 1.0 if np.count_nonzero(flags) == flags.size else flags
