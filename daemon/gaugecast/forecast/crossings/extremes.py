"""The running extreme, learned: for each threshold of a stream how far the feature will have gone by each horizon.

As `forecast/horizons/rows`, with another target and other trackers: the linear expert's target is the farthest value
from the origin up to now, which is kept for each forecast that waits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gaugecast.forecast.crossings import calibration, spread
from gaugecast.forecast.horizons import direct
from gaugecast.forecast.horizons.experts import gathered, scatter
from gaugecast.forecast.horizons.layout import HorizonLayout
from gaugecast.forecast.horizons.learning import Lesson, learn
from gaugecast.forecast.horizons.past import Past, regressors, remember
from gaugecast.forecast.horizons.rows import MEAN
from gaugecast.forecast.horizons.waiting import due_at, forget_missed, turns_at
from gaugecast.forecast.scaling import STATS, default_recipe, observe, scale
from gaugecast.model.manifest import Recipe
from gaugecast.records import Bool, Float64, Int64
from gaugecast.streams.columns import Array, Column, Columns

#: Columns that are too long to be copied for a step.
_LONG = ("points", "base", "peak", "said", "p")
_CARRIED = ("ticks", "stats", "theta", "spread", "calibration")
_CENTRE, _SIZE, _OWN, _LIKELY = range(4)  # what waits: the extreme as expected, how large errors were, the network's,
# and how likely the threshold was to be crossed


class Extremes:
    """Columns with what is remembered of each stream's K thresholds, and the step that uses them.

    Owned by the loop's thread.

    Args:
        period_ns: Distance of two ticks.
        thresholds: K.
        horizons: In ticks; 1 is added.
        capacity: Rows to begin with.
    """

    def __init__(self, period_ns: int, thresholds: int, horizons: Sequence[int], *, capacity: int = 64) -> None:
        self.layout = HorizonLayout.of(horizons, period_ns)
        self._recipe = default_recipe(period_ns)
        self._count = thresholds
        self.columns = Columns(self._spec(), capacity)

    def _spec(self) -> list[Column]:
        lay, k = self.layout, self._count
        return [
            Column("ticks", "<i8", (k,)),
            Column("stats", "<f8", (k, STATS)),
            Column("points", "<f8", (k, lay.points), np.nan),
            Column("theta", "<f8", (k, lay.size, lay.count)),
            Column("p", "<f8", (k, lay.groups, lay.size, lay.size)),
            Column("base", "<f8", (k, lay.waits), np.nan),
            Column("peak", "<f8", (k, lay.waits), np.nan),
            Column("said", "<f8", (k, lay.waits, 4), np.nan),
            Column("spread", "<f8", (k, spread.SIZE, lay.count)),
            Column("calibration", "<f8", (k, calibration.SIZE, lay.count)),
        ]

    def step(
        self, slots: Int64, values: Float64, *, x: Float64, last: Float64, gap: Int64, own: Float64, level: Float64,
        reach: Int64,
    ) -> Float64:  # fmt: skip
        """Learn from what has come due; the probability of going beyond a level within each horizon (N, K, H).

        NaN where it is not known, and beyond a threshold's reach.

        Args:
            slots: Streams (N,), each once.
            values: As measured (N, K), NaN = absent; turned so that beyond is above.
            x: What is forecast from (N, K).
            last: As measured one step earlier (N, K), NaN = absent.
            gap: Ticks without a step before this one (N,).
            own: The network's own running maximum (N, K, H), NaN where there is none.
            level: Of each threshold (K,).
            reach: Place of the horizon up to which each threshold looks (K,).
        """
        places = (slots[:, None] * self._count + np.arange(self._count)).ravel()
        by_row = {name: array.reshape(-1, *array.shape[2:]) for name, array in self.columns}
        state = {name: gathered(by_row[name], places) for name in _CARRIED}
        rows = _Rows(state, {name: by_row[name] for name in _LONG}, places, layout=self.layout)
        flat = own.reshape(len(places), -1)
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is neither learned from nor told
            gaps, levels = np.repeat(gap, self._count), np.tile(level, len(slots))
            rows.take(values.ravel(), last.ravel(), gaps, self._recipe, level=levels)
            told = rows.say(x.ravel(), flat - x.reshape(-1, 1), needed=(level - x).reshape(-1, 1))
        for name, rows_of in rows.state.items():
            scatter(by_row[name], places, rows_of)
        told[np.arange(self.layout.count) > np.tile(reach, len(slots))[:, None]] = np.nan
        # Whoever has not gone so far within an hour has not within a minute.
        likely: Float64 = np.fmin.accumulate(told[:, ::-1], axis=1)[:, ::-1]
        return likely.reshape(len(slots), self._count, -1)


class _Rows:
    """The rows of one step; as `horizons.rows.Rows`."""

    def __init__(
        self, state: dict[str, Array], long: dict[str, Array], places: Int64, *, layout: HorizonLayout
    ) -> None:
        self.state = state
        self._base, self._peak, self._said, self._p = long["base"], long["peak"], long["said"], long["p"]
        self._past = Past(long["points"], places)
        self._layout, self._rows = layout, places
        self._scale = np.zeros(len(places))
        self._seen = np.zeros(len(places), bool)

    def take(self, values: Float64, last: Float64, gap: Int64, recipe: Recipe, *, level: Float64) -> None:
        """Put values (R,) into statistics, rings and what the waiting forecasts have come to, and learn."""
        state, lay = self.state, self._layout
        new = state["ticks"] == 0
        if new.any():
            self._p[self._rows[new]] = direct.START * np.eye(lay.size)
            state["calibration"][:, new] = calibration.BEGIN[:, None, None]
        state["ticks"] += gap + 1
        state["stats"] = observe(state["stats"][:, None], last[:, None], values[:, None], gap == 0, recipe)[:, 0]
        self._scale = scale(state["stats"], recipe)
        remember(self._past, values, state["ticks"], gap, lay)
        if gap.any():
            forget_missed(self._base, self._rows, ticks=state["ticks"], gap=gap, layout=lay)
        self._seen = np.isfinite(values)
        self._peak[self._rows] = np.fmax(self._peak[self._rows], values[:, None])
        self._learn(level)

    def _learn(self, threshold: Float64) -> None:
        state, lay = self.state, self._layout
        origin, due, place = due_at(state["ticks"], lay)
        base = self._base[self._rows[:, None], place]
        came = self._peak[self._rows[:, None], place] - base
        due &= np.isfinite(came) & self._seen[:, None]
        if not due.any():
            return
        came = np.where(due, came, 0.0)
        said = self._said[self._rows[:, None], place].transpose(2, 0, 1).copy()
        told = due & np.isfinite(said[_CENTRE])
        error = came - np.where(told, said[_CENTRE], 0.0)
        spread.take(state["spread"], error, said[_SIZE], due=told, overlap=lay.waiting)
        likely, beyond = said[_LIKELY], base + came >= threshold[:, None]
        known = due & np.isfinite(likely) & (base < threshold[:, None])  # from beyond there is nothing to cross
        calibration.learn(state["calibration"], likely, beyond, due=known, overlap=lay.waiting)
        lesson = Lesson(base, origin, came, said[_OWN], due, self._scale, state["stats"][:, MEAN], state["ticks"])
        learn(state["theta"], self._p, self._past, lesson, lay)

    def say(self, x: Float64, own: Float64, *, needed: Float64) -> Float64:
        """How likely it goes farther than `needed` (R, 1) from values (R,); `own`: the network's (R, H), NaN = none."""
        state, lay, s = self.state, self._layout, self._scale
        there: Bool = np.isfinite(own)
        base = np.repeat(x[:, None], lay.count, axis=1)
        origin = np.repeat(state["ticks"][:, None], lay.count, axis=1)
        phi = regressors(self._past, base, origin, level=state["stats"][:, MEAN], s=s, own=own, layout=lay)
        column = self._p[:, :, :, -1][self._rows].transpose(2, 0, 1)
        linear, stacked = direct.both(state["theta"], column, phi, lay)
        centre = np.where(there, stacked, linear) * s[:, None]
        likely = spread.exceeded(state["spread"], needed - centre)
        rows, horizons, place = turns_at(state["ticks"], lay)
        at = self._rows[rows]
        self._base[at, place] = np.where(self._seen, x, np.nan)[rows]
        self._peak[at, place] = np.nan
        self._said[at, place, _CENTRE] = centre[rows, horizons]
        self._said[at, place, _SIZE] = state["spread"][1][rows, horizons]
        self._said[at, place, _OWN] = own[rows, horizons]
        self._said[at, place, _LIKELY] = likely[rows, horizons]
        return calibration.corrected(state["calibration"], likely)
