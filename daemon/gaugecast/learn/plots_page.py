"""A backtest on one page of HTML that needs no network: the tables, and the pictures within the file itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gaugecast.learn.backtest import Report
from gaugecast.learn.plots import SHOWN_STEPS, label
from gaugecast.learn.score_rows import protocol_of
from gaugecast.learn.train import report as parts

HEADINGS = {
    "forecast": f"Forecast over what was observed: the first stream, last {SHOWN_STEPS} scored steps",
    "cumulative-skill": "Skill as it grew, first stream",
    "error-by-horizon": "Error by horizon",
}


def write_page(report: Report, pictures: Sequence[Path], path: Path) -> None:
    """Write the page; `pictures` are PNG files."""
    first = report.forecasters[0].scores[0]
    body = [
        parts.tiles(
            [
                ("skill against persistence", parts.show_share(first.skill)),
                ("MSE", parts.show(first.mse)),
                ("MAE", parts.show(first.mae)),
                ("forecasts scored", f"{first.count:,}"),
            ]
        ),
        parts.heading("Beside simple forecasters"),
        _overall(report),
        parts.heading("Mean square error by feature, one step ahead"),
        _by_feature(report),
    ]
    for picture in pictures:
        heading = HEADINGS[picture.stem]
        body += [parts.heading(heading), parts.picture(picture, heading)]
    page = parts.page(f"Backtest of {report.fleet.name}", protocol_of(report), body)
    path.write_text(page, encoding="utf-8")


def _overall(report: Report) -> str:
    rows = [
        (label(made), str(s.horizon), parts.show(s.mse), parts.show(s.mae), parts.show_share(s.skill))
        for made in report.forecasters
        for s in made.scores
    ]
    return parts.table(("forecaster", "steps ahead", "MSE", "MAE", "skill"), rows)


def _by_feature(report: Report) -> str:
    first = [made.scores[0] for made in report.forecasters]
    rows = [(name, *(parts.show(s.per_feature[name].mse) for s in first)) for name in report.names]
    return parts.table(("feature", *map(label, report.forecasters)), rows)
