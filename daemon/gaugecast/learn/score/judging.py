"""Figures of a trained model, from the daemon's own code: each part is stepped through `Expert`, row after row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gaugecast.fleet import Fleet
from gaugecast.forecast.expert import Expert, Steps
from gaugecast.learn.fit.batches import Span
from gaugecast.learn.history.recording import Recording
from gaugecast.learn.score.baselines import season_of_day, seasonal
from gaugecast.learn.score.course import Course, errors_ahead
from gaugecast.learn.score.figures import Errors, Score, score_errors
from gaugecast.model import Model
from gaugecast.records import Float32, Float64, Int64

#: Rows before a part that warm state and statistics up.
WARM_ROWS = 1500
#: Most rows of one part of one stream that are scored, and most streams.
MOST_ROWS = 15_000
MOST_STREAMS = 16
#: Most closed-loop steps a part: origins are thinned out where there would be more.
MOST_PEEKS = 40_000


@dataclass(frozen=True, slots=True, eq=False)
class JudgedPart:
    """One part: its figures by horizon, and the first stream's course with the forecasts made on it (T, H, G)."""

    rows: int
    horizons: list[Score]
    course: Course
    forecasts: Float64
    counted: slice

    def to_json(self) -> dict[str, Any]:
        """For metrics.json."""
        return {"rows": self.rows, "horizons": [h.to_json() for h in self.horizons]}


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
            base = seasonal(course, horizon, season) if season else None
            tallies[part].add(course, forecasts, base, slice(low - first, high - first))
            if 0 < season <= course.tick[-1]:
                with_season.add(part)
        tick(number)
    names = [feature.name for feature in fleet.forecast_features]
    return {
        part: tally.judged(names, measure, has_season=part in with_season)
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
    """Errors of one part, by horizon and stream."""

    errors: list[list[Errors]]
    shown: tuple[Course, Float64, slice] | None = None
    rows: int = 0

    def add(self, course: Course, forecasts: Float64, base: Float64 | None, counted: slice) -> None:
        self.shown = self.shown or (course, forecasts, counted)
        self.rows += counted.stop - counted.start
        for h, own in enumerate(self.errors, 1):
            season = None if base is None else errors_ahead(course, base, h, counted)[0]
            own.append(Errors(*errors_ahead(course, forecasts, h, counted), season))

    def judged(self, names: Sequence[str], measure: Yardstick, *, has_season: bool) -> JudgedPart:
        assert self.shown is not None
        by_horizon = []
        for h, own in enumerate(self.errors, 1):
            errors, last, seasons = zip(*own, strict=True)
            season = np.concatenate(seasons) if has_season else None
            found = Errors(np.concatenate(errors), np.concatenate(last), season)
            by_horizon.append(
                score_errors(found, names, horizon=h, deviation=measure.deviation, step_mae=measure.last_value_mae)
            )
        return JudgedPart(self.rows, by_horizon, *self.shown)


def walk(
    model: Model,
    fleet: Fleet,
    recording: Recording,
    stream: str,
    pieces: Sequence[tuple[int, int]],
    *,
    horizon: int,
    states: list[Float32] | None = None,
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
        states: Gets the first piece's states (R, S) after each row.
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
        if states is not None and slots[0] == 0:
            states.append(expert.columns["state"][0].copy())
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


def _tail(recording: Recording, stream: str, span: Span) -> Float64:
    low, high = span.rows(recording.rows(stream))
    return recording.read(stream, max(low, high - 200_000), high)[1]
