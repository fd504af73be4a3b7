"""`python -m accuracy.page`: put the figures of build/accuracy.json into the tables of docs/accuracy.md.

A part of the page of which nothing was run stays as it is.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from accuracy.anomalies import anomaly_lines
from accuracy.gaps import gap_lines
from accuracy.horizons import horizon_lines
from accuracy.places import PLACE
from accuracy.plant import plant_lines
from accuracy.published import PUBLISHED
from accuracy.table import NAMES

PAGE = Path("docs/accuracy.md")
SETS = ("ETTh1", "ETTh2")
Found = dict[tuple[str, str, str, str], dict[str, Any]]


def _put(block: str, _: re.Match[str]) -> str:
    return block


def main() -> int:
    """0 once the page is written."""
    rows = json.loads(PLACE.read_text())
    found: Found = {(r["set"], r["model"], r["start"], r["learning"]): r for r in rows if r["horizon"] == 1}
    page = PAGE.read_text()
    parts = {"figures": _figures(found), "variables": _variables(found), "horizons": horizon_lines(rows)}
    parts["gaps"] = gap_lines(rows)
    parts["plant"] = plant_lines(rows)
    parts["labelled sets"] = anomaly_lines(rows)
    for name, lines in parts.items():
        if not lines:
            continue
        begin, end = f"<!-- {name}: written by `python -m accuracy.page` -->", f"<!-- end of {name} -->"
        block = "\n".join([begin, "", *lines, "", end])
        page, count = re.subn(f"{re.escape(begin)}.*?{re.escape(end)}", partial(_put, block), page, flags=re.S)
        if count != 1:
            sys.exit(f"{PAGE}: expected one {begin} … {end}, found {count}")
    PAGE.write_text(page)
    return 0


def _figures(found: Found) -> list[str]:
    lines = []
    for key, title in NAMES.items():
        cells = [_pair(found.get((name, *key))) for name in SETS]
        if any(cell != "–" for cell in cells):
            lines.append(f"| {title} | {' | '.join(cells)} |")
    if not lines:
        return []
    lines = ["| MSE / MAE | " + " | ".join(SETS) + " |", "|---|" + "---|" * len(SETS), *lines]
    for method in dict.fromkeys((p.method, p.source) for name in SETS for p in PUBLISHED.get(name, ())):
        lines.append(f"| published: {method[0]} ({method[1]}) | {' | '.join(_paper(n, method) for n in SETS)} |")
    return lines


def _variables(found: Found) -> list[str]:
    lines: list[str] = []
    for name in SETS:
        models = [key for key in NAMES if found.get((name, *key), {}).get("per_feature")]
        if not models:
            continue
        per = [found[(name, *key)]["per_feature"] for key in models]
        heads = [_head(*key) for key in models]
        lines += [f"| {name} | " + " | ".join(heads) + " |", "|---|" + "---|" * len(models)]
        lines += [f"| {feature} | {_cells([one[feature]['mse'] for one in per])} |" for feature in per[0]]
        lines.append("")
    return lines[:-1]


def _head(model: str, start: str, learning: str) -> str:
    """Column of one forecaster; that it does not learn is said only of those that can."""
    said = {"off": "frozen", "beside": "beside"}.get(learning, "") if start else ""
    return " ".join(part for part in (model, start, said) if part)


def _cells(values: Sequence[float]) -> str:
    return " | ".join(f"{value:.4f}" for value in values)


def _pair(row: dict[str, Any] | None) -> str:
    return "–" if row is None else f"{row['mse']:.4f} / {row['mae']:.4f}"


def _paper(name: str, method: tuple[str, str]) -> str:
    for paper in PUBLISHED.get(name, ()):
        if (paper.method, paper.source) == method:
            return f"{paper.mse:.3f} / {'–' if paper.mae is None else f'{paper.mae:.3f}'}"
    return "–"


if __name__ == "__main__":
    sys.exit(main())
