"""Pictures of a backtest of horizons: error, coverage and width by horizon, the band over what came."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gaugecast.config.duration import duration_text
from gaugecast.learn.backtest.ahead import Told
from gaugecast.learn.backtest.horizon_run import HorizonReport
from gaugecast.learn.backtest.interval_score import IntervalScore
from gaugecast.learn.pages import drawing
from gaugecast.learn.score.course import Course

COLOURS = {
    "mix": "#0b6e99", "stacked": "#8a5aa8", "linear": "#3f8f4f", "network": "#c98a1b", "persistence": "#8c8c8c",
}  # fmt: skip
_LEVELS = ("#0b6e99", "#c2571a", "#3f8f4f", "#8a5aa8")
_MOST_TICKS = 6


def draw_horizon_plots(made: HorizonReport, directory: Path) -> list[Path]:
    """Write the pictures of a report as PNG files.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    plt = drawing.load_pyplot()
    directory.mkdir(parents=True, exist_ok=True)
    figures = {"errors.png": _draw_errors(plt, made)}
    if any(made.intervals.values()):
        figures["intervals.png"] = _draw_intervals(plt, made)
    figures["bands.png"] = _draw_bands(plt, made)
    return [drawing.save(plt, figure, directory / name) for name, figure in figures.items()]


def _draw_errors(plt: Any, made: HorizonReport) -> Any:
    """Mean square error of each model by horizon, and the same over that of persistence."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6))
    last = np.array([one.overall.mse for one in made.scores["persistence"]])
    for model, scores in made.scores.items():
        ticks, errors = [one.horizon for one in scores], np.array([one.overall.mse for one in scores])
        style = {"color": COLOURS.get(model), "linewidth": 2.2 if model == "mix" else 1.2, "label": model}
        marker = "o" if len(ticks) <= _MOST_TICKS else ""
        left.plot(ticks, errors, marker=marker, **style)
        if model != "persistence":
            right.plot(
                ticks, np.divide(errors, last, out=np.full_like(errors, np.nan), where=last > 0), marker=marker, **style
            )
    right.axhline(1.0, color=COLOURS["persistence"], linewidth=1.2)
    left.set_ylim(bottom=0.0)
    left.set_title("mean square error")
    right.set_title("over that of persistence")
    for panel in (left, right):
        _set_horizon_axis(panel, made, [one.horizon for one in made.scores["mix"]])
    drawing.name_lines(figure, left)
    return figure


def _draw_intervals(plt: Any, made: HorizonReport) -> Any:
    """Coverage beside what was promised, and the width, by horizon; a line a level."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6))
    ticks = sorted(made.intervals)
    for k, colour in zip(range(len(made.intervals[ticks[0]])), _LEVELS, strict=False):
        of_level = [made.intervals[h][k] for h in ticks]
        nominal = of_level[0].nominal
        left.axhline(nominal, color=colour, linestyle=":", linewidth=1)
        _line(left, ticks, of_level, lambda one: one.coverage, colour=colour, label=f"level {nominal:.0%}")
        _line(left, ticks, of_level, lambda one: np.nan if one.worst is None else one.worst, colour=colour, faint=True)
        _line(right, ticks, of_level, lambda one: one.width, colour=colour)
    left.set_title("share that held; dotted: promised, faint: worst window")
    right.set_title("mean width, in deviations")
    right.set_ylim(bottom=0.0)
    for panel in (left, right):
        _set_horizon_axis(panel, made, ticks)
    drawing.name_lines(figure, left)
    return figure


def _line(
    panel: Any, ticks: list[int], scores: list[IntervalScore], figure: Callable[[IntervalScore], float], *,
    colour: str, label: str | None = None, faint: bool = False,
) -> None:  # fmt: skip
    panel.plot(
        ticks, [figure(one) for one in scores], color=colour, label=label, alpha=0.4 if faint else 1.0,
        marker="." if faint else "o", markersize=4, linewidth=1.0 if faint else 1.6,
    )  # fmt: skip


def _draw_bands(plt: Any, made: HorizonReport) -> Any:
    """The last scored steps of the first stream: what came, what the mixture said of it, and the widest band."""
    course, told, fleet = made.report.courses[0], made.told[0], made.report.fleet
    features = fleet.forecast_features[: drawing.MOST_FEATURES]
    figure, axes = plt.subplots(len(features), 1, figsize=(10, 1.5 + 1.5 * len(features)), sharex=True, squeeze=False)
    horizon = made.listed[-1]
    figure.suptitle(f"stream {course.stream}, forecast {_span(made, horizon)} before", x=0.01, ha="left", fontsize=10)
    for g, (feature, panel) in enumerate(zip(features, axes[:, 0], strict=True)):
        _draw_band(panel, course, told, g=g, horizon=horizon, rows=made.report.scored)
        panel.set_title(feature.name + (f" [{feature.unit}]" if feature.unit else ""))
    drawing.name_lines(figure, axes[0, 0])
    drawing.set_time_axis(plt, axes[-1, 0], timed=True)
    return figure


def _draw_band(panel: Any, course: Course, told: Told, *, g: int, horizon: int, rows: slice) -> None:
    place = told.horizons.tolist().index(horizon)
    stop = min(rows.stop, len(course.tick))
    first = max(rows.start or 0, stop - drawing.SHOWN_STEPS)
    origins, target = course.origins(horizon, slice(first, stop))
    when, said = drawing.places_of(course, timed=True), told.forecast[origins, place, g]
    shown = when[target]
    if len(told.levels):
        low, high = (reach[origins, place, g, -1] for reach in (told.below, told.above))
        label = f"interval of {told.levels[-1]:.0%}"
        panel.fill_between(shown, said - low, said + high, color=drawing.FORECAST, alpha=0.18, linewidth=0, label=label)
    panel.plot(when[first:stop], course.observed[first:stop, g], color=drawing.OBSERVED, linewidth=2, label="observed")
    panel.plot(shown, said, color=drawing.FORECAST, linewidth=1.1, label="forecast")


def _set_horizon_axis(panel: Any, made: HorizonReport, ticks: list[int]) -> None:
    """Durations below; where they span much, as powers."""
    if ticks[-1] > 100 * ticks[0]:
        panel.set_xscale("log")
    named = made.listed[-_MOST_TICKS:] if len(made.listed) > 1 else ticks
    panel.set_xticks(named, [_span(made, h) for h in named])
    panel.set_xticks([], minor=True)
    panel.set_xlabel("ahead")


def _span(made: HorizonReport, horizon: int) -> str:
    return duration_text(horizon * made.report.fleet.period_ns)
