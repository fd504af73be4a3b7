"""History forecast as the daemon would have done it, learned from as it goes, and scored beside the baselines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from gaugecast.config.schema import Loop
from gaugecast.errors import ConfigError
from gaugecast.fleet import Fleet
from gaugecast.learn.backtest.lockstep import Lockstep
from gaugecast.learn.backtest.split import Split, most_rows
from gaugecast.learn.backtest.warmup import trained_on
from gaugecast.learn.score import baselines
from gaugecast.learn.score.course import Course, deviations
from gaugecast.learn.score.figures import Score, score
from gaugecast.model import Model
from gaugecast.records import Float64, Input

Learning = Literal["off", "lockstep"]


@dataclass(frozen=True, slots=True, eq=False)
class Forecaster:
    """What one model forecast: at each step of each stream, (T, H, G), and its figures by horizon.

    Attributes:
        model: `lstm`, `persistence`, `seasonal` or `rls`.
        learning: `off`, `lockstep`, or `beside`.
        start: `cold` or `warm-up` of the learned ones; `given` weights; empty of the others.
    """

    model: str
    learning: str
    start: str
    forecasts: list[Float64]
    scores: list[Score]


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """One backtest.

    Attributes:
        deviation: Unit of each feature's errors (G,).
        scored: Rows of each course that were scored.
        forecasters: The network first.
    """

    fleet: Fleet
    split: Split
    courses: list[Course]
    deviation: Float64
    scored: slice
    forecasters: list[Forecaster]

    @property
    def names(self) -> list[str]:
        """The forecast features."""
        return [f.name for f in self.fleet.forecast_features]

    def add(self, model: str, learning: str, start: str, forecasts: list[Float64]) -> Forecaster:
        """Score one more forecaster over the same rows."""
        scores = [
            score(self.courses, forecasts, self.names, horizon=h, deviation=self.deviation, rows=self.scored)
            for h in range(1, self.fleet.horizon + 1)
        ]
        made = Forecaster(model, learning, start, forecasts, scores)
        self.forecasters.append(made)
        return made


def without_waiting(fleet: Fleet) -> Fleet:
    """The same fleet with streams that are never called stale nor parked: history has no idle hours."""
    return replace(fleet, stale_after_ns=0, park_after_ns=0)


def backtest(
    fleet: Fleet,
    batches: Sequence[list[Input]],
    split: Split,
    *,
    model: Model | None = None,
    warm_up: bool = False,
    learning: Learning = "lockstep",
    units: tuple[int, ...] = (64,),
    seed: int = 0,
    limits: Loop | None = None,
    with_baselines: bool = True,
    progress: Callable[[int], None] = lambda _: None,
) -> Report:
    """Forecast every step of some history with the network, test-then-train, and score it beside the baselines.

    Args:
        fleet: What is forecast, and how far.
        batches: The history, in order of arrival.
        split: Which rows are scored, in which units.
        model: Weights to begin with; default: new ones.
        warm_up: Train on the train rows first, the validation rows saying when to stop.
        learning: Whether weights go on moving while forecasting.
        units: LSTM layers of new weights.
        seed: Of everything random.
        limits: Bounds, as the daemon has them.
        with_baselines: Score the simple forecasters too.
        progress: Told how many inputs were taken.

    Raises:
        ConfigError: The split leaves nothing to score, or nothing to train on.
    """
    fleet = without_waiting(fleet)
    split.borders(most_rows(batches))  # what cannot be scored is not forecast for minutes first
    start, learn_after = "cold" if model is None else "given", 0
    if warm_up:
        goes_on = learning != "off"
        model, learn_after = trained_on(fleet, batches, split, model=model, units=units, seed=seed, goes_on=goes_on)
        start = "warm-up"
    lockstep = Lockstep(
        fleet,
        model=model,
        learning=learning == "lockstep",
        learn_after=learn_after,
        units=units,
        seed=seed,
        limits=limits,
    )
    courses, forecasts = lockstep.record(batches, progress=progress).courses()
    report = report_on(fleet, courses, split)
    report.add("lstm", learning, start, forecasts)
    if with_baselines:
        add_baselines(report)
    return report


def courses_of(fleet: Fleet, batches: Iterable[list[Input]]) -> list[Course]:
    """What the pipeline makes of some history as such: its steps, in order of the streams' names."""
    return Lockstep(replace(fleet, horizon=1), learning=False).record(batches).courses()[0]  # forecasts are not wanted


def report_on(fleet: Fleet, courses: list[Course], split: Split) -> Report:
    """An empty report over these courses.

    Raises:
        ConfigError: There are no steps, or none is left to score.
    """
    if not courses:
        raise ConfigError(f"history of fleet {fleet.name!r}: at least one step expected, got none")
    train, begin, end = split.borders(max(len(c.tick) for c in courses))
    unit = slice(0, train) if train else slice(begin, end)
    deviation = deviations(courses, unit) if split.standardise else np.ones(len(fleet.forecast_places))
    return Report(fleet, split, courses, deviation, slice(begin, end), [])


def add_baselines(report: Report) -> None:
    """Persistence, seasonal naive where a day has whole steps and history is longer, and recursive least squares."""
    horizon, period_ns = report.fleet.horizon, report.fleet.period_ns
    courses = report.courses
    report.add("persistence", "off", "", [baselines.persistence(c, horizon) for c in courses])
    season = baselines.season_of_day(period_ns)
    if season is not None and any(c.tick[-1] > season for c in courses):
        report.add("seasonal", "off", "", [baselines.seasonal(c, horizon, season) for c in courses])
    report.add("rls", "lockstep", "", [baselines.rls(c, horizon, period_ns) for c in courses])
