"""The intervals that persistence has: the same tracker around the last value, without the time of day.

What ours are held against is the width that such intervals need for the coverage that ours have: all of them made wider
or narrower by one factor, each feature by its own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from accuracy.runs import Rows
from gaugecast.forecast.horizons import intervals
from gaugecast.forecast.horizons.layout import HorizonLayout
from gaugecast.forecast.horizons.waiting import due_at
from gaugecast.learn.backtest.horizon_run import HorizonReport
from gaugecast.learn.score.course import Course
from gaugecast.records import Float64

#: What these rows are called.
PEER = "persistence's intervals"
_HALVINGS = 30
_MOST = 8.0  # times as wide


class Reach(NamedTuple):
    """How far intervals reach from the last value, at each step (T, H, G); NaN while warming."""

    below: Float64
    above: Float64


def around_the_last_value(course: Course, layout: HorizonLayout, level: float) -> Reach:
    """What a fleet would tell whose forecasts are the last value; of a course without gaps."""
    steps, features = course.observed.shape
    h, levels = layout.horizons, np.array([level])
    state = np.repeat(intervals.begin(levels)[:, None, None], features, axis=1).repeat(len(h), axis=2)
    size = np.zeros((steps, features, len(h)))
    below, above = (np.full((steps, len(h), features), np.nan) for _ in range(2))
    plain, places = np.ones((1, 1)), np.arange(len(h))
    for t in range(steps):
        origin = np.maximum(t - h, 0)
        error = (course.observed[t] - course.observed[origin]).T
        due = due_at(np.full(features, t + 1), layout).there & np.isfinite(error)
        told = size[origin, :, places].T
        intervals.track(state, error, told, shape=plain, due=due, levels=levels, overlap=layout.waiting)
        size[t] = intervals.size_of(state, plain)
        reach = intervals.bounds(state, size[t], 1)[0]
        reach[:, state[0] < intervals.WARM] = np.nan
        below[t], above[t] = -reach[0].T, reach[1].T
    return Reach(below, above)


def narrower(made: HorizonReport, peer: Reach, place: int) -> tuple[float, float, float]:
    """By how much the mixture's intervals are narrower at one horizon of the first stream.

    Returns:
        The share at equal coverage, the share as both come, and the peer's coverage as it comes.
    """
    course, told = made.report.courses[0], made.told[0]
    ahead, exists = course.ahead(int(told.horizons[place]))
    counted = np.zeros(len(course.tick), bool)
    counted[made.report.scored] = True
    origins = np.flatnonzero(exists & counted[ahead])
    target, unit = course.observed[ahead[origins]], made.report.deviation
    below, above = (reach[origins, place, :, 0].astype(np.float64) for reach in (told.below, told.above))
    ours = Reach(below, above)
    theirs = Reach(peer.below[origins, place], peer.above[origins, place])
    held = _held(target - told.forecast[origins, place], ours, 1.0)
    error = target - told.x[origins]
    low, high = np.zeros(len(unit)), np.full(len(unit), _MOST)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        enough = _held(error, theirs, middle) >= held
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    width, needed = (float(((one.below + one.above) * by / unit).mean()) for one, by in ((ours, 1.0), (theirs, high)))
    plain = float(((theirs.below + theirs.above) / unit).mean())
    return 1.0 - width / needed, 1.0 - width / plain, float(_held(error, theirs, 1.0).mean())


def _held(error: Float64, reach: Reach, by: float | Float64) -> Float64:
    """Share of errors (N, G) within, by feature."""
    return np.asarray(((error >= -by * reach.below) & (error <= by * reach.above)).mean(axis=0))


def peer_rows(made: HorizonReport, name: str, level: float, period_ns: int) -> Rows:
    """A row a listed horizon: how much narrower there, and as the mean over 1 … H."""
    told = made.told[0]
    layout = HorizonLayout.of(told.horizons.tolist(), period_ns)
    peer = around_the_last_value(made.report.courses[0], layout, level)
    found = np.array([narrower(made, peer, place) for place in range(layout.count)])
    about = {"set": name, "protocol": made.protocol, "model": PEER, "start": "cold", "learning": "lockstep"}
    rows: Rows = []
    for h in made.listed:
        at = told.horizons.tolist().index(h)
        share, plain, coverage = found[at].tolist()
        rows.append(
            {**about, "horizon": h, "nominal": level, "coverage": coverage, "narrower": share, "narrower_plain": plain,
             "narrower_mean": float(found[: at + 1, 0].mean())}
        )  # fmt: skip
    return rows
