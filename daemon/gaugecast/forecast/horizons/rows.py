"""One step of R rows (one feature of one stream each): what has come due is learned from, then it is forecast."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple, get_args

import numpy as np

from gaugecast.forecast.horizons import audit, clocked, direct, intervals, mixture, season, settled
from gaugecast.forecast.horizons.layout import HorizonLayout
from gaugecast.forecast.horizons.learning import Lesson, learn
from gaugecast.forecast.horizons.past import Past, regressors, remember
from gaugecast.forecast.horizons.waiting import due_at, forget_missed, turns_at
from gaugecast.forecast.message import Lead, Speaker
from gaugecast.forecast.scaling import observe, scale
from gaugecast.model.manifest import Recipe
from gaugecast.records import Bool, Float64, Int64
from gaugecast.streams.columns import Array

#: Experts, in the order of every array that has an axis of them. Of far horizons `clocked` ones stand in the places of
#: those that need a network, for it is not asked so far ahead.
EXPERTS: tuple[Speaker, ...] = get_args(Speaker)
PERSISTENCE, LINEAR, STACKED, NETWORK = range(len(EXPERTS))

#: Who may lead: the experts, then those of far horizons.
LEADS: tuple[Lead, ...] = get_args(Lead)

#: Columns that are too long to be copied for a step.
LONG = ("points", "base", "said", "p", "turning_p")

SEEN, MEAN = 3, 4  # of the statistics of `scaling`: values seen, the running mean of the level (behind it its variance)
_LARGEST = 1e38  # moves wait as float32


class Said(NamedTuple):
    """What is said now.

    Attributes:
        move: From the last value (R, H).
        moves: Each expert's (E, R, H); NaN of a network that is not there.
        leads: Who has the most weight (R, H), as a place in `LEADS`.
    """

    move: Float64
    moves: Float64
    leads: Int64


class Rows:
    """The rows of one step; works on copies that `state` holds by column, and in place on what is long.

    Args:
        state: Columns of `HorizonExperts`, as `experts.gathered` gives them.
        long: The columns `LONG` with all rows there are in front.
        places: Which of those the R rows are.
        layout: Of the horizons.
        levels: Of the intervals (L,).
    """

    def __init__(
        self, state: dict[str, Array], long: dict[str, Array], places: Int64, *, layout: HorizonLayout, levels: Float64
    ) -> None:
        self.state = state
        self._base, self._said, self._p = long["base"], long["said"], long["p"]
        self._turning_p = long.get("turning_p", direct.NO_P)
        self._past = Past(long["points"], places)
        self._layout = layout
        self._far = slice(layout.far, layout.count)
        self._levels = levels
        self._profile = state.get("profile", season.NOTHING)
        self._rows = places
        self._scale = np.zeros(len(places))
        self._seen = np.zeros(len(places), bool)

    def begin(self) -> None:
        """Give rows that were never stepped what zeros do not say."""
        state, new = self.state, self.state["ticks"] == 0
        if new.any():
            self._p[self._rows[new]] = direct.START * np.eye(self._layout.size)
            if self._layout.has_far:
                self._turning_p[self._rows[new]] = clocked.begin(self._layout)
            state["mix"][:, new] = mixture.begin(self._layout.is_far)[:, None]
            if len(self._levels):
                state["errors"][:, new] = intervals.begin(self._levels)[:, None, None]

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
        if lay.has_far:
            clocked.observe(state["level"], values, clocked.LONG_RUN * recipe.half_life_steps)
            settled.observe(state["range"], values, state["ticks"])
        self._learn(values)
        if lay.has_far:
            far = self._far
            comes_back = settled.settled(state["range"], state["ticks"], lay.horizons[far])
            mixture.believe(state["mix"][:, :, far], comes_back, lay.waiting[far])

    def _learn(self, values: Float64) -> None:
        state = self.state
        origin, due, place = due_at(state["ticks"], self._layout)
        base = self._base[self._rows[:, None], place]
        came = values[:, None] - base
        due &= np.isfinite(came)
        if not due.any():
            return
        waited = self._said[self._rows[:, None], place].transpose(2, 0, 1).astype(np.float64)
        said, told = waited[: len(EXPERTS)], waited[len(EXPERTS) :]
        came = np.where(due, came, 0.0)
        own = said[NETWORK].copy()
        if self._layout.has_far:
            own[:, self._far] = np.nan
        self._judge(said, came, told, due)
        lesson = Lesson(base, origin, came, own, due, self._scale, state["stats"][:, MEAN], state["ticks"])
        learn(state["theta"], self._p, self._past, lesson, self._layout)
        if self._layout.has_far and due[:, self._far].any():
            clocked.learn(
                state["turning"], self._turning_p, self._past, base=base[:, self._far], origin=origin[:, self._far],
                came=came[:, self._far], due=due[:, self._far], level=state["level"], tick=state["ticks"],
                layout=self._layout,
            )  # fmt: skip

    def _judge(self, said: Float64, came: Float64, told: Float64, due: Bool) -> None:
        """Mixture and intervals learn of errors that were made, not of what would be said today."""
        state = self.state
        published = np.where(due, said[PERSISTENCE], 0.0)  # waits in its place: persistence's own is always zero
        said = np.where(np.isnan(said), said[LINEAR], said)  # in place of a network that was not there
        said = np.where(due, said, 0.0)
        said[PERSISTENCE] = 0.0
        known, error = np.isfinite(published), came - published
        shock = mixture.is_shock(state["mix"], error[:, 0], due[:, 0])
        state["shock"] = np.where(shock, state["ticks"], state["shock"])
        mixture.learn(
            state["mix"], said, came, due & known, self._layout.waiting, far=self._layout.is_far, published=published
        )
        if len(self._levels):
            due, overlap = due & np.isfinite(error), self._layout.waiting
            audit.note(state["covered"], error, told[1:].reshape(-1, 2, *error.shape), due=due, overlap=overlap)
            tick, lay = state["ticks"], self._layout
            shape = season.shape_at(self._profile, tick[:, None], lay)
            proven = due & (state["errors"][0] >= intervals.WARM)
            season.learn(self._profile, error, state["errors"][1], due=proven, tick=tick, layout=lay)
            intervals.track(state["errors"], error, told[0], shape=shape, due=due, levels=self._levels, overlap=overlap)

    def say(self, x: Float64, own: Float64) -> Said:
        """Forecast from values (R,); `own` are the network's moves (R, H), NaN = none."""
        state, lay, s = self.state, self._layout, self._scale
        there = np.isfinite(own)
        self._detach(np.asarray(~there.any(axis=1)))
        base = np.repeat(x[:, None], lay.count, axis=1)
        origin = np.repeat(state["ticks"][:, None], lay.count, axis=1)
        phi = regressors(self._past, base, origin, level=state["stats"][:, MEAN], s=s, own=own, layout=lay)
        column = self._p[:, :, :, -1][self._rows].transpose(2, 0, 1)
        moves = np.zeros((len(EXPERTS), *own.shape))
        linear, stacked = direct.both(state["theta"], column, phi, lay)
        np.multiply(linear, s[:, None], out=moves[LINEAR])
        moves[STACKED] = np.where(there, stacked * s[:, None], moves[LINEAR])
        moves[NETWORK] = np.where(there, own, moves[LINEAR])
        far = self._far
        if lay.has_far:
            moves[STACKED:, :, far] = clocked.moves(
                state["turning"], self._past, base=base[:, far], origin=origin[:, far], level=state["level"], layout=lay
            )
        shock = state["shock"][:, None]
        kept = -(-shock // lay.stride) * lay.stride  # tick of the first forecast since then that will be judged
        calm = (shock == 0) | (state["ticks"][:, None] > kept + 2 * (lay.horizons - 1))
        weights = mixture.weights(state["mix"], there, lay.waiting, calm=calm)
        move = weights[1] * moves[1] + weights[2] * moves[2] + weights[3] * moves[3]
        self._wait(np.where(self._seen[:, None], base, np.nan), moves, move, there)
        leads = np.where(there, weights.argmax(axis=0), np.where(weights[PERSISTENCE] < 0.5, LINEAR, PERSISTENCE))
        if lay.has_far:
            most = weights[:, :, far].argmax(axis=0)
            leads[:, far] = np.where(most >= STACKED, most + clocked.TURNS, most)
            moves[STACKED, :, far] = moves[LINEAR, :, far]
        moves[NETWORK] = np.where(there, own, np.nan)
        return Said(move, moves, leads)

    def _detach(self, alone: Bool) -> None:
        """Rows whose network has gone go on as if it had never been there."""
        theta, lay = self.state["theta"], self._layout
        alone &= theta[-1].any(axis=1)
        if alone.any():
            places = self._rows[alone]
            theta[:, alone], self._p[places] = direct.detach(theta[:, alone], self._p[places], lay)

    def _wait(self, base: Float64, moves: Float64, move: Float64, there: Bool) -> None:
        """Keep what was said until its target comes, where a horizon's turn is now."""
        state, lay = self.state, self._layout
        rows, horizons, place = turns_at(state["ticks"], lay)
        at = self._rows[rows]

        def now(of: Array) -> Array:
            """Of (R, H) those whose turn it is, one behind the other."""
            return of.reshape(-1) if len(rows) == of.size else of[rows, horizons]

        self._base[at, place] = now(base)
        kept = np.empty((self._said.shape[-1], len(rows)))
        for k, one in enumerate((move, *moves[1:])):
            kept[k] = now(one)
        np.maximum(np.minimum(kept[: len(EXPERTS)], _LARGEST), -_LARGEST, out=kept[: len(EXPERTS)])
        if self._layout.has_far:
            there = there.copy()
            there[:, self._far] = True
        np.copyto(kept[NETWORK], np.nan, where=~now(there))
        if len(self._levels):
            reach, warming = self.bounds
            kept[len(EXPERTS)] = now(self._size)
            for k, side in enumerate(reach.reshape(-1, *warming.shape), len(EXPERTS) + 1):
                kept[k] = now(side)
            np.copyto(kept[len(EXPERTS) + 1 :], np.nan, where=now(warming))
        self._said[at, place] = kept.T.astype(np.float32)

    @cached_property
    def _size(self) -> Float64:
        """Size that errors are expected to have (R, H)."""
        state, lay = self.state, self._layout
        shape = season.shape_at(self._profile, state["ticks"][:, None] + lay.horizons, lay)
        return intervals.size_of(state["errors"], shape)

    @cached_property
    def bounds(self) -> tuple[Float64, Bool]:
        """Reach below and above the forecasts (L, 2, R, H), and whether too little is known of it (R, H)."""
        errors = self.state["errors"]
        return intervals.bounds(errors, self._size, len(self._levels)), errors[0] < intervals.WARM
