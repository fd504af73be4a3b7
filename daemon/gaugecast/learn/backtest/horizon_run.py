"""A backtest of listed horizons: the network over history, then experts, mixture and intervals on top of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gaugecast.errors import ConfigError
from gaugecast.fleet import Fleet, Threshold
from gaugecast.learn.backtest.ahead import Told, tell
from gaugecast.learn.backtest.crossing_run import foretell
from gaugecast.learn.backtest.crossing_score import CrossingScore, crossing_row, crossing_scores
from gaugecast.learn.backtest.interval_score import IntervalScore, interval_scores
from gaugecast.learn.backtest.lockstep import Lockstep
from gaugecast.learn.backtest.protocols import split_by
from gaugecast.learn.backtest.run import Report, courses_of, report_on, without_waiting
from gaugecast.learn.backtest.score_rows import protocol_of
from gaugecast.learn.backtest.split import Split, most_rows, rows_by_stream
from gaugecast.learn.backtest.warmup import first_of
from gaugecast.learn.score.course import Course
from gaugecast.learn.score.figures import Score, score
from gaugecast.records import Float64, Input

#: As far as the network's closed loop is asked: beyond, a linear expert does better without it.
CLOSED_LOOP_STEPS = 48
#: Of a protocol every horizon is forecast up to the longest one, for papers print means; so many at most.
MOST_DENSE = 96
#: Horizons beside the listed ones whose intervals are scored for the picture.
MOST_DRAWN = 16


@dataclass(frozen=True, slots=True, eq=False)
class HorizonReport:
    """One backtest of listed horizons.

    Attributes:
        report: The network's, with what was scored and how.
        protocol: Its name, or empty.
        listed: Horizons that were asked for, in ticks.
        scores: By model, at each horizon that was forecast.
        told: What was said at each step, by stream.
        intervals: Of the mixture, by horizon; those that were asked for are among them; one a level.
        leads: Share of steps at which each expert led, by horizon that was asked for.
        crossings: Of each threshold.
    """

    report: Report
    protocol: str
    listed: tuple[int, ...]
    scores: Mapping[str, Sequence[Score]]
    told: Sequence[Told]
    intervals: Mapping[int, Sequence[IntervalScore]]
    leads: Mapping[int, Sequence[float]]
    crossings: Sequence[CrossingScore] = ()

    def mean_to(self, model: str, horizon: int) -> tuple[float, float]:
        """MSE and MAE as means over all forecast horizons up to this one; of a protocol that is 1 … H."""
        taken = [one for one in self.scores[model] if one.horizon <= horizon]
        return float(np.mean([one.overall.mse for one in taken])), float(np.mean([one.overall.mae for one in taken]))


def backtest_horizons(
    fleet: Fleet,
    batches: Sequence[list[Input]],
    *,
    horizons: Sequence[int],
    protocols: Sequence[str] = (),
    split: Split | None = None,
    levels: Sequence[float] = (0.8, 0.95),
    thresholds: Sequence[Threshold] = (),
    network: bool = True,
    units: tuple[int, ...] = (64,),
    seed: int = 0,
    progress: Callable[[str, int], None] = lambda _what, _done: None,
) -> list[HorizonReport]:
    """Forecast every step of some history at these horizons, cold start, test-then-train.

    One report a protocol, or one by the split, out of one run: nothing is trained by what a protocol calls training
    rows.

    Args:
        fleet: What is forecast.
        batches: The history, in order of arrival.
        horizons: In ticks.
        protocols: Names of `protocols`: each sets a split, and has every horizon forecast up to the longest.
        split: Which rows are scored, without a protocol; default: all.
        levels: Of the intervals.
        thresholds: Whose crossings are foretold, too.
        network: Ask the LSTM, too; without it persistence and linear experts are left.
        units: Its layers.
        seed: Of everything random.
        progress: Told what is done, and how many steps more of it.

    Raises:
        ConfigError: Nothing is left to score, or too many horizons are asked for.
    """
    listed = tuple(sorted({1, *horizons}))
    rows = most_rows(batches)
    splits = {name: split_by(name, rows) for name in protocols} or {"": split or Split()}
    for one in splits.values():
        one.borders(rows)  # what cannot be scored is not forecast for minutes first
    forecast = _dense(listed) if protocols else listed
    if len(splits) == 1:
        batches = first_rows_of(batches, *splits.values())
    stepped = without_waiting(replace(fleet, horizon=max(h for h in forecast if h <= CLOSED_LOOP_STEPS)))
    courses, own = _network(stepped, batches, network=network, units=units, seed=seed, progress=progress)
    reports = {name: report_on(stepped, courses, one) for name, one in splits.items()}
    told = tell(
        courses, own, fleet.period_ns, horizons=forecast, levels=levels,
        progress=lambda done: progress("experts", done),
    )  # fmt: skip
    made = [_scored(report, name, listed, told, own) for name, report in reports.items()]
    if not thresholds:
        return made
    marked = replace(fleet, horizons=listed, thresholds=tuple(thresholds))
    foretold = foretell(marked, courses, own, progress=lambda done: progress("crossings", done))
    return [replace(one, crossings=crossing_scores(marked, courses, foretold, rows=one.report.scored)) for one in made]


def _dense(listed: tuple[int, ...]) -> tuple[int, ...]:
    """All horizons up to the longest."""
    if listed[-1] > MOST_DENSE:
        raise ConfigError(f"--protocol: horizons of at most {MOST_DENSE} steps expected, got {listed[-1]}")
    return tuple(range(1, listed[-1] + 1))


def first_rows_of(batches: Sequence[list[Input]], split: Split) -> list[list[Input]]:
    """As many inputs as the split looks at, where one stream is all there is; else all of them."""
    rows = rows_by_stream(batches)
    if len(rows) != 1 or split.test is None:
        return list(batches)
    _, _, end = split.borders(max(rows.values()))
    return first_of(batches, end)


def _network(
    fleet: Fleet,
    batches: Sequence[list[Input]],
    *,
    network: bool,
    units: tuple[int, ...],
    seed: int,
    progress: Callable[[str, int], None],
) -> tuple[list[Course], list[Float64] | None]:
    """The history's steps, and the network's forecasts at each of them."""
    if not network:
        return courses_of(fleet, batches), None
    lockstep = Lockstep(fleet, units=units, seed=seed)
    return lockstep.record(batches, progress=lambda done: progress("network", done)).courses()


def _scored(
    report: Report, protocol: str, listed: tuple[int, ...], told: list[Told], own: list[Float64] | None
) -> HorizonReport:
    models = {"mix": [one.forecast for one in told]}
    models |= {name: [one.expert(name) for one in told] for name in (["stacked", "linear"] if own else ["linear"])}
    if own:
        models["network"] = [one.expert("network") for one in told]
    models["persistence"] = [one.expert("persistence") for one in told]
    horizons = told[0].horizons.tolist()
    scores = {
        name: [_score(report, made, place, h) for place, h in enumerate(horizons)] for name, made in models.items()
    }
    intervals = {
        h: interval_scores(report.courses, told, place=at, deviation=report.deviation, rows=report.scored)
        for at, h in enumerate(horizons)
        if h in listed or h % -(-len(horizons) // MOST_DRAWN) == 0
    }
    leads = {h: np.mean([one.leads[horizons.index(h)] for one in told], axis=0).tolist() for h in listed}
    return HorizonReport(report, protocol, listed, scores, told, intervals, leads)


def _score(report: Report, made: list[Float64], place: int, horizon: int) -> Score:
    """`score` looks for horizon h at place h − 1."""
    padded = [np.broadcast_to(one[:, place : place + 1], (len(one), horizon, one.shape[2])) for one in made]
    return score(report.courses, padded, report.names, horizon=horizon, deviation=report.deviation, rows=report.scored)


def horizon_rows(made: HorizonReport, name: str) -> list[dict[str, Any]]:
    """One row a model and horizon that was asked for: `{set, protocol, model, horizon, mse, horizon_mean, …}`; the
    mixture's have a row a level, with its intervals."""
    about = {
        "set": name, "protocol": made.protocol or protocol_of(made.report), "start": "cold", "learning": "lockstep",
    }  # fmt: skip
    rows: list[dict[str, Any]] = []
    for model, scores in made.scores.items():
        by_horizon = {one.horizon: one.overall for one in scores}
        for h in made.listed:
            mean, mean_absolute = made.mean_to(model, h)
            row = about | {
                "model": model, "horizon": h,
                "mse": by_horizon[h].mse, "mae": by_horizon[h].mae, "skill": by_horizon[h].skill,
                "horizon_mean": mean, "horizon_mean_mae": mean_absolute, "count": by_horizon[h].count,
            }  # fmt: skip
            rows += [row | _interval_row(one) for one in made.intervals[h]] if model == "mix" else [row]
    return rows + [about | crossing_row(one) for one in made.crossings]


def _interval_row(one: IntervalScore) -> dict[str, Any]:
    return {
        "nominal": one.nominal, "coverage": one.coverage, "worst_under": one.worst, "width": one.width,
        "winkler": one.winkler, "pinball": one.pinball,
    }  # fmt: skip
