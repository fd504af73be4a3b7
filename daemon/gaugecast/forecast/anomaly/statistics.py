"""What each detector looks at: statistics of a step, larger = stranger, in units that have no scale of the sensor's."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gaugecast.forecast.anomaly import layout as at
from gaugecast.forecast.anomaly.reference import expected, left_out
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
        far: Whether any value now, or any among the lags, lies far out (N,).
    """

    found: Float64
    away: Float64
    z: Float64
    kept: Float64
    far: Bool


def measure(state: dict[str, Array], now: Now) -> Measured:
    """Take in a step, in place, and say what it says.

    Args:
        state: Columns of these streams, copies.
        now: The step.
    """
    here = ~np.isnan(now.values)
    state["origin"] = np.where(np.isnan(state["origin"]), now.x, state["origin"])
    z = now.x - state["origin"]
    z = np.where(np.isnan(z), 0.0, np.maximum(np.minimum(z, _HUGE), -_HUGE))
    state["lagged"] = np.where(now.parted, 0, state["lagged"])
    smooth, runs = (_apart(state, name) for name in ("smooth", "runs"))  # (SMOOTH, N, F), (RUNS, N, F)
    out, away = np.zeros((2, len(at.DETECTORS), *z.shape))
    _stillness(runs, z != state["lags"][:, 0], here & ~now.begins[:, None], out)
    smooth[at.ABSENT] += ABSENT_RATE * (~here - smooth[at.ABSENT])
    out[at.DROPOUT] = smooth[at.ABSENT]
    out[at.SURPRISE] = _surprise(smooth, now.error)
    away[at.SURPRISE] = np.where(np.isnan(now.error), 0.0, now.error)
    now_wild, before_wild = wild(state, z)
    seen = here & ((state["lagged"] >= state["lags"].shape[1]) & (now_wild | ~before_wild))[:, None]
    kept = _by_reference(state, smooth, z, seen, out=out, away=away)
    _of_level(state, smooth, runs, z, now.begins, out=out, away=away)
    return Measured(out, away, z, kept, now_wild | before_wild)


def _apart(state: dict[str, Array], name: str) -> Array:
    """A column (N, K, F) with its K parts each in one piece (K, N, F), which the column is from now on."""
    parts = np.ascontiguousarray(state[name].swapaxes(0, 1))
    state[name] = parts.swapaxes(0, 1)
    return parts


def _stillness(runs: Int64, moved: Bool, here: Bool, out: Float64) -> None:
    runs[at.RUN] = np.where(here, np.where(moved, 0, runs[at.RUN] + 1), runs[at.RUN])
    out[at.STUCK] = runs[at.RUN]


def _surprise(smooth: Float64, error: Float64) -> Float64:
    known = ~np.isnan(error)
    square = np.where(known, np.minimum(np.abs(error), _HUGE) ** 2, 0.0)
    usual, count = smooth[at.ERROR], smooth[at.ERRORS]
    ratio = np.divide(square, usual, out=np.zeros_like(square), where=usual > 0.0)
    smooth[at.SURPRISED] += FAST * known * (np.minimum(ratio, MOST_SURPRISE) - smooth[at.SURPRISED])
    rate = np.maximum(_ERROR_START / (count + _ERROR_START), _ERROR_RATE) * known
    usual += rate * (np.where(usual > 0.0, np.minimum(square, _ERROR_CLIP * usual), square) - usual)
    count += known
    surprise: Float64 = np.sqrt(smooth[at.SURPRISED])
    return surprise


def _by_reference(
    state: dict[str, Array], smooth: Float64, z: Float64, seen: Bool, *, out: Float64, away: Float64
) -> Float64:
    """What is kept as lags; `seen`: measured, and no outlier spoils what is expected (N, F)."""
    said = expected(state["weights"], state["lags"])
    missed = np.where(seen, z - said, 0.0)
    square = np.minimum(left_out(state["precision"], missed), _HUGE)
    most = square.max(axis=1, keepdims=True)
    gross = (square >= MOST) & (square >= most)
    kept = np.where(gross & ~state["gross"], said, z)  # once only: what stays where it is was no outlier
    state["gross"] = gross
    square *= MOST / np.maximum(most, MOST)  # all in proportion: who is strangest must be seen
    own = np.minimum(missed * missed * np.diagonal(state["precision"], axis1=1, axis2=2), MOST)
    smooth[at.UNEXPECTED] += FAST * seen * (square - smooth[at.UNEXPECTED])
    smooth[at.QUIETLY] += SLOW * seen * (own - smooth[at.QUIETLY])
    away[at.REFERENCE] = missed
    out[at.REFERENCE] = np.sqrt(smooth[at.UNEXPECTED])
    quiet = np.sqrt(smooth[at.QUIETLY])
    out[at.CALM] = np.divide(1.0, quiet, out=np.zeros_like(quiet), where=quiet > 0.0)
    return kept


def _of_level(
    state: dict[str, Array], smooth: Float64, runs: Int64, z: Float64, begins: Bool, *, out: Float64, away: Float64
) -> None:
    level = smooth[at.AT]
    spread = state["spread"]
    most = np.where((spread > 0.0) & ~begins[:, None], _LEVEL_CLIP * spread, np.inf)
    move = np.maximum(np.minimum(z - level, most), -most)
    level += np.where(begins[:, None], 1.0, LEVEL_RATE) * move
    off = np.where(spread > 0.0, level - state["mean"], 0.0)
    own, given, kin = _in_spreads(state, off)
    away[at.LEVEL], away[at.RELATION] = off, np.divide(given, kin, out=np.zeros_like(off), where=kin > 0.0)
    out[at.LEVEL], out[at.RELATION] = np.abs(own), np.abs(given)
    if np.count_nonzero(state["quiet"] < 0):  # what has slowly become usual goes about another mean
        own, given, _ = _in_spreads(state, np.where(spread > 0.0, level - _centre(state), 0.0))
    _turns(runs[at.SIDE], runs[at.TURNS], own)
    _turns(runs[at.SIDE_OF_OTHERS], runs[at.TURNS_OF_OTHERS], given)


def _in_spreads(state: dict[str, Array], off: Float64) -> tuple[Float64, Float64, Float64]:
    """How far levels are away, each by itself and beyond the others, in spreads; and of the latter one over those."""
    spread, kinship = state["spread"], state["kinship"]
    own = np.divide(off, spread, out=np.zeros_like(off), where=spread > 0.0)
    pulled = (kinship * off[:, None, :]).sum(axis=2)
    kin = np.sqrt(np.diagonal(kinship, axis1=1, axis2=2))
    return own, np.divide(pulled, kin, out=np.zeros_like(off), where=kin > 0.0), kin


def _centre(state: dict[str, Array]) -> Float64:
    """What levels turn about (N, F): the mean of the reference, or of the stretch so far while that is refitted."""
    count = state["moments"][:, :1]
    total = state["moments"][:, 1 : 1 + state["mean"].shape[1]]
    so_far = np.divide(total, count, out=state["mean"].copy(), where=count > 0.0)
    return np.where((state["quiet"] < 0)[:, None], so_far, state["mean"])


def _turns(side: Int64, turns: Int64, away: Float64) -> None:
    now = np.where(np.abs(away) >= _CLEARLY, np.where(away > 0.0, 1, -1), side)
    turns += (now != side) & (side != 0)
    side[:] = now


def wild(state: dict[str, Array], z: Float64) -> tuple[Bool, Bool]:
    """Whether any value now, and any among the lags, lies far out (N,)."""
    far = np.where(state["spread"] > 0.0, _WILD * state["spread"], np.inf)
    now = np.abs(z - state["mean"]) > far
    before = np.zeros_like(now)
    for lag in range(state["lags"].shape[1]):
        before |= np.abs(state["lags"][:, lag] - state["mean"]) > far
    return np.asarray(now.any(axis=1)), np.asarray(before.any(axis=1))
