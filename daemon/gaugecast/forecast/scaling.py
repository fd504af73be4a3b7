"""The input recipe: running statistics of a stream, what the model is fed, and what its output means.

Pure functions over gathered rows of streams, one row a stream, all in float64 up to the model's edge. A round has
`N` streams with `F` features, of which `Ff` are forecast; the model sees `R` rows a stream (`Ff`, or 1 when joint)
of `I` inputs, and gives `O` outputs a row, so that `R·O = Ff`.

The target is the next difference over its running scale, so an output of zero is persistence: a model that knows
nothing is safe. (Recipes of the other kinds, for models trained as the tutorials do, have the level itself as
target.) Everything is element-wise on C-contiguous arrays: a row's result depends on nothing but the row,
to the bit. Only `sin`, `cos` and `log1p` lean on NumPy's vector kernels, and a test holds those to it; the other
operations are exactly rounded everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from gaugecast.fleet import Feature, Rows, forecast_places
from gaugecast.model.manifest import Recipe
from gaugecast.records import Bool, Float32, Float64, Int64

#: Statistics a feature: the columns below.
STATS = 6
_STEPS, _SQUARE, _LONG, _SEEN, _MEAN, _VARIANCE = range(STATS)
# differences seen · their mean square · their long-run mean size · values seen · mean and variance of the level

#: Larger values enter the arithmetic as this one: its square is finite, and so are sums of such squares.
_HUGE = 1e150
#: Inputs are cut at so many scales before they are squashed; no sensor's ordinary move comes near.
_INPUT_CLIP = 100.0
#: A level is not clipped, but float32 must hold it, its square and sums of such.
_LEVEL_LIMIT = 1e15
#: Half-life of the floor's mean |difference|, in half-lives of the scale: a sensor may lie flat for long.
_LONG_RUN = 10.0
#: The first values count with rate c / (n + c): c = 2 forgets a bad start like 1/n², a plain mean (c = 1) like 1/n.
_START = 2.0

_DAY_NS = 86_400 * 10**9
_WEEK_NS = 7 * _DAY_NS
_MONDAY_NS = 3 * _DAY_NS  # 1970-01-01 was a Thursday: so far after a Monday
_CLOCK = 6
_TURNS = np.array([[2.0 * np.pi / _DAY_NS], [2.0 * np.pi / _WEEK_NS]])


@dataclass(frozen=True, slots=True)
class InputLayout:
    """Which features go where in the model's rows.

    Attributes:
        per_feature: One row for each forecast feature, else one joint row a stream.
        row_count: R, model rows a stream.
        input_size: I, inputs a row.
        output_size: O, outputs a row.
        forecast: Positions among the fleet's features of the forecast ones, in the outputs' order; Int64 (Ff,).
        fed: Positions of the features that are fed to every row: the role `input`, or all when joint.
    """

    per_feature: bool
    row_count: int
    input_size: int
    output_size: int
    forecast: Int64 = field(compare=False)
    fed: Int64 = field(compare=False)

    @classmethod
    def of(cls, features: Sequence[Feature], rows: Rows, recipe: Recipe) -> InputLayout:
        """Lay out the fleet's features; the order of inputs in a row is own, clock, fed, identity."""
        forecast = np.array(forecast_places(features), np.int64)
        per_feature = rows == "per_feature"
        fed = np.array([i for i, f in enumerate(features) if not per_feature or f.role == "input"], np.int64)
        pair = 2 if recipe.kind == "difference" and recipe.level else 1
        size = pair * (len(fed) + per_feature) + _CLOCK * recipe.clock
        size += len(forecast) * (recipe.identity and per_feature)
        count = len(forecast) if per_feature else 1
        return cls(per_feature, count, size, len(forecast) // count if count else 0, forecast, fed)


def default_recipe(period_ns: int) -> Recipe:
    """The recipe of new models for streams of this period: statistics with a half-life of about seven days.

    At least 168 steps, since fewer are a poor estimate; at most 10,080 (seven days of minutes), since a stream of
    seconds would else take months to forget a bad beginning.
    """
    return Recipe(half_life_steps=min(max(7 * _DAY_NS / period_ns, 168.0), 10_080.0))


def initial_stats(n: int, features: int) -> Float64:
    """Statistics of `n` streams of which nothing is known, (n, features, STATS)."""
    return np.zeros((n, features, STATS))


def observe(stats: Float64, previous: Float64, x: Float64, consecutive: Bool, recipe: Recipe) -> Float64:
    """New statistics (N, F, STATS) after seeing `x`.

    Args:
        stats: (N, F, STATS); left as it is.
        previous: Last values (N, F), NaN where there is none.
        x: Values (N, F); NaN leaves that feature's statistics alone.
        consecutive: (N,), whether `x` is one tick after `previous`; else the difference is no evidence.
        recipe: Half-life, floor, and the clip, in scales, above which a move counts as an outlier.
    """
    after = stats.copy()
    x, difference = _bounded(x, previous)
    _observe_difference(after, difference, np.isfinite(difference) & consecutive[:, None], scale(stats, recipe), recipe)
    _observe_level(after, x, np.isfinite(x), recipe)
    return after


def scale(stats: Float64, recipe: Recipe) -> Float64:
    """The scale s (N, F) of a feature's differences: running root mean square, floored; 0 where none has moved.

    The floor is a share of the long-run mean |difference|: without it a sensor that lay flat blows up all that
    is divided by s.
    """
    s = np.sqrt(stats[..., _SQUARE])
    return np.maximum(s, recipe.floor * stats[..., _LONG], out=s)


def build_inputs(
    stats: Float64, x: Float64, previous: Float64, for_ns: Int64, layout: InputLayout, recipe: Recipe
) -> Float32:
    """The model's inputs (N, R, I), finite for whatever finite values come.

    Args:
        stats: Statistics after `observe` of `x`, (N, F, STATS).
        x: Values (N, F); features never seen are NaN and give zeros.
        previous: Values one tick earlier (N, F); NaN (also after a reset) gives a difference of zero.
        for_ns: Instant that the forecast is for, (N,): the clock inputs are the target's.
        layout: Of the same features and recipe.
        recipe: Which inputs there are, and whether they are squashed.
    """
    parts = _fed_parts(stats, x, previous, recipe)
    out = np.zeros((len(x), layout.row_count, layout.input_size), np.float32)
    at = 0
    if layout.per_feature:
        for part in parts:
            out[:, :, at] = part[:, layout.forecast]
            at += 1
    if recipe.clock:
        out[:, :, at : at + _CLOCK] = _clock(for_ns)[:, None, :]
        at += _CLOCK
    if len(layout.fed):
        for part in parts:
            out[:, :, at : at + len(layout.fed)] = part[:, None, layout.fed]
            at += len(layout.fed)
    if recipe.identity and layout.per_feature:
        out[:, :, at:] = np.eye(layout.row_count, dtype=np.float32)
    return out


def meaning(stats: Float64, x: Float64, recipe: Recipe) -> tuple[Float64, Float64]:
    """What outputs mean: the forecast is origin + spread·y, both (N, F), in the sensors' units.

    For `difference` that is the last value and the scale of its moves, else centre and spread of the level. The
    origin of a feature never seen is NaN; a running spread of a constant series is 0, its origin that constant.
    """
    if recipe.kind == "difference":
        return x, scale(stats, recipe)
    centre, spread = _centre_spread(stats, recipe)
    return np.where(np.isnan(x), np.nan, centre), np.broadcast_to(spread, x.shape)


def to_forecast(y: Float32, origin: Float64, s: Float64, layout: InputLayout, recipe: Recipe) -> Float64:
    """Forecasts (N, Ff) in the sensors' units: where `meaning` begins, plus what the outputs mean.

    Args:
        y: Outputs (N, R, O).
        origin: The first of `meaning` (N, F); NaN, as of a feature never seen, stays NaN.
        s: The second of `meaning` (N, F); where 0, the forecast is `origin` itself, to the bit.
        layout: Of the same features and recipe.
        recipe: Clips of target and move, in scales, of the kind `difference`; a level is never clipped.
    """
    move = y.reshape(len(origin), len(layout.forecast)).astype(np.float64)
    if recipe.kind == "difference":
        bound = min(recipe.target_clip, recipe.move_clip)
        np.minimum(move, bound, out=move)
        np.maximum(move, -bound, out=move)
    move *= s[:, layout.forecast]
    move += origin[:, layout.forecast]
    return move


def widen(recipe: Recipe, horizon: int) -> Recipe:
    """The recipe of a forecast several steps ahead: as many moves as steps may add up."""
    if horizon == 1:
        return recipe
    return replace(recipe, target_clip=horizon * recipe.target_clip, move_clip=horizon * recipe.move_clip)


def to_target(x_next: Float64, origin: Float64, s: Float64, layout: InputLayout, recipe: Recipe) -> Float32:
    """What the model should have given (N, R, O), inverse of `to_forecast`; NaN where there is nothing to learn from.

    That is where either value is absent, and where the scale is 0: there no output changes the forecast.
    """
    _, difference = _bounded(x_next[:, layout.forecast], origin[:, layout.forecast])
    limit = recipe.target_clip if recipe.kind == "difference" else _LEVEL_LIMIT
    target = _over(difference, s[:, layout.forecast], limit)
    target[s[:, layout.forecast] <= 0.0] = np.nan
    return target.astype(np.float32).reshape(len(origin), layout.row_count, layout.output_size)


def _centre_spread(stats: Float64, recipe: Recipe) -> tuple[Float64, Float64]:
    """Of the level, (F,) as fitted or (N, F) as running."""
    if recipe.kind == "running":
        return stats[..., _MEAN], np.maximum(np.sqrt(stats[..., _VARIANCE]), scale(stats, recipe))
    return np.array(recipe.centre), np.array(recipe.spread)


def _fed_parts(stats: Float64, x: Float64, previous: Float64, recipe: Recipe) -> Float64:
    """What is fed of each feature (P, N, F), squashed where the recipe says so; zero where not known."""
    if recipe.kind == "difference":
        both = _normalise(stats, x, previous, recipe)
        return both if recipe.level else both[1:]
    x, _ = _bounded(x, previous)
    centre, spread = _centre_spread(stats, recipe)
    level = _over(x - centre, np.broadcast_to(spread, x.shape), _LEVEL_LIMIT)
    level[~np.isfinite(level)] = 0.0
    return (_squashed(level) if recipe.squash else level)[None]


def _observe_difference(after: Float64, difference: Float64, fresh: Bool, s: Float64, recipe: Recipe) -> None:
    """Put differences (N, F) into the statistics, in place, where `fresh`; moves beyond the clip count as the clip."""
    limit = np.where(s > 0.0, recipe.clip_sigma * s, _HUGE)
    size = np.where(fresh, np.minimum(np.abs(difference), limit), 0.0)
    steps = after[..., _STEPS]
    start = _START / (steps + _START)
    square, long = after[..., _SQUARE], after[..., _LONG]
    square += np.maximum(start, _rate(recipe.half_life_steps)) * fresh * (size * size - square)
    long += np.maximum(start, _rate(recipe.half_life_steps * _LONG_RUN)) * fresh * (size - long)
    steps += fresh


def _observe_level(after: Float64, x: Float64, seen: Bool, recipe: Recipe) -> None:
    """Put values (N, F) into mean and variance of the level, in place, where `seen`."""
    mean, variance, count = after[..., _MEAN], after[..., _VARIANCE], after[..., _SEEN]
    limit = recipe.clip_sigma * np.sqrt(variance)
    limit[limit == 0.0] = 2.0 * _HUGE
    deviation = np.where(seen, x, mean) - mean
    np.minimum(deviation, limit, out=deviation)
    np.maximum(deviation, -limit, out=deviation)
    rate = np.maximum(_START / (count + _START), _rate(recipe.half_life_steps)) * seen
    mean += rate * deviation
    variance += rate * deviation * deviation
    variance -= rate * variance
    count += seen


def _normalise(stats: Float64, x: Float64, previous: Float64, recipe: Recipe) -> Float64:
    """Levels and moves (2, N, F) in their running scales, squashed; zero where not known."""
    x, difference = _bounded(x, previous)
    s = scale(stats, recipe)
    both = np.empty((2, *x.shape))
    both[0] = _over(x - stats[..., _MEAN], np.maximum(np.sqrt(stats[..., _VARIANCE]), s), _INPUT_CLIP)
    both[1] = _over(difference, s, _INPUT_CLIP)
    both[~np.isfinite(both)] = 0.0
    return _squashed(both) if recipe.squash else both


def _squashed(x: Float64) -> Float64:
    """sign(x)·log1p(|x|), new."""
    size = np.abs(x)
    np.log1p(size, out=size)
    return np.copysign(size, x, out=size)


def _clock(for_ns: Int64) -> Float64:
    """Where instants (N,) stand in day (two harmonics) and week (one), (N, 6)."""
    turns = np.empty((2, len(for_ns)))
    turns[0] = np.remainder(for_ns, _DAY_NS)
    turns[1] = np.remainder(for_ns + _MONDAY_NS, _WEEK_NS)
    turns *= _TURNS
    sin, cos = np.sin(turns), np.cos(turns)
    out = np.empty((len(for_ns), _CLOCK))
    out[:, 0], out[:, 1] = sin[0], cos[0]
    out[:, 2], out[:, 3] = 2.0 * sin[0] * cos[0], 1.0 - 2.0 * sin[0] * sin[0]  # double angle
    out[:, 4], out[:, 5] = sin[1], cos[1]
    return out


def _bounded(x: Float64, previous: Float64) -> tuple[Float64, Float64]:
    """`x` and its difference to `previous`, both cut where their squares would overflow; NaN stays."""
    x = np.maximum(np.minimum(x, _HUGE), -_HUGE)
    return x, x - np.maximum(np.minimum(previous, _HUGE), -_HUGE)


def _over(value: Float64, s: Float64, limit: float) -> Float64:
    """`value / s` within ±`limit`, without overflow; 0 where `s` is 0."""
    bound = limit * s
    cut = np.maximum(np.minimum(value, bound), -bound)
    return np.divide(cut, s, out=cut, where=s > 0.0)


@lru_cache
def _rate(half_life: float) -> float:
    """Weight of the newest value, so that a value counts half after `half_life` more."""
    return float(-np.expm1(-np.log(2.0) / half_life))
