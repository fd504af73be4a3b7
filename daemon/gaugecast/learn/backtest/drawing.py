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

SHOWN_STEPS = drawing.SHOWN_STEPS
_COLOURS = {"lstm": "#0b6e99", "persistence": "#8c8c8c", "seasonal": "#c98a1b", "rls": "#3f8f4f"}


def draw_plots(report: Report, directory: Path) -> list[Path]:
    """Write the pictures of a report as PNG files.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    plt = drawing.load_pyplot()
    directory.mkdir(parents=True, exist_ok=True)
    drawings = {
        "forecast.png": _draw_forecast(plt, report),
        "cumulative-skill.png": _draw_cumulative_skill(plt, report),
        **({"error-by-horizon.png": _draw_horizons(plt, report)} if report.fleet.horizon > 1 else {}),
    }
    return [drawing.save(plt, figure, directory / name) for name, figure in drawings.items()]


def cumulative_skill(course: Course, forecaster: Forecaster, rows: slice, deviation: Float64) -> Float64:
    """Skill of next-step forecasts over all scored steps so far (N,); NaN before anything moved."""
    error, last = errors_ahead(course, forecaster.forecasts[0], 1, rows)
    known = np.isfinite(error) & np.isfinite(last)
    own, base = (np.cumsum(np.where(known, np.square(e / deviation), 0.0).sum(axis=1)) for e in (error, last))
    skill: Float64 = np.divide(base - own, base, out=np.full(len(base), np.nan), where=base > 0.0)
    return skill


def _draw_forecast(plt: Any, report: Report) -> Any:
    """The last scored steps of the first stream, each value beside what was forecast for it one step earlier."""
    forecasts = report.forecasters[0].forecasts[0][:, :1]
    return drawing.draw_forecast(plt, report.courses[0], forecasts, report.fleet, rows=report.scored)


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
    axis.set_title(f"stream {course.stream}")
    drawing.name_lines(figure, axis)
    return figure


def _draw_horizons(plt: Any, report: Report) -> Any:
    """Mean square error of each forecaster, 1 to H steps ahead."""
    lines = {
        label(made): ([one.overall.mse for one in made.scores], _COLOURS.get(made.model)) for made in report.forecasters
    }
    figure = drawing.draw_horizons(plt, {"mean square error": lines}, period_ns=report.fleet.period_ns)
    figure.axes[0].set_ylim(bottom=0.0)
    return figure


def _others(report: Report) -> Iterator[Forecaster]:
    return (f for f in report.forecasters if f.model != "persistence")


def label(forecaster: Forecaster) -> str:
    """What it is called: model, start, whether it learns."""
    parts = (forecaster.start, f"learning {forecaster.learning}") if forecaster.model == "lstm" else ()
    return ", ".join(part for part in (forecaster.model, *parts) if part)
