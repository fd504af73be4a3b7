"""A backtest on one page of HTML that needs no network: the tables, and the pictures within the file itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gaugecast.config.duration import ahead_text
from gaugecast.learn.backtest.drawing import SHOWN_STEPS, label
from gaugecast.learn.backtest.run import Report
from gaugecast.learn.backtest.score_rows import protocol_of
from gaugecast.learn.pages import html as parts

HEADINGS = {
    "forecast": f"Forecast over what was observed: the first stream, last {SHOWN_STEPS} scored steps",
    "cumulative-skill": "Skill as it grew, first stream",
    "error-by-horizon": "Error by horizon",
}


def write_page(report: Report, pictures: Sequence[Path], path: Path) -> None:
    """Write the page; `pictures` are PNG files."""
    first = report.forecasters[0].scores[0].overall
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
        _by_feature(report),
    ]
    body += [parts.shown(HEADINGS[picture.stem], picture) for picture in pictures]
    if report.fleet.horizon > 1:
        body.append(parts.folded("In figures", _by_horizon(report)))
    page = parts.page(f"Backtest of {report.fleet.name}", protocol_of(report), body)
    path.write_text(page, encoding="utf-8")


def _overall(report: Report) -> str:
    first = [(label(made), made.scores[0].overall) for made in report.forecasters]
    rows = [(name, parts.show(s.mse), parts.show(s.mae), parts.show_share(s.skill)) for name, s in first]
    return parts.table(("one step ahead", "MSE", "MAE", "skill"), rows)


def _by_horizon(report: Report) -> str:
    by_step = zip(*(made.scores for made in report.forecasters), strict=True)
    spans = (ahead_text(made.horizon, report.fleet.period_ns) for made in report.forecasters[0].scores)
    rows = [(span, *(parts.show(s.overall.mse) for s in scores)) for span, scores in zip(spans, by_step, strict=True)]
    return parts.table(("MSE, ahead", *map(label, report.forecasters)), rows)


def _by_feature(report: Report) -> str:
    first = [made.scores[0] for made in report.forecasters]
    rows = [(name, *(parts.show(s.per_feature[name].mse) for s in first)) for name in report.names]
    return parts.table(("MSE, one step ahead", *map(label, report.forecasters)), rows)
