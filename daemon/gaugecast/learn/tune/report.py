"""What a search found: a table, and pictures of what `units` buys and costs; one HTML file beside the PNGs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gaugecast.learn.pages import drawing
from gaugecast.learn.pages import html as report
from gaugecast.learn.tune.search import Tried

HEAD = ("trial", "tried", "train MSE", "validation MSE", "skill", "parameters", "µs a step", "bytes a stream", "s")
MOST_PATHS = 12


def table_rows(trials: Sequence[Tried]) -> list[list[str]]:
    """A row a trial, the best first."""
    return [
        [
            str(t.number), show_params(t, trials), report.show(t.train), report.show(t.validation),
            report.show_share(t.skill), f"{t.parameters:,}", f"{t.step_us:.2f}", f"{t.stream_bytes:,}",
            f"{t.seconds:.1f}",
        ]
        for t in sorted(trials, key=lambda t: t.validation)
    ]  # fmt: skip


def show_params(tried: Tried, trials: Sequence[Tried]) -> str:
    """`units 32, learning_rate 0.003`: what is not the same in all `trials`, if anything is."""
    varied = {key for t in trials for key, value in t.params.items() if value != tried.params.get(key)}
    keys = [key for key in tried.params if key in varied or len(trials) == 1 or not varied]
    shown = ((key, tried.params[key]) for key in keys)
    return ", ".join(f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}" for key, value in shown)


def write_report(trials: Sequence[Tried], directory: Path, *, left: str = "") -> Path:
    """Pictures and `report.html`; the path of the latter. `left` says what was not tried.

    Raises:
        ConfigError: matplotlib is absent.
    """
    plt = drawing.load_pyplot()
    best = min(trials, key=lambda t: t.validation)
    parts = [
        report.tiles(
            [
                ("best validation MSE", report.show(best.validation)),
                ("its skill against persistence", report.show_share(best.skill)),
                ("trials", str(len(trials))),
            ]
        ),
        report.quote(f"Best: {show_params(best, trials)} (trial {best.number}); its run lies in best/."),
        *([report.paragraph(f"Not all was tried: {left}.")] if left else []),
    ]
    figures = {
        "What units buy and cost": ("units", _draw_units(plt, trials)),
        "Units × length": ("grid", _draw_grid(plt, trials)),
        "The search": ("history", _draw_history(plt, trials)),
        "Each trial's forecast over the series": ("forecasts", _draw_paths(plt, trials)),
    }
    for title, (name, figure) in figures.items():
        if figure is not None:
            parts.append(report.shown(title, drawing.save(plt, figure, directory / f"{name}.png")))
    parts += [report.heading("All trials"), report.table(HEAD, table_rows(trials))]
    path = directory / "report.html"
    lead = "Judged by the error on the validation part, mean over all horizons, in deviations of the training part"
    path.write_text(report.page("Search for settings", lead, parts))
    return path


def _units(tried: Tried) -> str:
    return str(tried.params.get("units", "as set"))


def _by_units(trials: Sequence[Tried]) -> list[tuple[str, list[Tried]]]:
    names = sorted(
        {_units(t) for t in trials}, key=lambda name: [int(p) if p.isdigit() else 0 for p in name.split("-")]
    )
    return [(name, [t for t in trials if _units(t) == name]) for name in names]


def _draw_units(plt: Any, trials: Sequence[Tried]) -> Any:
    """Training and validation error side by side, and beneath what each costs."""
    groups = _by_units(trials)
    figure, axes = plt.subplots(2, 2, figsize=(9, 5.2), sharex=True)
    at = np.arange(len(groups))
    for shift, key, colour, label in (
        (-0.18, "train", drawing.FORECAST, "training"),
        (0.18, "validation", drawing.SECOND, "validation"),
    ):
        best = [min(own, key=lambda t: t.validation) for _, own in groups]
        axes[0, 0].bar(at + shift, [getattr(t, key) for t in best], 0.34, color=colour, label=label)
        for x, (_, own) in zip(at, groups, strict=True):
            axes[0, 0].plot([x + shift] * len(own), [getattr(t, key) for t in own], ".", color="black", markersize=3)
    axes[0, 0].set_title("MSE, best trial (dots: all)")
    drawing.name_lines(figure, axes[0, 0])
    costs = (("parameters", "parameters"), ("step_us", "µs a step and row"), ("stream_bytes", "bytes a stream"))
    for panel, (key, title) in zip((axes[0, 1], axes[1, 0], axes[1, 1]), costs, strict=True):
        panel.bar(at, [min(getattr(t, key) for t in own) for _, own in groups], 0.5, color=drawing.QUIET)
        panel.set_title(title)
    for panel in axes[1]:
        panel.set_xticks(at, [name for name, _ in groups])
        panel.set_xlabel("units")
    return figure


def _draw_grid(plt: Any, trials: Sequence[Tried]) -> Any:
    """Validation error by units and length of segment or look-back; `None` where only one length was tried."""
    key = next((k for k in ("look_back", "segment") if len({t.params.get(k) for t in trials} - {None}) > 1), None)
    if key is None:
        return None
    names = [name for name, _ in _by_units(trials)]
    lengths = sorted({t.params[key] for t in trials if key in t.params})
    best = np.full((len(names), len(lengths)), np.nan)
    for t in trials:
        place = names.index(_units(t)), lengths.index(t.params[key])
        best[place] = np.fmin(best[place], t.validation)
    figure, axes = plt.subplots(figsize=(1.6 + 1.1 * len(lengths), 1.2 + 0.6 * len(names)))
    drawn = axes.imshow(best, cmap="viridis_r", aspect="auto")
    axes.grid(visible=False)
    axes.set_xticks(range(len(lengths)), lengths)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel(key)
    axes.set_ylabel("units")
    middle = (np.nanmin(best) + np.nanmax(best)) / 2
    for (i, j), value in np.ndenumerate(best):
        ink = "white" if value > middle else "black"  # the better, the lighter
        axes.text(j, i, report.show(value), ha="center", va="center", fontsize=8, color=ink)
    figure.colorbar(drawn, label="validation MSE")
    return figure


def _draw_history(plt: Any, trials: Sequence[Tried]) -> Any:
    figure, axes = plt.subplots(figsize=(8, 2.6))
    ordered = sorted(trials, key=lambda t: t.number)
    errors = np.array([t.validation for t in ordered])
    axes.plot([t.number for t in ordered], errors, ".", color=drawing.FORECAST, label="trial")
    axes.step(
        [t.number for t in ordered],
        np.minimum.accumulate(errors),
        color=drawing.SECOND,
        where="post",
        label="best so far",
    )
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("trial")
    axes.set_ylabel("validation MSE")
    axes.legend(frameon=False)
    return figure


def _draw_paths(plt: Any, trials: Sequence[Tried]) -> Any:
    """The first feature's observations with each trial's forecasts, the best trials first."""
    shown = sorted(trials, key=lambda t: t.validation)[:MOST_PATHS]
    figure, axes = plt.subplots(len(shown), 1, figsize=(9, 0.6 + 1.1 * len(shown)), sharex=True, squeeze=False)
    for tried, panel in zip(shown, axes[:, 0], strict=True):
        panel.plot(tried.observed, color=drawing.OBSERVED, linewidth=2.2)
        panel.plot(tried.forecast, color=drawing.FORECAST, linewidth=1.1)
        panel.set_title(
            f"trial {tried.number}: {show_params(tried, trials)}; MSE {report.show(tried.validation)}", fontsize=8
        )
    axes[-1, 0].set_xlabel("last steps of the validation part")
    return figure
