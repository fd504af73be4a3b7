"""A backtest of listed horizons: the network over history, then experts, mixture and intervals on top of it."""

from __future__ import annotations

from collections import Counter
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
from gaugecast.learn.backtest.protocols import split_by
from gaugecast.learn.backtest.run import Report, backtest, courses_of, report_on, without_waiting
from gaugecast.learn.backtest.score_rows import protocol_of
from gaugecast.learn.backtest.split import Split
from gaugecast.learn.backtest.warmup import first_of
from gaugecast.learn.score.figures import Score, score
from gaugecast.records import Float64, Input, Kind

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
    protocol: str,
    split: Split,
    horizons: Sequence[int],
    levels: Sequence[float] = (0.8, 0.95),
    thresholds: Sequence[Threshold] = (),
    network: bool = True,
    units: tuple[int, ...] = (64,),
    seed: int = 0,
    progress: Callable[[str, int], None] = lambda _what, _done: None,
) -> HorizonReport:
    """Forecast every step of some history at these horizons, cold start, test-then-train.

    Args:
        fleet: What is forecast.
        batches: The history, in order of arrival.
        protocol: A name of `protocols`: sets the split, and has every horizon forecast up to the longest. Or empty.
        split: Which rows are scored, without a protocol.
        horizons: In ticks.
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
    forecast = listed
    if protocol:
        split = split_by(protocol, max(_rows_of(batches).values(), default=0))
        forecast = _dense(listed)
    batches = first_rows_of(batches, split)
    report, own, told = _forecast(
        fleet, batches, split, horizons=forecast, levels=levels, network=network, units=units, seed=seed,
        progress=progress,
    )  # fmt: skip
    made = _scored(report, protocol, listed, told, own)
    if not thresholds:
        return made
    marked = replace(fleet, horizons=listed, thresholds=tuple(thresholds))
    foretold = foretell(marked, report.courses, own, progress=lambda done: progress("crossings", done))
    return replace(made, crossings=crossing_scores(marked, report.courses, foretold, rows=report.scored))


def backtest_protocols(
    fleet: Fleet,
    batches: Sequence[list[Input]],
    *,
    protocols: Sequence[str],
    horizons: Sequence[int],
    levels: Sequence[float] = (0.9,),
    thresholds: Sequence[Threshold] = (),
    network: bool = True,
    seed: int = 0,
    progress: Callable[[str, int], None] = lambda _what, _done: None,
) -> list[HorizonReport]:
    """One report a protocol, out of one run: nothing is trained by what a protocol calls training rows.

    Args and raises as `backtest_horizons`, all rows of `batches` being forecast.
    """
    listed = tuple(sorted({1, *horizons}))
    report, own, told = _forecast(
        fleet, batches, Split(), horizons=_dense(listed), levels=levels, network=network, units=(64,), seed=seed,
        progress=progress,
    )  # fmt: skip
    steps = max(len(course.tick) for course in report.courses)
    scored = [report_on(report.fleet, report.courses, split_by(name, steps)) for name in protocols]
    made = [_scored(one, name, listed, told, own) for one, name in zip(scored, protocols, strict=True)]
    if not thresholds:
        return made
    marked = replace(fleet, horizons=listed, thresholds=tuple(thresholds))
    foretold = foretell(marked, report.courses, own, progress=lambda done: progress("crossings", done))
    return [
        replace(one, crossings=crossing_scores(marked, report.courses, foretold, rows=one.report.scored))
        for one in made
    ]


def _dense(listed: tuple[int, ...]) -> tuple[int, ...]:
    """All horizons up to the longest."""
    if listed[-1] > MOST_DENSE:
        raise ConfigError(f"--protocol: horizons of at most {MOST_DENSE} steps expected, got {listed[-1]}")
    return tuple(range(1, listed[-1] + 1))


def _forecast(
    fleet: Fleet, batches: Sequence[list[Input]], split: Split, *, horizons: tuple[int, ...], levels: Sequence[float],
    network: bool, units: tuple[int, ...], seed: int, progress: Callable[[str, int], None],
) -> tuple[Report, list[Float64] | None, list[Told]]:  # fmt: skip
    """An empty report, the network's forecasts, and what the experts make of them."""
    deepest = max(h for h in horizons if h <= CLOSED_LOOP_STEPS)
    stepped = without_waiting(replace(fleet, horizon=deepest))
    report, own = _network(stepped, batches, split, network=network, units=units, seed=seed, progress=progress)
    told = tell(
        report.courses, own, fleet.period_ns, horizons=horizons, levels=levels,
        progress=lambda done: progress("experts", done),
    )  # fmt: skip
    return report, own, told


def first_rows_of(batches: Sequence[list[Input]], split: Split) -> list[list[Input]]:
    """As many inputs as the split looks at, where one stream is all there is; else all of them."""
    rows = _rows_of(batches)
    if len(rows) != 1 or split.test is None:
        return list(batches)
    _, _, end = split.borders(max(rows.values()))
    return first_of(batches, end)


def _rows_of(batches: Sequence[list[Input]]) -> Counter[str]:
    return Counter(one.stream for batch in batches for one in batch if one.kind == Kind.READING)


def _network(
    fleet: Fleet,
    batches: Sequence[list[Input]],
    split: Split,
    *,
    network: bool,
    units: tuple[int, ...],
    seed: int,
    progress: Callable[[str, int], None],
) -> tuple[Report, list[Float64] | None]:
    if not network:
        return report_on(fleet, courses_of(fleet, batches), split), None
    report = backtest(
        fleet, batches, split, units=units, seed=seed, with_baselines=False,
        progress=lambda done: progress("network", done),
    )  # fmt: skip
    return report, report.forecasters[0].forecasts


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
    rows = []
    for model, scores in made.scores.items():
        by_horizon = {one.horizon: one.overall for one in scores}
        for h in made.listed:
            mean, mean_absolute = made.mean_to(model, h)
            row = {
                "set": name, "protocol": made.protocol or protocol_of(made.report), "model": model, "start": "cold",
                "learning": "lockstep",
                "horizon": h, "mse": by_horizon[h].mse, "mae": by_horizon[h].mae, "skill": by_horizon[h].skill,
                "horizon_mean": mean, "horizon_mean_mae": mean_absolute, "count": by_horizon[h].count,
            }  # fmt: skip
            rows += [row | _interval_row(one) for one in made.intervals[h]] if model == "mix" else [row]
    about = {
        "set": name,
        "protocol": made.protocol or protocol_of(made.report),
        "start": "cold",
        "learning": "lockstep",
    }
    return rows + [about | crossing_row(one) for one in made.crossings]


def _interval_row(one: IntervalScore) -> dict[str, Any]:
    return {
        "nominal": one.nominal, "coverage": one.coverage, "worst_under": one.worst, "width": one.width,
        "winkler": one.winkler, "pinball": one.pinball,
    }  # fmt: skip
