"""Pictures of a backtest: forecast against observed, error by horizon, skill as it grew. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gaugecast.learn.backtest.run import Forecaster, Report
from gaugecast.learn.pages import drawing
from gaugecast.learn.score.course import Course, errors_ahead
from gaugecast.records import Float64

SHOWN_STEPS = 240
MOST_FEATURES = 8
_COLOURS = {"lstm": "#0b6e99", "windowed": "#8a5aa8", "persistence": "#8c8c8c", "seasonal": "#c98a1b", "rls": "#3f8f4f"}


def draw_plots(report: Report, directory: Path) -> list[Path]:
    """Write the pictures of a report as PNG files.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    plt = drawing.load_pyplot()
    directory.mkdir(parents=True, exist_ok=True)
    drawings = {
        "forecast.png": _draw_forecast,
        "cumulative-skill.png": _draw_cumulative_skill,
        **({"error-by-horizon.png": _draw_horizons} if report.fleet.horizon > 1 else {}),
    }
    paths = []
    for name, draw in drawings.items():
        paths.append(drawing.save(plt, draw(plt, report), directory / name))
    return paths


def cumulative_skill(course: Course, forecaster: Forecaster, rows: slice, deviation: Float64) -> Float64:
    """Skill of next-step forecasts over all scored steps so far (N,); NaN before anything moved."""
    error, last = errors_ahead(course, forecaster.forecasts[0], 1, rows)
    known = np.isfinite(error) & np.isfinite(last)
    own, base = (np.cumsum(np.where(known, np.square(e / deviation), 0.0).sum(axis=1)) for e in (error, last))
    skill: Float64 = np.divide(base - own, base, out=np.full(len(base), np.nan), where=base > 0.0)
    return skill


def _draw_forecast(plt: Any, report: Report) -> Any:
    """The last scored steps of the first stream, each value beside what was forecast for it one step earlier."""
    course, network = report.courses[0], report.forecasters[0]
    names = report.names[:MOST_FEATURES]
    end = min(report.scored.stop, len(course.tick))
    shown = np.arange(max(report.scored.start, end - SHOWN_STEPS), end)
    when = course.at[shown].astype("datetime64[ns]")
    predicted = np.full(course.observed.shape, np.nan)
    ahead, exists = course.ahead(1)
    predicted[ahead[exists]] = network.forecasts[0][exists, 0]
    figure, axes = plt.subplots(len(names), 1, figsize=(10, 1.2 + 1.6 * len(names)), sharex=True, squeeze=False)
    for g, (name, axis) in enumerate(zip(names, axes[:, 0], strict=True)):
        axis.plot(when, course.observed[shown, g], color="#222222", lw=1.0, label="observed")
        axis.plot(when, predicted[shown, g], color=_COLOURS["lstm"], lw=1.0, label="forecast one step earlier")
        axis.set_title(name)
    axes[0, 0].legend(frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1, 1.02))
    ticks = axes[-1, 0].xaxis
    ticks.set_major_formatter(plt.matplotlib.dates.ConciseDateFormatter(ticks.get_major_locator()))
    return figure


def _draw_cumulative_skill(plt: Any, report: Report) -> Any:
    """How the skill over persistence grew, on the first stream."""
    course = report.courses[0]
    figure, axis = plt.subplots(figsize=(10, 4))
    low = 0.0
    for forecaster in _others(report):
        skill = cumulative_skill(course, forecaster, report.scored, report.deviation)
        axis.plot(np.arange(len(skill)), skill, color=_COLOURS.get(forecaster.model), lw=1.2, label=label(forecaster))
        low = min(low, float(np.nan_to_num(skill[len(skill) // 20 :]).min(initial=0.0)))
    axis.axhline(0.0, color=_COLOURS["persistence"], lw=0.8)
    axis.set_ylim(max(low, -1.0) - 0.05, 1.0)
    axis.set_xlabel("scored steps")
    axis.set_ylabel("skill so far (persistence = 0)")
    axis.legend(frameon=False)
    return figure


def _draw_horizons(plt: Any, report: Report) -> Any:
    """Mean square error of each forecaster, 1 to H steps ahead."""
    figure, axis = plt.subplots(figsize=(10, 4))
    for forecaster in report.forecasters:
        figures = [score.overall.mse for score in forecaster.scores]
        horizons = range(1, len(figures) + 1)
        axis.plot(horizons, figures, marker=".", color=_COLOURS.get(forecaster.model), lw=1.2, label=label(forecaster))
    axis.set_xlabel("steps ahead")
    axis.set_ylabel("mean square error")
    axis.set_ylim(bottom=0.0)
    axis.legend(frameon=False)
    return figure


def _others(report: Report) -> Iterator[Forecaster]:
    return (f for f in report.forecasters if f.model != "persistence")


def label(forecaster: Forecaster) -> str:
    """What it is called: model, start, whether it learns."""
    parts = (forecaster.start, f"learning {forecaster.learning}") if forecaster.model in ("lstm", "windowed") else ()
    return ", ".join(part for part in (forecaster.model, *parts) if part)
