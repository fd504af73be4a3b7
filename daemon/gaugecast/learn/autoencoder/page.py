"""Pictures and page of what detectors said: error over time, the threshold, what was labelled, where it alarmed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gaugecast.learn.autoencoder.judging import Judgement, total_counts
from gaugecast.learn.pages import drawing
from gaugecast.learn.pages import html as report
from gaugecast.learn.score.alarms import AlarmCounts

HEAD = ("file", "rows", "labelled", "alarms", "F1", "false alarms", "missed")
PICTURE_NAME, PAGE_NAME = "errors.png", "report.html"
_WRONG, _ALARM = "#c2571a", "#a3123a"
_ALARM_STRIP = (0.0, 0.06)  # of a panel's height
_TICKS = tuple(digit * 10.0**power for power in range(-4, 5) for digit in (1, 2, 5))


def write_page(judged: Sequence[Judgement], directory: Path, *, lead: str) -> Path:
    """Draw, and write one HTML file that needs no network; its path.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    plt = drawing.load_pyplot()
    directory.mkdir(parents=True, exist_ok=True)
    picture = drawing.save(plt, draw_errors(plt, judged), directory / PICTURE_NAME)
    parts = []
    if labelled(judged):
        total = total_counts(judged)
        parts += [report.tiles(zip(HEAD[4:], figure_cells(total), strict=True)), report.paragraph(beside(total))]
    parts += [report.table(HEAD, table_rows(judged), last_is_sum=True)]
    parts += [
        report.heading("Reconstruction error"),
        report.paragraph(
            "In units of the threshold, over time. What lies left of the line was learned, and is not judged; shaded "
            "is what is labelled as wrong, the strip at the bottom is where the detector alarmed."
        ),
        report.picture(picture, "reconstruction error over time"),
    ]
    first = judged[0]
    if first.rebuilt is not None:
        shown = drawing.save(plt, draw_rebuilt(plt, first), directory / "reconstruction.png")
        title = f"What was fed, and what was rebuilt of it: {first.name}, where its error is largest"
        parts.append(report.shown(title, shown, "rows and what the detector rebuilt of them"))
    if first.curves:
        losses = first.curves.get("validation", first.curves["training"])
        kept = int(np.argmin(losses)) + 1
        shown = drawing.save(plt, drawing.draw_curves(plt, first.curves, kept=kept), directory / "loss.png")
        parts.append(report.shown(f"Loss of fitting, {first.name}", shown, "loss by epoch"))
    path = directory / PAGE_NAME
    path.write_text(report.page("Anomalies by reconstruction", lead, parts), encoding="utf-8")
    return path


def labelled(judged: Sequence[Judgement]) -> bool:
    """Whether any file has labels."""
    return any(one.labels is not None for one in judged)


def table_rows(judged: Sequence[Judgement]) -> list[list[str]]:
    """Cells under `HEAD`: a row a file; where labelled one for always alarming; the last is the sum."""
    rows = [[one.name, *_cells(one.judged, one.alarmed, one.counts, known=one.labels is not None)] for one in judged]
    total, known = total_counts(judged), labelled(judged)
    size, alarms = sum(one.judged for one in judged), sum(one.alarmed for one in judged)
    if known:
        rows.append(["always alarm", *_cells(size, size, total.always, known=True)])
    return [*rows, ["all", *_cells(size, alarms, total, known=known)]]


def beside(total: AlarmCounts) -> str:
    """What always alarming has, in a sentence."""
    f1, false_alarms, missed = figure_cells(total.always)
    return f"Always alarming has F1 {f1}, false alarms {false_alarms}, missed {missed}: look at all three."


def figure_cells(counts: AlarmCounts) -> list[str]:
    """F1, false alarms, missed; – where there is none."""
    return [
        "–" if counts.f1 is None else f"{counts.f1:.3f}",
        _percent(counts.false_alarm_share),
        _percent(counts.missed_share),
    ]


def draw_rebuilt(plt: Any, one: Judgement) -> Any:
    """Some rows around the largest error, a panel a feature: as measured, and as rebuilt."""
    assert one.values is not None
    assert one.rebuilt is not None
    worst = int(np.nanargmax(np.where(np.arange(len(one.at)) < one.learned, np.nan, one.error)))
    start = max(0, min(worst - drawing.SHOWN_STEPS // 2, len(one.at) - drawing.SHOWN_STEPS))
    rows = slice(start, start + drawing.SHOWN_STEPS)
    when = one.at.astype("datetime64[ns]")[rows] if one.timed else np.arange(len(one.at))[rows]
    names = one.features[: drawing.MOST_FEATURES]
    figure, axes = plt.subplots(len(names), 1, figsize=(9, 1 + 1.3 * len(names)), sharex=True, squeeze=False)
    for f, (name, panel) in enumerate(zip(names, axes[:, 0], strict=True)):
        panel.plot(when, one.values[rows, f], color=drawing.OBSERVED, linewidth=2.2, label="measured")
        panel.plot(when, one.rebuilt[rows, f], color=drawing.FORECAST, linewidth=1.1, label="rebuilt")
        panel.set_title(name)
    drawing.name_lines(figure, axes[0, 0])
    drawing.set_time_axis(plt, axes[-1, 0], timed=one.timed)
    return figure


def draw_errors(plt: Any, judged: Sequence[Judgement]) -> Any:
    """A panel a file."""
    figure, axes = plt.subplots(len(judged), 1, figsize=(9, 0.5 + 1.5 * len(judged)), squeeze=False)
    for one, panel in zip(judged, axes[:, 0], strict=True):
        _draw_file(plt, panel, one)
    named = (zip(*panel.get_legend_handles_labels(), strict=True) for panel in axes[:, 0])
    handles = {name: handle for pairs in named for handle, name in pairs}
    figure.legend(
        handles.values(), handles.keys(), frameon=False, ncols=len(handles), loc="outside upper right", fontsize=8,
        columnspacing=1.2,
    )  # fmt: skip
    return figure


def _draw_file(plt: Any, panel: Any, one: Judgement) -> None:
    when = one.at.astype("datetime64[ns]") if one.timed else np.arange(len(one.at))
    across = panel.get_xaxis_transform()
    panel.plot(when, one.error / one.threshold, color=drawing.FORECAST, linewidth=0.9, label="error")
    panel.axhline(1.0, color="#333333", linewidth=0.9, linestyle="--", label="threshold")
    if 0 < one.learned < len(when):
        panel.axvline(when[one.learned], color=drawing.QUIET, linewidth=1, label="training part ends")
    if one.labels is not None:
        panel.fill_between(
            when, 0, 1, where=one.labels, transform=across, color=_WRONG, alpha=0.16, linewidth=0, label="labelled"
        )
    shown = one.alarms & (np.arange(len(when)) >= one.learned)
    panel.fill_between(
        when, *_ALARM_STRIP, where=shown, transform=across, color=_ALARM, linewidth=0, step="mid", label="alarm"
    )
    panel.set_yscale("log")
    panel.yaxis.set_major_locator(plt.matplotlib.ticker.FixedLocator(_TICKS))
    panel.yaxis.set_major_formatter(plt.matplotlib.ticker.FormatStrFormatter("%g"))
    panel.yaxis.set_minor_formatter(plt.matplotlib.ticker.NullFormatter())
    panel.set_title(one.name)
    drawing.set_time_axis(plt, panel, timed=one.timed)


def _cells(size: int, alarms: int, counts: AlarmCounts, *, known: bool) -> list[str]:
    if not known:
        return [f"{size:,}", "–", f"{alarms:,}", "–", "–", "–"]
    return [f"{size:,}", f"{counts.hit + counts.missed:,}", f"{alarms:,}", *figure_cells(counts)]


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"
