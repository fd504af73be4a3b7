"""Where limits come from: stretches of a stream that are known, or found, to be healthy.

A reference is fitted to one stretch and tried on the next, which is as long. What is given as healthy is split in two
halves and believed. Else a detector begins to judge when the second stretch looks to it like the first; if not, both
are one stretch, and the next is twice as long: a plant's cycles are met before they count as strange. It goes on so
while nothing is wrong; steps of an event are left out.
"""

from __future__ import annotations

import numpy as np

from gaugecast.forecast.anomaly import layout as at
from gaugecast.forecast.anomaly.layout import Layout, pairs
from gaugecast.forecast.anomaly.reference import fit
from gaugecast.forecast.anomaly.statistics import Measured
from gaugecast.records import Bool, Float64, Int64
from gaugecast.streams.columns import Array
from gaugecast.watching import SHORTEST

#: Stages: the first stretch; a reference is tried; frozen for good.
FIRST, TRIED, FROZEN = range(3)
#: A stretch is at most so long: then the reference is frozen.
LONGEST = 2**17
#: Limits, by detector: at least so much; times the largest statistic of the stretch; and what that may be at most for
#: the stretch to look like the one before.
LEAST = np.array([0.5, 20.0, 2.6, 3.3, 3.0, 3.0, 3.0])
MARGIN = np.array([2.0, 3.0, 1.35, 1.75, 1.6, 1.6, 1.6])
MOST_TRIED = np.array([0.5, np.inf, 3.0, 4.0, np.inf, 5.0, 4.0])
#: A level must have gone to the other side of its mean so often in a stretch: what was seen of a cycle was not a part.
#: So must those of all features a few times, unless so many steps have shown that they hardly will.
TURNS, A_FEW, LONG = 8, 4, 2**14
#: Where the slowest turned less often than the first, what goes in cycles has limits wider by up to the second share.
ENOUGH, WIDER = 24, 1.0
OF_CYCLES = [at.LEVEL, at.RELATION, at.REFERENCE, at.CALM]
#: A feature that moves in fewer of its steps is judged by its absence alone; in fewer than the second, not for standing
#: still.
MOVES, MOVES_MOSTLY = 0.05, 0.3


def begin(state: dict[str, Array], given: Bool, stretch: int) -> bool:
    """Begin the first stretch of streams that have none yet, of so many steps where it is `given` (N,); if any."""
    new = state["mark"] == 0
    if not np.count_nonzero(new):
        return False
    state["mark"] = np.where(new, np.where(given, stretch, SHORTEST), state["mark"])
    return True


def begin_again(state: dict[str, Array], wrong: Bool, after: int, *, stretch: int) -> bool:
    """Look at one more stretch of streams whose reference is frozen and of which no event was open for long.

    They are judged as before until it ends, and after it where it has shown too little. Plants change slowly: what is
    long usual is no fault.

    Args:
        state: Columns of N streams, copies.
        wrong: Of which an event is open (N,).
        after: Steps without one; 0 = never.
        stretch: Steps that are looked at.

    Returns whether there are any.
    """
    if not after:
        return False
    frozen = state["stage"] == FROZEN
    state["quiet"] = np.where(frozen, np.where(wrong, 0, state["quiet"] + 1), state["quiet"])
    rows = np.flatnonzero(frozen & (state["quiet"] >= after))
    state["stage"][rows], state["quiet"][rows] = TRIED, -1
    state["counted"][rows], state["mark"][rows] = 0, stretch
    state["moments"][rows], state["top"][rows], state["runs"][rows[:, None], at.OF_STRETCH] = 0.0, 0.0, 0
    return len(rows) > 0


def take_in(state: dict[str, Array], measured: Measured, found: Float64, *, healthy: Bool, given: Bool) -> None:
    """Count a step towards the stretch, in place.

    Args:
        state: Columns of N streams, copies.
        measured: What the step says.
        found: Its statistics by stream (N, DETECTORS, F).
        healthy: Whether the step counts: nothing is wrong, and its lags follow one another (N,).
        given: Whose stretch ends after so many steps, those that do not count among them (N,).
    """
    learns = state["stage"] != FROZEN
    counts = healthy & learns
    state["counted"] += np.where(given, learns, counts)
    number = np.count_nonzero(counts)
    if not number:
        return
    _add_moments(state, measured.z, counts)
    runs, each = state["runs"].swapaxes(0, 1), counts[:, None]
    runs[at.MOVED] += each & measured.moved
    runs[at.GONE] += each & ~measured.here
    np.maximum(runs[at.LONGEST], each * runs[at.RUN], out=runs[at.LONGEST])
    tops = found.astype(np.float32)
    if number < len(counts):
        tops[~counts] = 0.0
    np.maximum(state["top"], tops, out=state["top"])


def _add_moments(state: dict[str, Array], z: Float64, counts: Bool) -> None:
    n, f = z.shape
    lags = state["lags"].reshape(n, -1)
    rows = np.empty((1 + f + lags.shape[1], n))  # in columns: each product is then one piece of memory
    rows[0], rows[1 : 1 + f], rows[1 + f :] = counts, z.T, lags.T
    rows[1:] *= counts
    one, other = pairs(len(rows))
    products = rows.take(one, axis=0)
    products *= rows.take(other, axis=0)
    state["moments"] += products.T


def due(state: dict[str, Array]) -> Int64:
    """Rows whose stretch ends now."""
    return np.flatnonzero((state["stage"] != FROZEN) & (state["counted"] >= state["mark"]))


def end_stretch(state: dict[str, Array], rows: Int64, layout: Layout, *, given: Bool, judged: Bool) -> None:
    """Fit the reference anew, and set limits by what the stretch has shown; in place.

    A frozen reference, and its limits, stay where a detector would judge no more: of a slow cycle a part was seen.

    Args:
        state: Columns of N streams, copies.
        rows: Whose stretch ends.
        layout: Of the features.
        given: Whose stretches are known to be healthy (N,); there is no third.
        judged: Detectors that are used (DETECTORS, F).
    """
    counted, runs = state["counted"][rows], state["runs"][rows]
    share = runs[:, at.MOVED] / np.maximum(state["moments"][rows, :1] - runs[:, at.GONE], 1.0)
    moving = share >= MOVES
    fitted = fit(state["moments"][rows], moving, layout)
    tried, again = state["stage"][rows] == TRIED, state["quiet"][rows] < 0
    last = given[rows] | again | (2 * counted > LONGEST)
    limit = _limits(state, rows, moving, share, given=given[rows])
    lost = judged & np.isfinite(state["limit"][rows]) & ~np.isfinite(limit)
    adopts = ~(again & lost.any(axis=(1, 2)))
    state["limit"][rows[adopts & tried]] = limit[adopts & tried]
    for name, column in fitted._asdict().items():
        state[name][rows[adopts]] = column[adopts]
    state["top"][rows] = 0.0
    state["runs"][rows[:, None], [at.SIDE, at.TURNS, at.SIDE_OF_OTHERS, at.TURNS_OF_OTHERS]] = 0
    state["stage"][rows] = np.where(tried & last, FROZEN, TRIED)
    state["quiet"][rows] = 0
    state["mark"][rows] = 2 * counted


def _limits(state: dict[str, Array], rows: Int64, moving: Bool, share: Float64, *, given: Bool) -> Float64:
    turns, tops = state["runs"][rows, at.TURNS], state["top"][rows]
    slowest = np.where(moving, turns, ENOUGH).min(axis=1)  # it takes the others along
    judges = np.repeat((moving & (state["spread"][rows] > 0.0))[:, None], len(at.DETECTORS), axis=1)
    judges &= tops <= MOST_TRIED[:, None]
    turned, met = turns >= TURNS, (slowest >= A_FEW) | (state["counted"][rows] >= LONG) | given
    judges[:, at.LEVEL] &= turned & met[:, None]
    judges[:, [at.REFERENCE, at.CALM]] &= ((turned & met[:, None]) | given[:, None])[:, None]
    judges[:, at.RELATION] &= ((turned | ~moving).all(axis=1) | given)[:, None]
    judges[:, at.RELATION] &= state["runs"][rows, at.TURNS_OF_OTHERS] >= TURNS
    judges[:, at.DROPOUT] = tops[:, at.DROPOUT] <= MOST_TRIED[at.DROPOUT]
    judges[:, at.STUCK] = share >= MOVES_MOSTLY
    tops[:, at.STUCK] = state["runs"][rows, at.LONGEST]
    limit = np.maximum(LEAST[:, None], MARGIN[:, None] * tops)
    limit[:, OF_CYCLES] *= np.where(given, 1.0, _wider(slowest))[:, None, None]
    limits: Float64 = np.where(judges, limit, np.inf)
    return limits


def _wider(turns: Int64) -> Float64:
    """Times what limits are taken that rest on few cycles (N,): the next may well go beyond all of these."""
    wider: Float64 = 1.0 + WIDER * np.clip((ENOUGH - turns) / (ENOUGH - TURNS), 0.0, 1.0)
    return wider
