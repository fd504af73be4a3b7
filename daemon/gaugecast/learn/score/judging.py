"""Figures of a trained model, from the daemon's own code: each part is stepped through `Expert`, row after row."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gaugecast.fleet import Fleet
from gaugecast.forecast.expert import Expert, Steps
from gaugecast.learn.fit.batches import Span
from gaugecast.learn.history.recording import Recording
from gaugecast.learn.score.baselines import persistence, season_of_day, seasonal
from gaugecast.learn.score.course import Course, errors_ahead
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
        skill_seasonal: The same against the value a season ago; `None` where no rows are so far apart.
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
class JudgedPart:
    """One part: its figures by horizon, and the first stream's course with the forecasts made on it (T, H, G)."""

    part: str
    rows: int
    horizons: list[HorizonFigures]
    course: Course
    forecasts: Float64
    counted: slice

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
    spans: Mapping[str, Span],
    *,
    horizon: int,
    season: int,
    measure: Yardstick,
    tick: Callable[[int], None] = lambda _: None,
) -> dict[str, JudgedPart]:
    """Step the parts of each stream through the daemon's expert; a part without rows is left out.

    Args:
        model: Weights.
        fleet: What they forecast.
        recording: The history.
        spans: Rows that are scored, by the part's name; some before them warm up.
        horizon: Steps ahead.
        season: Steps of the seasonal naive forecast; 0 = a day's.
        measure: Units of the overall figures.
        tick: Called after each stream with how many are done.
    """
    season = season or season_of_day(fleet.period_ns) or 0
    tallies = {part: _Tally([[] for _ in range(horizon)]) for part in spans}
    with_season: set[str] = set()
    for number, stream in enumerate(recording.streams[:MOST_STREAMS], 1):
        bounds = {part: _scored(part, span.rows(recording.rows(stream))) for part, span in spans.items()}
        bounds = {part: (low, high) for part, (low, high) in bounds.items() if high > max(low, 1)}
        pieces = [(max(low - WARM_ROWS, 0), high) for low, high in bounds.values()]
        walked = walk(model, fleet, recording, stream, pieces, horizon=horizon)
        for (part, (low, high)), (first, _), (course, forecasts) in zip(bounds.items(), pieces, walked, strict=True):
            base = seasonal(course, horizon, season) if season else persistence(course, horizon)
            tallies[part].add(course, forecasts, base, slice(low - first, high - first))
            if 0 < season <= course.tick[-1]:
                with_season.add(part)
        tick(number)
    names = [feature.name for feature in fleet.forecast_features]
    return {
        part: tally.judged(part, names, measure, has_season=part in with_season)
        for part, tally in tallies.items()
        if tally.shown is not None
    }


def _scored(part: str, rows: tuple[int, int]) -> tuple[int, int]:
    """Rows of a part that are scored: of many, those next to what the part borders on."""
    low, high = rows
    if high - low <= MOST_ROWS:
        return low, high
    return (high - MOST_ROWS, high) if part == "train" else (low, low + MOST_ROWS)


@dataclass(slots=True)
class _Tally:
    """Errors of one part, by horizon: of the model, of the last value, of the base forecast."""

    pairs: list[list[tuple[Float64, Float64, Float64]]]
    shown: tuple[Course, Float64, slice] | None = None
    rows: int = 0

    def add(self, course: Course, forecasts: Float64, base: Float64, counted: slice) -> None:
        self.shown = self.shown or (course, forecasts, counted)
        self.rows += counted.stop - counted.start
        for h, own in enumerate(self.pairs, 1):
            error, last = errors_ahead(course, forecasts, h, counted)
            own.append((error, last, errors_ahead(course, base, h, counted)[0]))

    def judged(self, part: str, names: Sequence[str], measure: Yardstick, *, has_season: bool) -> JudgedPart:
        assert self.shown is not None
        by_horizon = [
            _figures(h, [np.concatenate(p) for p in zip(*own, strict=True)], names, measure, has_season)
            for h, own in enumerate(self.pairs, 1)
        ]
        return JudgedPart(part, self.rows, by_horizon, *self.shown)


def walk(
    model: Model, fleet: Fleet, recording: Recording, stream: str, pieces: Sequence[tuple[int, int]], *, horizon: int
) -> list[tuple[Course, Float64]]:
    """Pieces of one stream through `Expert`, side by side: of each its course, and the forecasts after each row.

    Args:
        model: Weights.
        fleet: What they forecast.
        recording: The history.
        stream: Whose rows.
        pieces: First row and last but one of each.
        horizon: H; forecasts are (T, H, G). Farther ones are made at some origins only where there are many; the
            others are NaN.
    """
    read = [recording.read(stream, first, stop) for first, stop in pieces]
    expert = Expert(fleet, model, max(len(read), 1))
    columns = expert.layout.forecast
    out = [np.full((len(at), horizon, len(columns)), np.nan) for at, _ in read]
    every = np.array([max(1, -(-len(at) * (horizon - 1) // MOST_PEEKS)) for at, _ in read])
    width = recording.features
    last, seen = np.full((len(read), width), np.nan), np.zeros((len(read), width), bool)
    for t in range(max((len(at) for at, _ in read), default=0)):
        slots = np.array([i for i, (at, _) in enumerate(read) if t < len(at)], np.int64)
        at = np.array([read[i][0][t] for i in slots])
        before = np.array([read[i][0][max(t - 1, 0)] for i in slots])
        values = np.stack([read[i][1][t] for i in slots])
        gap = np.maximum((at - before) // fleet.period_ns - 1, 0)
        fresh = (gap > fleet.bridge) | (t == 0)
        x, _ = expert.step(Steps(slots, values, last[slots], seen[slots], at, before, gap, fresh))
        far = (t % every[slots] == 0) & (horizon > 1)
        ahead = expert.peek(slots[far], x[far], last[slots[far]], at[far], horizon) if far.any() else ()
        following = expert.columns["next"]
        for i in slots.tolist():
            out[i][t, 0] = following[i]
        for i, made in zip(slots[far].tolist(), ahead, strict=True):
            out[i][t] = made
        last[slots], seen[slots] = x, ~np.isnan(values)
    return [
        (Course(stream, at, (at - at[:1]) // fleet.period_ns, values[:, columns]), made)
        for (at, values), made in zip(read, out, strict=True)
    ]


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
