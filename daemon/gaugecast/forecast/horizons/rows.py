"""One step of R rows (one feature of one stream each): what has come due is learned from, then it is forecast."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple, get_args

import numpy as np

from gaugecast.forecast.horizons import audit, direct, intervals, mixture
from gaugecast.forecast.horizons.layout import HorizonLayout
from gaugecast.forecast.horizons.past import Past, regressors, remember
from gaugecast.forecast.horizons.waiting import due_at, forget_missed, turns_at
from gaugecast.forecast.message import Lead
from gaugecast.forecast.scaling import observe, scale
from gaugecast.model.manifest import Recipe
from gaugecast.records import Bool, Float64, Int64
from gaugecast.streams.columns import Array

#: Experts, in the order of every array that has an axis of them.
EXPERTS: tuple[Lead, ...] = get_args(Lead)
PERSISTENCE, LINEAR, STACKED, NETWORK = range(len(EXPERTS))

#: Columns that are too long to be copied for a step.
LONG = ("points", "base", "said")

MEAN = 4  # of the statistics of `scaling`: the running mean of the level
_LARGEST = 1e38  # moves wait as float32


class Said(NamedTuple):
    """What is said now.

    Attributes:
        move: From the last value (R, H).
        moves: Each expert's (R, H, E); NaN of a network that is not there.
        leads: Who has the most weight (R, H).
    """

    move: Float64
    moves: Float64
    leads: Int64


class Rows:
    """The rows of one step; works on copies that `state` holds by column, and in place on what is long.

    Args:
        state: Columns of `HorizonExperts`, with R in front.
        long: The columns `LONG` with all rows there are in front.
        places: Which of those the R rows are.
        layout: Of the horizons.
        levels: Of the intervals (L,).
    """

    def __init__(
        self, state: dict[str, Array], long: dict[str, Array], places: Int64, *, layout: HorizonLayout, levels: Float64
    ) -> None:
        self.state = state
        self._base, self._said = long["base"], long["said"]
        self._past = Past(long["points"], places)
        self._layout = layout
        self._levels = levels
        self._rows = places
        self._scale = np.zeros(len(places))
        self._seen = np.zeros(len(places), bool)

    def begin(self) -> None:
        """Give rows that were never stepped what zeros do not say."""
        state, new = self.state, self.state["ticks"] == 0
        if new.any():
            state["p"][new] = direct.START * np.eye(self._layout.size)
            state["mix"][new] = mixture.BEGIN[:, None]
            if len(self._levels):
                state["errors"][new] = intervals.begin(self._levels)[:, None]

    def take(self, values: Float64, last: Float64, gap: Int64, recipe: Recipe) -> None:
        """Put values (R,), NaN = absent, into statistics and rings, and learn from those that were waited for."""
        self.begin()
        state, lay = self.state, self._layout
        state["ticks"] += gap + 1
        stats = observe(state["stats"][:, None], last[:, None], values[:, None], gap == 0, recipe)
        state["stats"] = stats[:, 0]
        self._scale = scale(state["stats"], recipe)
        remember(self._past, values, state["ticks"], gap, lay)
        if gap.any():
            forget_missed(self._base, self._rows, ticks=state["ticks"], gap=gap, layout=lay)
        self._seen = np.isfinite(values)
        self._learn(values)

    def _learn(self, values: Float64) -> None:
        state, lay, s = self.state, self._layout, self._scale
        origin, due, place = due_at(state["ticks"], lay)
        base = self._base[self._rows[:, None], place]
        came = values[:, None] - base
        due &= np.isfinite(came)
        if not due.any():
            return
        waited = self._said[self._rows[:, None], place].astype(np.float64)
        said, told = waited[:, :, : len(EXPERTS)], waited[:, :, len(EXPERTS) :]
        came = np.where(due, came, 0.0)
        self._judge(said, came, told, due)
        own = said[:, :, NETWORK]
        phi = regressors(self._past, base, origin, level=state["stats"][:, MEAN], s=s, own=own, layout=lay)
        moving = due & (s > 0.0)[:, None]
        target = np.divide(came, s[:, None], out=np.zeros_like(came), where=moving)
        direct.learn(state["theta"], state["p"], phi, target, moving, tick=state["ticks"], layout=lay)

    def _judge(self, said: Float64, came: Float64, told: Float64, due: Bool) -> None:
        """Mixture and intervals learn of errors that were made, not of what would be said today."""
        state = self.state
        published = said[:, :, PERSISTENCE]  # in whose place the published move waits: its own is always zero
        said = np.where(np.isnan(said), said[:, :, LINEAR, None], said)  # in place of a network that was not there
        said[~due] = 0.0
        said[:, :, PERSISTENCE] = 0.0
        shock = mixture.is_shock(state["mix"], came[:, 0] - np.where(due[:, 0], published[:, 0], 0.0), due[:, 0])
        state["shock"] = np.where(shock, state["ticks"], state["shock"])
        mixture.learn(state["mix"], said, came, due & np.isfinite(published), self._layout.waiting)
        if len(self._levels):
            error = came - np.where(due, published, 0.0)
            due, overlap = due & np.isfinite(error), self._layout.waiting
            reach = told[:, :, 1:].reshape(*error.shape, -1, 2)
            audit.note(state["covered"], error, reach, due=due, overlap=overlap)
            intervals.track(state["errors"], error, told[:, :, 0], due=due, levels=self._levels, overlap=overlap)

    def say(self, x: Float64, own: Float64) -> Said:
        """Forecast from values (R,); `own` are the network's moves (R, H), NaN = none."""
        state, lay, s = self.state, self._layout, self._scale
        there = np.isfinite(own)
        self._detach(np.asarray(~there.any(axis=1)))
        base = np.repeat(x[:, None], lay.count, axis=1)
        origin = np.repeat(state["ticks"][:, None], lay.count, axis=1)
        phi = regressors(self._past, base, origin, level=state["stats"][:, MEAN], s=s, own=own, layout=lay)
        moves = np.zeros((*own.shape, len(EXPERTS)))
        linear, stacked = direct.both(state["theta"], state["p"], phi, lay)
        moves[:, :, LINEAR], moves[:, :, STACKED] = linear * s[:, None], stacked * s[:, None]
        for k in (STACKED, NETWORK):
            moves[:, :, k] = np.where(there, own if k == NETWORK else moves[:, :, k], moves[:, :, LINEAR])
        since = state["ticks"] - state["shock"]
        calm = (state["shock"] == 0)[:, None] | (since[:, None] >= lay.horizons)
        weights = mixture.weights(state["mix"], there, lay.waiting, calm=calm)
        move = sum((weights[:, k] * moves[:, :, k] for k in range(1, len(EXPERTS))), np.zeros(own.shape))
        self._wait(np.where(self._seen[:, None], base, np.nan), moves, move, there)
        leads = np.where(there, weights.argmax(axis=1), np.where(weights[:, PERSISTENCE] < 0.5, LINEAR, PERSISTENCE))
        moves[:, :, NETWORK] = np.where(there, moves[:, :, NETWORK], np.nan)
        return Said(move, moves, leads)

    def _detach(self, alone: Bool) -> None:
        """Rows whose network has gone go on as if it had never been there."""
        state, lay = self.state, self._layout
        alone &= (state["theta"][:, :, -1] != 0.0).any(axis=1)
        if alone.any():
            theta, p = direct.detach(state["theta"][alone], state["p"][alone], lay)
            state["theta"][alone], state["p"][alone] = theta, p

    def _wait(self, base: Float64, moves: Float64, move: Float64, there: Bool) -> None:
        """Keep what was said until its target comes, where a horizon's turn is now."""
        state, lay = self.state, self._layout
        kept = np.maximum(np.minimum(moves, _LARGEST), -_LARGEST)
        kept[:, :, PERSISTENCE] = np.maximum(np.minimum(move, _LARGEST), -_LARGEST)
        kept[:, :, NETWORK] = np.where(there, kept[:, :, NETWORK], np.nan)
        rows, horizons, place = turns_at(state["ticks"], lay)
        self._said[self._rows[rows], place, : len(EXPERTS)] = kept[rows, horizons]
        if len(self._levels):
            self._said[self._rows[rows], place, len(EXPERTS)] = state["errors"][rows, 1, horizons]
            reach, warming = self.bounds
            told = np.where(warming[..., None, None], np.nan, reach)[rows, horizons]
            self._said[self._rows[rows], place, len(EXPERTS) + 1 :] = told.reshape(len(rows), -1)
        self._base[self._rows[rows], place] = base[rows, horizons]

    @cached_property
    def bounds(self) -> tuple[Float64, Bool]:
        """Reach below and above the forecasts (R, H, L, 2), and whether too little is known of it (R, H)."""
        errors = self.state["errors"]
        return intervals.bounds(errors, len(self._levels)), errors[:, 0] < intervals.WARM
