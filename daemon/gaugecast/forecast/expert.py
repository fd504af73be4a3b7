"""One model at work on one fleet: its recurrent state, statistics and forecasts of every stream.

A fleet has at most two experts: the model in force and one in shadow. Each sees the same steps; what is
published, and whether to believe it, is decided elsewhere.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gaugecast.engine import engine_for
from gaugecast.fleet import Fleet
from gaugecast.forecast.scaling import STATS, InputLayout, build_inputs, meaning, observe, to_forecast, widen
from gaugecast.forecast.skill import LARGEST, add_terms, skill
from gaugecast.model.weights import Model
from gaugecast.records import Bool, Float32, Float64, Int64
from gaugecast.streams.columns import Column, Columns


class Steps(NamedTuple):
    """N closed steps of different streams.

    Attributes:
        values: (N, F), NaN = absent.
        last: Values of the step before, (N, F), NaN = never seen.
        seen: Whether `last` was measured, (N, F).
        at: Event time (N,).
        last_at: Event time of the step before (N,).
        gap: Ticks missing between the two (N,); 0 at a stream's first step.
        fresh: First step, or first after a gap longer than `bridge`: the state begins anew (N,).
    """

    slots: Int64
    values: Float64
    last: Float64
    seen: Bool
    at: Int64
    last_at: Int64
    gap: Int64
    fresh: Bool


class Trace(NamedTuple):
    """What one `Expert.step` fed and got, for the learner; rows as in `Steps`."""

    slots: Int64
    inputs: Float32  # (N, R, I)
    state: Float32  # before the step, (N, R, S)
    x: Float64  # what an output of 0 forecasts (N, F): the values as fed, or the recipe's centre
    scale: Float64  # what an output of 1 adds to it (N, F)
    steps: Steps


_SHAPE = ("layers", "recipe", "rows", "features", "head", "look_back", "decoder", "decode_steps")


def same_shape(one: Model, other: Model) -> bool:
    """Whether hidden states and statistics of the one go on under the other's weights."""
    return shape_of(one) == shape_of(other)


def shape_of(model: Model) -> tuple[object, ...]:
    """What hidden states and statistics mean under a model, its weights apart."""
    return tuple(getattr(model.manifest, name) for name in _SHAPE)


#: Columns that say how a model did, not what it knows.
SCORES = ("square_error", "square_last", "scored")


class Expert:
    """A model, and columns with what it remembers of each stream. Owned by the loop's thread.

    Columns: `state` (R, S) float32, `stats` (F, STATS), `next` (G,) the forecast of the coming step,
    `warm` steps since the state began, `square_error` (G,) discounted as in the stream table; of a model with a
    decoder `ahead` (D−1, G), the forecasts of the steps after that; of one with a look-back `window` (R, L, I), what
    it was last fed: each of its forecasts begins with the initial state L steps ago.
    """

    def __init__(self, fleet: Fleet, model: Model, capacity: int) -> None:
        self.fleet = fleet
        self.recipe = model.manifest.recipe
        self.layout = InputLayout.of(fleet.features, model.manifest.rows, self.recipe)
        self.use(model)
        features, forecast = len(fleet.features), len(self.layout.forecast)
        manifest = model.manifest
        self._look_back, self._decode_steps = manifest.look_back, manifest.decode_steps
        optional = (
            Column("ahead", "<f8", (self._decode_steps - 1, forecast), np.nan),
            Column("window", "<f4", (self.layout.row_count, self._look_back, self.layout.input_size)),
        )
        spec = (
            Column("state", "<f4", (self.layout.row_count, self.engine.state_size)),
            Column("stats", "<f8", (features, STATS)),
            Column("next", "<f8", (forecast,), np.nan),
            Column("warm", "<i4"),
            Column("square_error", "<f8", (forecast,)),
            Column("square_last", "<f8", (forecast,)),
            Column("scored", "<f8", (forecast,)),
            *(column for column in optional if 0 not in column.tail),
        )
        self.columns = Columns(spec, capacity, blocks={"scores": SCORES})
        self.broken_total = 0

    def use(self, model: Model) -> None:
        """Take other weights of the same shape; hidden states stay."""
        self.model = model
        self.engine = engine_for(model)
        self._since_use = np.zeros((3, len(self.layout.forecast)))  # Σ squares, Σ squares of persistence, steps
        self._begin = self.engine.initial_state(self.layout.row_count)

    @property
    def version(self) -> str:
        """The model's version."""
        return self.model.manifest.version

    def ready(self, slots: Int64, x: Float64) -> Bool:
        """Whether the model's forecasts of these streams may be published: warm, and finite (N,).

        Args:
            slots: Streams that were just stepped.
            x: Their values as fed (N, F): a feature that never came, NaN, keeps a tolerant fleet from nothing.
        """
        warm = self.columns["warm"][slots] >= self.model.manifest.warmup_steps
        finite: Bool = np.isfinite(self.columns["next"][slots])
        told = finite
        if self.fleet.tolerant and np.count_nonzero(finite) < finite.size:
            told = (finite | np.isnan(x[:, self.layout.forecast])) & finite.any(axis=1, keepdims=True)
        return np.asarray(warm & told.all(axis=1))

    @property
    def since_use(self) -> tuple[float, float]:
        """Steps since these weights came (mean over the features), and their skill over them."""
        error, last, count = self._since_use
        by_feature = skill(error, last)
        moving = ~np.isnan(by_feature)
        return float(count.mean()), float(by_feature[moving].mean()) if moving.any() else 0.0

    def forget_scores(self) -> None:
        """Begin to judge anew: what other weights did, and what they said of the coming step, says nothing of these."""
        self.columns["next"][:] = np.nan
        for name in SCORES:
            self.columns[name][:] = 0.0

    def step(self, steps: Steps) -> tuple[Float64, Trace]:
        """Take one step with each stream. Returns the values as fed (N, F): absent ones are the model's own."""
        slots, columns = steps.slots, self.columns
        previous = steps.last
        if np.count_nonzero(steps.fresh):
            self._begin_anew(slots[steps.fresh])
            previous = np.where(steps.fresh[:, None], np.nan, previous)
        if np.count_nonzero(steps.gap):
            previous = self._bridge(steps, previous)
        x = self._fill(steps, previous)
        consecutive = (steps.gap == 0) & ~steps.fresh
        measured = np.where(steps.seen, steps.last, np.nan)
        stats = observe(columns["stats"][slots], measured, steps.values, consecutive, self.recipe)
        columns["stats"][slots] = stats
        state = columns["state"][slots]
        inputs = build_inputs(stats, x, previous, steps.at + self.fleet.period_ns, self.layout, self.recipe)
        following = self._forward(slots, inputs, state)
        origin, s = meaning(stats, x, self.recipe)
        self._keep_forecasts(slots, following, origin, s)
        columns["warm"][slots] += 1
        if self._look_back:  # until the window is full, there is no forecast
            columns["next"][slots[columns["warm"][slots] < self._look_back]] = np.nan
        return x, Trace(slots, inputs, state, origin, s, steps)

    def peek(self, slots: Int64, x: Float64, last: Float64, at: Int64, horizon: int) -> Float64:
        """Forecasts (N, horizon, G) in closed loop, each fed back as if it were measured; nothing is changed.

        Args:
            slots: Streams that were just stepped.
            x: Their values as fed (N, F); inputs that are not forecast stay as they are.
            last: Values one tick earlier (N, F).
            at: Event time of `x` (N,).
            horizon: H ≥ 1. The first forecast is the one that `step` made.
        """
        columns, period = self.columns, self.fleet.period_ns
        if horizon == 1:
            return columns["next"][slots][:, None]
        out = np.full((len(slots), horizon, len(self.layout.forecast)), np.nan)
        out[:, 0] = columns["next"][slots]
        direct = min(horizon, self._decode_steps)
        if direct > 1:
            out[:, 1:direct] = columns["ahead"][slots][:, : direct - 1]
        if horizon == direct:
            return out
        stats = columns["stats"][slots]
        past = columns["window" if self._look_back else "state"][slots]
        for h in range(1, horizon):
            last, x = x, self._feed_back(x, out[:, h - 1])
            inputs = build_inputs(stats, x, last, at + (h + 1) * period, self.layout, self.recipe)
            y, past = self._rows_step(inputs, past)
            if h >= direct:
                origin, s = meaning(stats, x, self.recipe)
                out[:, h] = to_forecast(self._horizon_of(y, 0), origin, s, self.layout, self.recipe)
        return out

    def score(self, slots: Int64, error: Float64, step: Float64, decay: float) -> None:
        """Add one step's errors (N, G), NaN = not to be scored, to the discounted sums.

        Args:
            slots: Streams.
            error: Observed minus this model's forecast.
            step: Observed minus last value.
            decay: Factor on the older terms.
        """
        counts = ~np.isnan(error)
        terms = np.ones((len(slots), len(SCORES), error.shape[1]))  # in the order of the columns
        np.minimum(error * error, LARGEST, out=terms[:, 0])
        np.minimum(step * step, LARGEST, out=terms[:, 1])
        self._since_use += np.where(counts[:, None], terms, 0.0).sum(axis=0)
        add_terms(self.columns.block("scores"), slots, terms, counts, decay)

    def _begin_anew(self, slots: Int64) -> None:
        if len(slots):
            self.columns["state"][slots] = self._begin
            self.columns["warm"][slots] = 0
            self.columns["next"][slots] = np.nan
            if self._look_back:
                self.columns["window"][slots] = 0.0

    def _fill(self, steps: Steps, previous: Float64) -> Float64:
        """Absent features are the model's own forecast, or the last value where there is none."""
        absent = np.isnan(steps.values)
        if not np.count_nonzero(absent):
            return steps.values
        own = np.where(np.isnan(previous), steps.last, previous)
        forecast = self.columns["next"][steps.slots]
        g = self.layout.forecast
        own[:, g] = np.where(np.isnan(forecast), own[:, g], forecast)
        return np.where(absent, own, steps.values)

    def _bridge(self, steps: Steps, previous: Float64) -> Float64:
        """Roll streams through their gaps in closed loop, state and all; returns their last values then (N, F)."""
        previous = previous.copy()
        gap = np.where(steps.fresh, 0, steps.gap)
        for g in range(int(gap.max(initial=0))):
            rows = np.flatnonzero(gap > g)
            slots = steps.slots[rows]
            last, stats = previous[rows], self.columns["stats"][slots]
            x = self._feed_back(last, self.columns["next"][slots])
            target = steps.last_at[rows] + (g + 2) * self.fleet.period_ns
            inputs = build_inputs(stats, x, last, target, self.layout, self.recipe)
            y = self._forward(slots, inputs, self.columns["state"][slots])
            self._keep_forecasts(slots, y, *meaning(stats, x, self.recipe))
            previous[rows] = x
        return previous

    def _feed_back(self, x: Float64, forecast: Float64) -> Float64:
        fed = x.copy()
        g = self.layout.forecast
        fed[:, g] = np.where(np.isnan(forecast), fed[:, g], forecast)
        return fed

    def _keep_forecasts(self, slots: Int64, y: Float32, origin: Float64, s: Float64) -> None:
        """What the outputs (N, R, D·O) say of the next step and, with a decoder, of those after it."""
        for k in range(self._decode_steps):
            wider = widen(self.recipe, k + 1)
            forecast = to_forecast(self._horizon_of(y, k), origin, s, self.layout, wider)
            if k == 0:
                self.columns["next"][slots] = forecast
            else:
                self.columns["ahead"][slots, k - 1] = forecast

    def _horizon_of(self, y: Float32, k: int) -> Float32:
        width = self.layout.output_size
        return y if self._decode_steps == 1 else y[:, :, k * width : (k + 1) * width]

    def _forward(self, slots: Int64, inputs: Float32, state: Float32) -> Float32:
        """Step and keep the states; a state that is no longer finite begins anew and is counted."""
        kept = "window" if self._look_back else "state"
        y, after = self._rows_step(inputs, self.columns["window"][slots] if self._look_back else state)
        self.columns[kept][slots] = after
        finite, finite_y = np.isfinite(after), np.isfinite(y)
        if np.count_nonzero(finite) < after.size or np.count_nonzero(finite_y) < y.size:
            rest = tuple(range(1, after.ndim))
            sound: Bool = np.asarray(finite.all(axis=rest) & finite_y.all(axis=(1, 2)))
            self.broken_total += int((~sound).sum())
            self._begin_anew(slots[~sound])
            y = np.where(sound[:, None, None], y, np.float32(np.nan))
        return y

    def _rows_step(self, inputs: Float32, past: Float32) -> tuple[Float32, Float32]:
        """(N, R, I) and what is kept of the past, to (N, R, O) and what is to be kept: the engine knows rows only.

        The past is the state (N, R, S), or with a look-back the last inputs (N, R, L, I).
        """
        n, r = inputs.shape[:2]
        if self._look_back:
            window = np.concatenate([past[:, :, 1:], inputs[:, :, None]], axis=2)
            steps = np.ascontiguousarray(window.reshape(n * r, self._look_back, -1).swapaxes(0, 1))
            y, _ = self.engine.sequence(steps, self.engine.initial_state(n * r))
            return y[-1].reshape(n, r, -1), window
        y, after = self.engine.step(inputs.reshape(n * r, -1), past.reshape(n * r, -1))
        return y.reshape(n, r, -1), after.reshape(n, r, -1)
