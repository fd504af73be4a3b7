"""An evaluation on one page of HTML: figures, and each file's score, labels and events."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gaugecast.learn.evaluate.figures import AlarmFigures
from gaugecast.learn.evaluate.run import Watched
from gaugecast.learn.pages import html as parts
from gaugecast.learn.pages.drawing import FORECAST, OBSERVED, SECOND, load_pyplot, name_lines, save, set_time_axis
from gaugecast.records import Bool

_HIGHEST = 3.0  # scores above are drawn there


def write_evaluation(
    watched: Sequence[Watched], figures: Sequence[AlarmFigures], lines: Sequence[str], path: Path
) -> None:
    """Write the page.

    Args:
        watched: What would have been told of each file.
        figures: Of each, and of all together where there are several.
        lines: What else was found, in sentences.
        path: Of the page.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    plt = load_pyplot()
    head = ("file", "F1", "false alarms", "missed", "events", "ROC-AUC", "PR-AUC", "VUS-PR")
    rows = [
        (
            one.name, *map(parts.show, (one.rows.f1, one.rows.false_alarm_share, one.rows.missed_share)),
            f"{one.events}", *map(parts.show, (one.roc_auc, one.pr_auc, one.vus_pr)),
        )
        for one in figures
    ]  # fmt: skip
    body = [parts.table(head, rows, last_is_sum=len(figures) > len(watched)), *map(parts.paragraph, lines)]
    with tempfile.TemporaryDirectory() as place:
        for number, one in enumerate(watched):
            drawn = save(plt, draw_watched(plt, one), Path(place) / f"{number}.png")
            body.append(parts.shown(one.name, drawn, f"score of {one.name}"))
    lead = f"{len(watched)} files as live streams; the score's limit is 1"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(parts.page("Anomalies that would have been told", lead, body), encoding="utf-8")


def draw_watched(plt: Any, one: Watched) -> Any:
    """The score of one file, where something was wrong, and where it would have been told."""
    figure, panels = plt.subplots(1, 1, figsize=(9, 2.6), squeeze=False)
    panel, when = panels[0, 0], one.at.astype("datetime64[ns]")
    panel.plot(when, np.minimum(one.score, _HIGHEST), color=FORECAST, linewidth=0.9, label="score")
    panel.axhline(1.0, color=OBSERVED, linewidth=1, linestyle=":")
    if one.labels is not None:
        _shade(panel, when, one.labels, (0.0, 1.0), colour=SECOND, label="labelled")
    _shade(panel, when, one.open, (0.94, 1.0), colour=FORECAST, label="event")
    name_lines(figure, panel)
    set_time_axis(plt, panel, timed=True)
    return figure


def _shade(panel: Any, when: Any, where: Bool, span: tuple[float, float], *, colour: str, label: str) -> None:
    panel.fill_between(
        when, *span, where=where, transform=panel.get_xaxis_transform(), color=colour, alpha=0.25, linewidth=0,
        label=label,
    )  # fmt: skip
