"""Pictures of a training: loss curves, forecasts over what was observed, errors by horizon. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gaugecast.config.duration import ahead_text
from gaugecast.errors import ConfigError
from gaugecast.fleet import Fleet
from gaugecast.learn.score.course import Course
from gaugecast.records import Float32, Float64

SHOWN_STEPS = 240
MOST_FEATURES = 8
OBSERVED, FORECAST, SECOND, QUIET = "#9aa4ad", "#0b6e99", "#c2571a", "#8c8c8c"


def load_pyplot() -> Any:
    """matplotlib's pyplot, drawing to files.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        import matplotlib
    except ImportError as exc:
        raise ConfigError("pictures need matplotlib: pip install 'gaugecast[plots]'") from exc
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    plt.rcParams.update(
        {
            "font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
            "grid.alpha": 0.25, "axes.axisbelow": True, "axes.titlelocation": "left", "axes.titlesize": 10,
            "figure.constrained_layout.use": True,
        }
    )  # fmt: skip
    return plt


def save(plt: Any, figure: Any, path: Path) -> Path:
    """Write a figure as PNG, without dates or versions in it."""
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
    return path


def draw_curves(
    plt: Any, curves: Mapping[str, Sequence[float]], *, kept: int, rates: Sequence[float] | None = None
) -> Any:
    """Losses by epoch, on a log axis, where `curves` have names such as `training`; and the rate."""
    figure, panels = plt.subplots(
        1 if rates is None else 2, 1, figsize=(8, 3.2 if rates is None else 4),
        height_ratios=None if rates is None else (3, 1), sharex=True, squeeze=False,
    )  # fmt: skip
    axes = panels[0, 0]
    for (name, losses), colour in zip(curves.items(), (FORECAST, SECOND), strict=False):
        axes.plot(range(1, len(losses) + 1), losses, color=colour, marker=".", label=name)
    axes.axvline(kept, color=QUIET, linewidth=1, linestyle=":", label=f"kept: epoch {kept}")
    if all(loss > 0 for losses in curves.values() for loss in losses):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(plt.matplotlib.ticker.FormatStrFormatter("%.3g"))
        axes.yaxis.set_minor_formatter(plt.matplotlib.ticker.FormatStrFormatter("%.3g"))
    axes.set_ylabel("loss, scaled units")
    name_lines(figure, axes)
    if rates is not None:
        panels[1, 0].plot(range(1, len(rates) + 1), rates, color=QUIET)
        panels[1, 0].set_ylabel("rate")
    panels[-1, 0].set_xlabel("epoch")
    panels[-1, 0].xaxis.get_major_locator().set_params(integer=True)
    return figure


def name_lines(figure: Any, axes: Any) -> None:
    """A legend above all panels, where it lies on no title and no line."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=len(labels), frameon=False)


def set_time_axis(plt: Any, axis: Any, *, timed: bool) -> None:
    """Dates below the lowest panel, or the number of the row where rows have no times."""
    if not timed:
        axis.set_xlabel("row")
        return
    ticks = axis.xaxis
    ticks.set_major_formatter(plt.matplotlib.dates.ConciseDateFormatter(ticks.get_major_locator()))
    axis.set_xlabel("UTC")


def places_of(course: Course, *, timed: bool) -> Any:
    """Where a course's rows lie on such an axis."""
    return course.at.astype("datetime64[ns]") if timed else course.tick


def draw_forecast(
    plt: Any, course: Course, forecasts: Float64, fleet: Fleet, *, rows: slice, timed: bool = True
) -> Any:
    """Forecasts (T, H, G) over what was observed, the last of `rows`; one panel a feature. With a horizon, some whole
    paths."""
    features = fleet.forecast_features[:MOST_FEATURES]
    figure, axes = plt.subplots(len(features), 1, figsize=(9, 1.5 + 1.5 * len(features)), sharex=True, squeeze=False)
    figure.suptitle(f"stream {course.stream}", x=0.01, ha="left", fontsize=10)
    stop = min(rows.stop, len(course.tick))
    start = max(rows.start or 0, stop - SHOWN_STEPS, 1)
    when = places_of(course, timed=timed)
    follows = course.tick[start:stop] == course.tick[start - 1 : stop - 1] + 1
    for g, (feature, panel) in enumerate(zip(features, axes[:, 0], strict=True)):
        made = np.where(follows, forecasts[start - 1 : stop - 1, 0, g], np.nan)
        panel.plot(when[start:stop], course.observed[start:stop, g], color=OBSERVED, linewidth=2.2, label="observed")
        panel.plot(when[start:stop], made, color=FORECAST, linewidth=1.1, label="forecast one step before")
        _draw_paths(panel, course, forecasts[:, :, g], g, shown=(start, stop), fleet=fleet, timed=timed)
        panel.set_title(feature.name + (f" [{feature.unit}]" if feature.unit else ""))
    name_lines(figure, axes[0, 0])
    set_time_axis(plt, axes[-1, 0], timed=timed)
    return figure


def _draw_paths(
    panel: Any, course: Course, forecasts: Float64, g: int, *, shown: tuple[int, int], fleet: Fleet, timed: bool
) -> None:
    """A few forecasts (T, H) of all horizons from one origin each."""
    horizon = forecasts.shape[1]
    if horizon == 1:
        return
    start, stop = shown
    whole = [t for t in range(start, stop - horizon) if np.isfinite(forecasts[t]).all()]
    for number, t in enumerate(whole[:: max(horizon, len(whole) // 6 or 1)]):
        steps = np.arange(horizon + 1)
        at = (course.at[t] + fleet.period_ns * steps).astype("datetime64[ns]") if timed else course.tick[t] + steps
        path = np.concatenate([[course.observed[t, g]], forecasts[t]])
        span = ahead_text(horizon, fleet.period_ns) if timed else f"{horizon} steps"
        label = f"{span} ahead" if number == 0 else None
        panel.plot(at, path, color=SECOND, linewidth=1, label=label)


def draw_horizons(
    plt: Any, panels: Mapping[str, Mapping[str, tuple[Sequence[float], str | None]]], *, period_ns: int | None
) -> Any:
    """Figures by horizon, a panel by its title, in each a line (with its colour) by its name; without a period in
    steps.
    """
    figure, axes = plt.subplots(1, len(panels), figsize=(9, 3.4), squeeze=False)
    for (title, lines), panel in zip(panels.items(), axes[0], strict=True):
        for name, (values, colour) in lines.items():
            panel.plot(range(1, len(values) + 1), values, color=colour, marker=".", linewidth=1.2, label=name)
        panel.set_title(title)
        panel.set_xlabel("steps ahead" if period_ns is None else "ahead")
        panel.xaxis.get_major_locator().set_params(integer=True)
        if period_ns is not None:
            panel.xaxis.set_major_formatter(lambda steps, _place: ahead_text(max(0, round(steps)), period_ns))
    name_lines(figure, axes[0, 0])
    return figure


def draw_state(plt: Any, parts: Mapping[str, Float32], *, title: str) -> Any:
    """One state, a strip of units a part; blue is below 0, red above."""
    figure, axes = plt.subplots(len(parts), 1, figsize=(9, 0.8 + 0.7 * len(parts)), squeeze=False)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    for (name, values), panel in zip(parts.items(), axes[:, 0], strict=True):
        most = max(float(np.abs(values).max()), 1e-9)
        drawn = panel.imshow(values[None], cmap="RdBu_r", vmin=-most, vmax=most, aspect="auto")
        panel.set_title(name)
        panel.set_yticks([])
        panel.grid(visible=False)
        figure.colorbar(drawn, ax=panel)
    axes[-1, 0].set_xlabel("unit")
    return figure


def draw_states(
    plt: Any, course: Course, *, states: Float32, follows: Float64, names: Sequence[str], timed: bool
) -> Any:
    """Hidden states h (T, U) over a series, and how each unit goes with each of some signals (U, K).

    Units are sorted by what they follow most, so that those that follow the same lie together.
    """
    order = np.lexsort((-np.abs(follows).max(axis=1), np.abs(follows).argmax(axis=1)))
    longest = max(map(len, names))  # they stand upright beneath the right panel
    height = min(2.2 + 0.09 * len(order) + 0.07 * longest, 9.0)
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, height), width_ratios=(3, 1), sharey=True)
    title = f"stream {course.stream}: hidden states h, units sorted by what they follow"
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    when = places_of(course, timed=timed)
    left.pcolormesh(when, np.arange(len(order)), states.T[order], cmap="RdBu_r", vmin=-1, vmax=1, shading="nearest")
    left.set_ylabel("unit")
    set_time_axis(plt, left, timed=timed)
    drawn = right.imshow(follows[order], cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto", origin="lower")
    right.set_xticks(range(len(names)), names, rotation=90, fontsize=8)
    right.set_title("correlation with")
    figure.colorbar(drawn, ax=right)
    for panel in (left, right):
        panel.grid(visible=False)
    return figure
