"""Figures of a trained model, from the daemon's own code: each part is stepped through `Expert`, row after row."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from gaugecast.fleet import Fleet
from gaugecast.forecast.expert import Expert, Steps
from gaugecast.learn.baselines import persistence, season_of_day, seasonal
from gaugecast.learn.score import Course, errors_ahead
from gaugecast.learn.train.batches import Span
from gaugecast.learn.train.recording import Recording
from gaugecast.model import Model
from gaugecast.records import Float64, Int64

#: Rows before a part that warm state and statistics up.
WARM_ROWS = 1500
#: Most rows of one part of one stream that are scored, and most streams.
MOST_ROWS = 15_000
MOST_STREAMS = 16
#: Most closed-loop steps a part: origins are thinned out where there would be more.
MOST_PEEKS = 40_000


@dataclass(frozen=True, slots=True)
class Figures:
    """Errors of one feature, or the mean over the features in units of the training part's deviation.

    Attributes:
        mase: MAE over that of repeating the last value within the training part.
        skill: 1 − MSE / MSE of persistence; `None` where nothing moved.
        skill_seasonal: The same against the value a season ago; `None` without a season.
    """

    count: int
    mse: float
    mae: float
    rmse: float
    mase: float | None
    skill: float | None
    skill_seasonal: float | None


@dataclass(frozen=True, slots=True)
class HorizonFigures:
    """Figures of one horizon."""

    horizon: int
    overall: Figures
    per_feature: dict[str, Figures]


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """One part: its figures by horizon, and the first stream's course with the forecasts made on it (T, H, G)."""

    part: str
    rows: int
    horizons: list[HorizonFigures]
    course: Course
    forecasts: Float64
    counted: slice
    microseconds_per_step: float = field(default=0.0)

    def to_json(self) -> dict[str, Any]:
        """For metrics.json."""
        return {"rows": self.rows, "horizons": [asdict(h) for h in self.horizons]}


@dataclass(frozen=True, slots=True)
class Yardstick:
    """What errors are measured by, from the training part: (G,) each."""

    deviation: Float64
    last_value_mae: Float64


def yardstick(recording: Recording, span: Span, columns: Int64) -> Yardstick:
    """Deviation of each forecast feature, and how far it moves in one step; the last rows of the part stand for it."""
    values = [_tail(recording, stream, span)[:, columns] for stream in recording.streams[:MOST_STREAMS]]
    everything = np.concatenate(values)
    moves = np.concatenate([np.abs(np.diff(v, axis=0)) for v in values])
    with np.errstate(all="ignore"):
        deviation = np.nanstd(everything, axis=0) if len(everything) else np.ones(len(columns))
        mae = np.nanmean(moves, axis=0) if len(moves) else np.zeros(len(columns))
    return Yardstick(np.where(deviation > 0, deviation, 1.0), np.nan_to_num(mae))


def judge(
    model: Model,
    fleet: Fleet,
    recording: Recording,
    part: str,
    span: Span,
    *,
    horizon: int,
    season: int,
    measure: Yardstick,
    tick: Callable[[], None] | None = None,
) -> Judged | None:
    """Step one part of each stream through the daemon's expert; `None` where it has no row.

    Args:
        model: Weights.
        fleet: What they forecast.
        recording: The history.
        part: Its name.
        span: Rows that are scored; some before them warm up.
        horizon: Steps ahead.
        season: Steps of the seasonal naive forecast; 0 = a day's.
        measure: Units of the overall figures.
        tick: Called after each stream.
    """
    season = season or season_of_day(fleet.period_ns) or 0
    pairs: list[list[tuple[Float64, Float64, Float64]]] = [[] for _ in range(horizon)]
    shown: tuple[Course, Float64, slice] | None = None
    rows = 0
    for stream in recording.streams[:MOST_STREAMS]:
        low, high = span.rows(recording.rows(stream))
        if high - low > MOST_ROWS:
            low, high = (high - MOST_ROWS, high) if part == "train" else (low, low + MOST_ROWS)
        if high <= max(low, 1):
            continue
        first = max(low - WARM_ROWS, 0)
        course, forecasts = walk(model, fleet, recording, stream, first, high, horizon=horizon)
        counted = slice(low - first, high - first)
        shown = shown or (course, forecasts, counted)
        rows += high - low
        base = seasonal(course, horizon, season) if season else persistence(course, horizon)
        for h in range(1, horizon + 1):
            error, last = errors_ahead(course, forecasts, h, counted)
            pairs[h - 1].append((error, last, errors_ahead(course, base, h, counted)[0]))
        if tick is not None:
            tick()
    if shown is None:
        return None
    names = [feature.name for feature in fleet.features if feature.role == "forecast"]
    by_horizon = [
        _figures(h + 1, [np.concatenate(p) for p in zip(*own, strict=True)], names, measure, bool(season))
        for h, own in enumerate(pairs)
    ]
    return Judged(part, rows, by_horizon, *shown)


def walk(
    model: Model, fleet: Fleet, recording: Recording, stream: str, first: int, stop: int, *, horizon: int
) -> tuple[Course, Float64]:
    """One stream's rows through `Expert`: its course, and the forecasts made after each row (T, H, G).

    Farther horizons are forecast at some origins only where there are many; the others are NaN.
    """
    at, values = recording.read(stream, first, stop)
    expert = Expert(fleet, model, 1)
    columns = expert.layout.forecast
    out = np.full((len(at), horizon, len(columns)), np.nan)
    every = max(1, -(-len(at) * (horizon - 1) // MOST_PEEKS))
    slots = np.zeros(1, np.int64)
    last, seen = np.full((1, values.shape[1]), np.nan), np.zeros((1, values.shape[1]), bool)
    for t in range(len(at)):
        gap = 0 if t == 0 else int((at[t] - at[t - 1]) // fleet.period_ns) - 1
        fresh = t == 0 or gap > fleet.bridge
        steps = Steps(
            slots, values[t : t + 1], last, seen, at[t : t + 1], at[max(t - 1, 0) : max(t - 1, 0) + 1],
            np.array([gap]), np.array([fresh]),
        )  # fmt: skip
        x, _ = expert.step(steps)
        if horizon > 1 and t % every == 0:
            out[t] = expert.peek(slots, x, last, at[t : t + 1], horizon)[0]
        else:
            out[t, 0] = expert.columns["next"][0]
        last, seen = x, ~np.isnan(values[t : t + 1])
    tick = (at - at[0]) // fleet.period_ns
    return Course(stream, at, tick, values[:, columns]), out


def _figures(
    horizon: int, pairs: Sequence[Float64], names: Sequence[str], measure: Yardstick, has_season: bool
) -> HorizonFigures:
    error, last, base = pairs
    known = np.isfinite(error) & np.isfinite(last)
    per_feature = {
        name: _one(
            error[known[:, g], g], last[known[:, g], g], base[known[:, g], g], step_mae=measure.last_value_mae[g]
        )
        for g, name in enumerate(names)
    }
    scaled = [np.where(known, p / measure.deviation, np.nan) for p in (error, last, base)]
    unit = [_one(*(p[known[:, g], g] for p in scaled), step_mae=None) for g in range(len(names))]
    seen = [figures for figures in unit if figures.count]
    mases = [f.mase for f in per_feature.values() if f.mase is not None]
    mse, mae = (float(np.mean([getattr(f, k) for f in seen])) if seen else math.nan for k in ("mse", "mae"))
    with np.errstate(all="ignore"):
        bases = [float(np.mean(np.nanmean(np.square(p[:, known.any(axis=0)]), axis=0))) for p in scaled[1:]]
    overall = Figures(
        int(known.sum()), mse, mae, math.sqrt(mse) if mse == mse else math.nan,
        float(np.mean(mases)) if mases else None, _skill(mse, bases[0]), _skill(mse, bases[1]) if has_season else None,
    )  # fmt: skip
    if not has_season:
        per_feature = {n: Figures(**{**asdict(f), "skill_seasonal": None}) for n, f in per_feature.items()}
    return HorizonFigures(horizon, overall, per_feature)


def _one(error: Float64, last: Float64, base: Float64, *, step_mae: float | None) -> Figures:
    if not len(error):
        return Figures(0, math.nan, math.nan, math.nan, None, None, None)
    mse, mae = float(np.mean(np.square(error))), float(np.mean(np.abs(error)))
    mase = mae / step_mae if step_mae else None
    squares = [float(np.nanmean(np.square(p))) for p in (last, base)]
    return Figures(len(error), mse, mae, math.sqrt(mse), mase, _skill(mse, squares[0]), _skill(mse, squares[1]))


def _skill(mse: float, base: float) -> float | None:
    return 1.0 - mse / base if base > 0.0 and mse == mse else None


def _tail(recording: Recording, stream: str, span: Span) -> Float64:
    low, high = span.rows(recording.rows(stream))
    return recording.read(stream, max(low, high - 200_000), high)[1]
