"""Pictures of a training: loss curves, forecasts over what was observed, errors by horizon. Needs matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gaugecast.errors import ConfigError
from gaugecast.fleet import Fleet
from gaugecast.learn.fit.fitting import Fit
from gaugecast.learn.score.judging import JudgedPart

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


def draw_curves(plt: Any, fit: Fit) -> Any:
    """Training and validation loss by epoch, and the rate."""
    figure, (axes, below) = plt.subplots(2, 1, figsize=(8, 4), height_ratios=(3, 1), sharex=True)
    numbers = [epoch.number for epoch in fit.epochs]
    axes.plot(numbers, [epoch.train for epoch in fit.epochs], color=FORECAST, marker=".", label="training")
    held_out = [epoch.validation for epoch in fit.epochs if epoch.validation is not None]
    if held_out:
        axes.plot(numbers, held_out, color=SECOND, marker=".", label="validation")
    axes.axvline(fit.best, color=QUIET, linewidth=1, linestyle=":", label=f"kept: epoch {fit.best}")
    judged = [epoch.judged for epoch in fit.epochs if epoch.judged > 0]
    if judged and max(judged) > 20 * min(judged):
        axes.set_yscale("log")
    axes.set_ylabel("loss, scaled units")
    axes.legend(frameon=False)
    below.plot(numbers, [epoch.rate for epoch in fit.epochs], color=QUIET)
    below.set_ylabel("rate")
    below.set_xlabel("epoch")
    below.xaxis.get_major_locator().set_params(integer=True)
    return figure


def draw_forecast(plt: Any, judged: JudgedPart, fleet: Fleet, *, steps: int = SHOWN_STEPS) -> Any:
    """Forecasts over observations, the last steps of a part; one panel a feature. With a horizon, some whole paths."""
    features = fleet.forecast_features[:MOST_FEATURES]
    figure, axes = plt.subplots(len(features), 1, figsize=(9, 1.2 + 1.5 * len(features)), sharex=True, squeeze=False)
    course = judged.course
    stop = judged.counted.stop
    start = max(judged.counted.start, stop - steps, 1)
    when = course.at.astype("datetime64[ns]")
    follows = course.tick[start:stop] == course.tick[start - 1 : stop - 1] + 1
    for g, (feature, panel) in enumerate(zip(features, axes[:, 0], strict=True)):
        made = np.where(follows, judged.forecasts[start - 1 : stop - 1, 0, g], np.nan)
        panel.plot(when[start:stop], course.observed[start:stop, g], color=OBSERVED, linewidth=2.2, label="observed")
        panel.plot(when[start:stop], made, color=FORECAST, linewidth=1.1, label="forecast one step before")
        _draw_paths(panel, judged, fleet, g, (start, stop))
        panel.set_title(feature.name + (f" [{feature.unit}]" if feature.unit else ""))
    axes[0, 0].legend(frameon=False, ncols=3, loc="lower right", bbox_to_anchor=(1, 1.02))
    ticks = axes[-1, 0].xaxis
    ticks.set_major_formatter(plt.matplotlib.dates.ConciseDateFormatter(ticks.get_major_locator()))
    return figure


def _draw_paths(panel: Any, judged: JudgedPart, fleet: Fleet, g: int, shown: tuple[int, int]) -> None:
    """A few forecasts of all horizons from one origin each."""
    horizon = judged.forecasts.shape[1]
    if horizon == 1:
        return
    start, stop = shown
    whole = [t for t in range(start, stop - horizon) if np.isfinite(judged.forecasts[t, :, g]).all()]
    for number, t in enumerate(whole[:: max(horizon, len(whole) // 6 or 1)]):
        at = judged.course.at[t] + fleet.period_ns * np.arange(horizon + 1)
        path = np.concatenate([[judged.course.observed[t, g]], judged.forecasts[t, :, g]])
        label = f"{horizon} steps ahead" if number == 0 else None
        panel.plot(at.astype("datetime64[ns]"), path, color=SECOND, linewidth=1, label=label)


def draw_horizons(plt: Any, judged: dict[str, JudgedPart]) -> Any:
    """Error and skill by horizon, a line a part."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3))
    colours = {"train": QUIET, "validation": SECOND, "test": FORECAST}
    for part, found in judged.items():
        steps = [h.horizon for h in found.horizons]
        left.plot(steps, [h.overall.rmse for h in found.horizons], color=colours[part], marker=".", label=part)
        skills = [np.nan if h.overall.skill is None else h.overall.skill for h in found.horizons]
        right.plot(steps, skills, color=colours[part], marker=".", label=part)
    left.set_title("RMSE, in deviations of the training part")
    right.set_title("skill against persistence")
    for axes in (left, right):
        axes.set_xlabel("steps ahead")
        axes.legend(frameon=False)
    return figure
