"""What a benchmark found: one row a figure, judged by its bound, kept in `build/bench.json`."""

from __future__ import annotations

import json
import operator
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from rich.console import Console
from rich.table import Table

PLACE = Path("build/bench.json")
Row = Mapping[str, Any]


class Bound(NamedTuple):
    """What a figure has to hold.

    Attributes:
        sign: Whether the figure may not be above, or not below the limit.
        of: Which of the row's figures.
    """

    sign: Literal["≤", "≥"]
    limit: float
    of: Literal["ours", "ratio"] = "ours"

    def __str__(self) -> str:
        return f"{self.sign} {self.limit:,g}{'×' if self.of == 'ratio' else ''}"

    def met(self, figure: float) -> bool:
        """Whether a figure holds it; one that is no number does not."""
        compare = operator.le if self.sign == "≤" else operator.ge
        return bool(compare(figure, self.limit))


@dataclass(frozen=True, slots=True)
class Result:
    """One figure, measured some times.

    Attributes:
        ours: One number a round.
        peer: The peer's, of the same rounds in turn; empty where there is only a bound to hold.
        note: How it was measured, and what else was seen.
    """

    name: str
    unit: str
    ours: Sequence[float]
    peer: Sequence[float] = ()
    bound: Bound | None = None
    note: str = ""

    def row(self, group: str, load: str) -> dict[str, Any]:
        """Medians; the ratio, ours / peer, of each round, so that a slow moment of the machine counts for both or for
        none; and from the lowest to the highest of ours. `load` says what else the machine did."""
        ratio = median_ratio(self.ours, self.peer) if self.peer else None
        ours = statistics.median(self.ours)
        met = None
        if self.bound is not None:
            figure = ours if self.bound.of == "ours" else ratio
            met = figure is not None and self.bound.met(figure)
        return {
            "name": self.name,
            "ours": ours,
            "peer": statistics.median(self.peer) if self.peer else None,
            "ratio": ratio,
            "unit": self.unit,
            "spread": [min(self.ours), max(self.ours)] if len(self.ours) > 1 else None,
            "bound": None if self.bound is None else str(self.bound),
            "met": met,
            "note": self.note,
            "group": group,
            "load": load,
        }


def median_ratio(ours: Sequence[float], peer: Sequence[float]) -> float:
    """Median of the rounds' ratios; rounds that only one of the two took part in do not count."""
    return statistics.median(mine / other for mine, other in zip(ours, peer, strict=False))


def keep(rows: Sequence[Row], place: Path = PLACE) -> None:
    """Merge rows into the file, by name."""
    place.parent.mkdir(exist_ok=True)
    kept = {row["name"]: row for row in read(place)} if place.exists() else {}
    kept.update({row["name"]: row for row in rows})
    place.write_text(json.dumps(list(kept.values()), indent=1, ensure_ascii=False) + "\n")


def read(place: Path = PLACE) -> list[Row]:
    """All rows that the file has."""
    rows: list[Row] = json.loads(place.read_text())
    return rows


def show(rows: Sequence[Row]) -> None:
    """Print rows as a table."""
    table = Table("figure", "ours", "spread", "peer", "ratio", "unit", "bound", "", "note", title="gaugecast bench")
    for row in rows:
        table.add_row(row["name"], *cells(row), row["note"])
    Console(width=170).print(table)


def cells(row: Row) -> list[str]:
    """Ours, spread, peer, ratio, unit, bound, and whether it is met, for people."""
    spread = "" if row["spread"] is None else "–".join(number(end) for end in row["spread"])
    ratio = "" if row["ratio"] is None else f"{number(row['ratio'])}×"
    verdict = "" if row["met"] is None else ("met" if row["met"] else "NOT MET")
    return [number(row["ours"]), spread, number(row["peer"]), ratio, row["unit"], row["bound"] or "", verdict]


def number(figure: float | None) -> str:
    """Three digits that count; whole numbers above that."""
    if figure is None:
        return ""
    return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.3g}"
