"""A backtest on one page of HTML that needs no network: the tables, and the pictures within the file itself."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from gaugecast.learn.backtest import Report
from gaugecast.learn.score_rows import protocol_of

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; } th, td { padding: .25rem .8rem; border-bottom: 1px solid #ddd; }
th { text-align: left; } td.n { text-align: right; font-variant-numeric: tabular-nums; } img { max-width: 100%; }
"""


def write_page(report: Report, pictures: Sequence[Path], path: Path) -> None:
    """Write the page; `pictures` are PNG files."""
    title = f"gaugecast backtest: {report.fleet.name}"
    parts = [
        f"<!doctype html><meta charset=utf-8><title>{escape(title)}</title><style>{_STYLE}</style>",
        f"<h1>{escape(title)}</h1><p>{escape(protocol_of(report))}</p>",
        _overall(report),
        _by_feature(report),
        *(f'<h2>{_heading(p)}</h2><img alt="{_heading(p)}" src="{_inline(p)}">' for p in pictures),
    ]
    path.write_text("\n".join(parts) + "\n", encoding="utf-8")


def _overall(report: Report) -> str:
    rows = [
        (f.model, f.start or "–", f.learning, str(s.horizon), f"{s.mse:.4f}", f"{s.mae:.4f}", _percent(s.skill))
        for f in report.forecasters
        for s in f.scores
    ]
    return _table(("model", "start", "learning", "steps ahead", "MSE", "MAE", "skill"), rows, words=3)


def _by_feature(report: Report) -> str:
    first = [f.scores[0] for f in report.forecasters]
    rows = [(name, *(f"{s.per_feature[name].mse:.4f}" for s in first)) for name in report.names]
    heads = ("MSE one step ahead", *(f"{f.model} {f.start}" for f in report.forecasters))
    return _table(heads, rows, words=1)


def _table(heads: Iterable[str], rows: Iterable[Sequence[str]], *, words: int) -> str:
    """The first `words` columns are text, the others numbers."""
    head = "".join(f"<th>{escape(h)}</th>" for h in heads)
    body = "".join(
        "<tr>" + "".join(f"<td{'' if i < words else ' class=n'}>{escape(c)}</td>" for i, c in enumerate(row)) + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _percent(skill: float | None) -> str:
    return "–" if skill is None else f"{100 * skill:.1f} %"


def _heading(picture: Path) -> str:
    return escape(picture.stem.replace("-", " ").capitalize())


def _inline(picture: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode()
