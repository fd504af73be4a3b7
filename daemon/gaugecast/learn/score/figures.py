"""Figures of errors: of each feature, and their mean; the same for a backtest and for the parts of a training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from gaugecast.learn.score.course import Course, errors_ahead
from gaugecast.records import Float64


@dataclass(frozen=True, slots=True)
class Figures:
    """Errors of one feature, or the mean over the features in units of their deviations.

    Attributes:
        count: Forecasts held against a measurement.
        skill: 1 − MSE / MSE of persistence; `None` where nothing moved.
        skill_seasonal: The same against the value a season ago; `None` where no rows are so far apart.
        mase: MAE over that of repeating the last value within the training part; `None` where that is not known.
    """

    count: int
    mse: float
    mae: float
    skill: float | None = None
    skill_seasonal: float | None = None
    mase: float | None = None

    @property
    def rmse(self) -> float:
        """Root of the mean square error."""
        return math.sqrt(self.mse)

    def to_json(self) -> dict[str, Any]:
        """For metrics.json."""
        names = ("count", "mse", "mae", "rmse", "mase", "skill", "skill_seasonal")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class Score:
    """Figures of one forecaster at one horizon: the mean over the features, and each."""

    horizon: int
    overall: Figures
    per_feature: dict[str, Figures]

    def to_json(self) -> dict[str, Any]:
        """For metrics.json."""
        each = {name: figures.to_json() for name, figures in self.per_feature.items()}
        return {"horizon": self.horizon, "overall": self.overall.to_json(), "per_feature": each}


class Errors(NamedTuple):
    """Forecast minus measured (N, G), NaN = none: of the model, of the last value, of the value a season ago."""

    own: Float64
    last: Float64
    season: Float64 | None = None


def score(
    courses: Sequence[Course],
    forecasts: Sequence[Float64],
    names: Sequence[str],
    *,
    horizon: int,
    deviation: Float64,
    rows: slice = slice(None),
) -> Score:
    """Figures at one horizon, in units of `deviation`.

    Args:
        courses: The streams.
        forecasts: Made at each step of each of them (T, H, G).
        names: Of the G features.
        horizon: h from 1 to H.
        deviation: Unit of each feature's errors (G,).
        rows: Targets that count, as rows of each course.
    """
    pairs = [errors_ahead(c, f, horizon, rows) for c, f in zip(courses, forecasts, strict=True)]
    own, last = (np.concatenate(part) / deviation for part in zip(*pairs, strict=True))
    return score_errors(Errors(own, last), names, horizon=horizon, deviation=np.ones(len(names)))


def score_errors(
    errors: Errors, names: Sequence[str], *, horizon: int, deviation: Float64, step_mae: Float64 | None = None
) -> Score:
    """Figures of errors: each feature's as they are, their mean in units of `deviation` (G,).

    Args:
        errors: (N, G); rows without a forecast, or without a last value, do not count.
        names: Of the G features.
        horizon: Steps ahead of all of them.
        deviation: Of the features, in the errors' units.
        step_mae: What MAE is held against for `mase` (G,).
    """
    known = np.isfinite(errors.own) & np.isfinite(errors.last)
    each = [[None if part is None else part[known[:, g], g] for part in errors] for g in range(len(names))]
    per_feature = [_figures(*_means(parts)) for parts in each]
    if step_mae is not None:
        per_feature = [_with_mase(one, step) for one, step in zip(per_feature, step_mae.tolist(), strict=True)]
    unit = [_means([None if p is None else p / d for p in parts]) for parts, d in zip(each, deviation, strict=True)]
    overall = _mean_of([one for one in unit if one.n], int(known.sum()))
    mases = [one.mase for one in per_feature if one.mase is not None]
    if mases:
        overall = replace(overall, mase=float(np.mean(mases)))
    return Score(horizon, overall, dict(zip(names, per_feature, strict=True)))


class _Means(NamedTuple):
    """Mean squares and sizes of one feature's errors."""

    n: int
    mse: float
    mae: float
    last: float
    season: float | None


def _means(parts: Sequence[Float64 | None]) -> _Means:
    own, last, season = parts if len(parts) == 3 else (*parts, None)
    if own is None or last is None or not len(own):
        return _Means(0, math.nan, math.nan, 0.0, None)
    base = None if season is None else float(np.nanmean(np.square(season)))
    return _Means(
        len(own), float(np.mean(np.square(own))), float(np.mean(np.abs(own))), float(np.mean(np.square(last))), base
    )


def _figures(count: int, mse: float, mae: float, last: float, season: float | None) -> Figures:
    return Figures(count, mse, mae, _skill(mse, last), _skill(mse, season))


def _mean_of(features: Sequence[_Means], count: int) -> Figures:
    """Each feature weighs the same, however many values it has."""
    if not features:
        return Figures(count, math.nan, math.nan)
    mse, mae, last = (float(np.mean([getattr(one, key) for one in features])) for key in ("mse", "mae", "last"))
    seasons = [one.season for one in features if one.season is not None]
    return _figures(count, mse, mae, last, float(np.mean(seasons)) if seasons else None)


def _with_mase(one: Figures, step_mae: float) -> Figures:
    mase = one.mae / step_mae if step_mae and one.count else None
    return replace(one, mase=mase)


def _skill(mse: float, base: float | None) -> float | None:
    return 1.0 - mse / base if base is not None and base > 0.0 and mse == mse else None
