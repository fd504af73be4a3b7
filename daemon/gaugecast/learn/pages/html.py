"""The report of a training: one HTML file that needs no network and nothing beside it."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from pathlib import Path

from gaugecast.config.duration import ahead_text
from gaugecast.learn.score.figures import Figures
from gaugecast.learn.score.judging import JudgedPart

STYLE = """
:root { color-scheme: light dark; --ink: #1d252c; --quiet: #5c6770; --line: #d9dee2; --back: #fff; --mark: #0b6e99; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8eb; --quiet: #98a3ac; --line: #343d45; --back: #14191d; --mark: #5db4d8; }
  img { background: #fff; border-radius: 6px; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--back);
  max-width: 62rem; margin: 2.5rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.6rem; margin: 0 0 .3rem; } h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; }
p.lead { color: var(--quiet); margin: 0 0 1.2rem; } img { max-width: 100%; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .3rem .9rem .3rem 0; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { white-space: normal; vertical-align: bottom; }
th:first-child, td:first-child, .words { text-align: left; } th { font-weight: 600; color: var(--quiet); }
tr.sum td { font-weight: 600; }
.wide { overflow-x: auto; } .wide + .wide { margin-top: 1.4rem; }
.tiles { display: flex; gap: .6rem; flex-wrap: wrap; margin: 1rem 0; }
.tile { border: 1px solid var(--line); border-radius: 8px; padding: .6rem .7rem; min-width: 5rem; }
.tile b { display: block; font-size: 1.35rem; font-weight: 600; } .tile span { color: var(--quiet); font-size: .78rem; }
.chain { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem; margin: 1rem 0; }
.chain div { border: 1px solid var(--line); border-radius: 8px; padding: .4rem .7rem; text-align: center; }
.chain span { display: block; color: var(--quiet); font-size: .78rem; } .chain i { color: var(--quiet); }
blockquote { margin: 1rem 0; padding: .6rem 1rem; border-left: 4px solid var(--mark); }
details { margin-top: 2rem; } summary { cursor: pointer; color: var(--quiet); }
"""


def page(title: str, lead: str, body: Iterable[str]) -> str:
    """A whole HTML page."""
    return (
        f"<!doctype html>\n<html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{html.escape(title)}</title><style>{STYLE}</style>\n<h1>{html.escape(title)}</h1>"
        f"<p class=lead>{html.escape(lead)}</p>\n" + "\n".join(body) + "\n</html>\n"
    )


def picture(path: Path, alt: str) -> str:
    """A PNG inside of the page."""
    encoded = base64.b64encode(path.read_bytes()).decode()
    return f"<img alt='{html.escape(alt, quote=True)}' src='data:image/png;base64,{encoded}'>"


def shown(title: str, path: Path, alt: str = "") -> str:
    """A section of one picture, under its title."""
    return heading(title) + picture(path, alt or title)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, last_is_sum: bool = False) -> str:
    """An HTML table; cells are text, and columns of words stand to the left."""
    lines = [[html.escape(cell) for cell in row] for row in rows]
    words = [bool(lines) and all(line[i][:1].isalpha() for line in lines) for i in range(len(head))]
    kinds = [" class=words" if column else "" for column in words]
    body = []
    for number, line in enumerate(lines):
        kind = " class=sum" if last_is_sum and number == len(lines) - 1 else ""
        body.append(f"<tr{kind}>" + "".join(map(_cell, line, kinds)) + "</tr>")
    top = "".join(f"<th{kind}>{html.escape(cell)}</th>" for cell, kind in zip(head, kinds, strict=True))
    return f"<div class=wide><table><tr>{top}</tr>{''.join(body)}</table></div>"


def _cell(text: str, kind: str) -> str:
    return f"<td{kind}>{text}</td>"


def tiles(pairs: Iterable[tuple[str, str]]) -> str:
    """Large figures in a row."""
    inner = "".join(f"<div class=tile><b>{html.escape(v)}</b><span>{html.escape(k)}</span></div>" for k, v in pairs)
    return f"<div class=tiles>{inner}</div>"


def chain(boxes: Iterable[tuple[str, str]]) -> str:
    """Boxes in a row, an arrow between them: a name, and a line beneath it."""
    inner = "<i>→</i>".join(f"<div><b>{html.escape(a)}</b><span>{html.escape(b)}</span></div>" for a, b in boxes)
    return f"<div class=chain>{inner}</div>"


def heading(text: str) -> str:
    """A section's title."""
    return f"<h2>{html.escape(text)}</h2>"


def quote(text: str) -> str:
    """A sentence that matters."""
    return f"<blockquote>{html.escape(text)}</blockquote>"


def paragraph(text: str) -> str:
    """A paragraph."""
    return f"<p>{html.escape(text)}</p>"


def folded(summary: str, inner: str) -> str:
    """Something that opens at a click."""
    return f"<details><summary>{html.escape(summary)}</summary>{inner}</details>"


FIGURE_HEAD = ("MSE", "MAE", "RMSE", "MASE", "skill / persistence", "skill / seasonal")


def figure_cells(figures: Figures) -> list[str]:
    """One line's figures as text; – where there is none."""
    numbers = [show(n) for n in (figures.mse, figures.mae, figures.rmse, figures.mase)]
    return [*numbers, show_share(figures.skill), show_share(figures.skill_seasonal)]


def show(number: float | None) -> str:
    """Four digits, or – for nothing."""
    return "–" if number is None or number != number else f"{number:#.4g}".removesuffix(".")


def show_share(number: float | None) -> str:
    """Per cent, or – for nothing."""
    return "–" if number is None or number != number else f"{round(number, 3) + 0.0:+.1%}"  # no −0.0 %


def feature_table(judged: JudgedPart, units: dict[str, str]) -> str:
    """Figures of the next step, a row a feature, in the sensors' units."""
    first = judged.horizons[0]
    rows = [
        [name + (f" [{units[name]}]" if units.get(name) else ""), *figure_cells(figures)]
        for name, figures in first.per_feature.items()
    ]
    overall = ["mean, in deviations of the training part", *figure_cells(first.overall)]
    return table(("next step", *FIGURE_HEAD), [*rows, overall], last_is_sum=True)


def horizon_table(judged: JudgedPart, period_ns: int | None) -> str:
    """Figures by horizon, means over the features in deviations of the training part; without a period in steps."""
    timed = period_ns is not None
    rows = [[ahead_text(h.horizon, period_ns or 1, timed=timed), *figure_cells(h.overall)] for h in judged.horizons]
    return table(("ahead" if timed else "steps ahead", *FIGURE_HEAD), rows)
