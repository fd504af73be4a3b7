"""Crossings of the simulated tanks' thresholds at 1 Hz: how good the probabilities are that a fleet would be told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from accuracy.runs import Rows
from gaugecast.fleet import Feature, Fleet, Threshold
from gaugecast.learn.backtest.crossing_run import foretell
from gaugecast.learn.backtest.crossing_score import CrossingScore, crossing_row, crossing_scores
from gaugecast.learn.score.course import Course
from gaugecast.records import Float64

CROSSING = "crossing"
SECOND_NS, BEGINS_S = 10**9, 1_700_000_000
#: Of a fleet of tanks, of which some go so far in each cycle and others never do.
MARKS = (
    Threshold("pressure", True, 2.9, 900),
    Threshold("pressure", False, 2.1, 900),
    Threshold("temperature", True, 66.0, 900),
    Threshold("temperature", False, 58.0, 3600),
)
LEAST_SKILL, MOST_OFF = 0.3, 0.1
#: Tenths with fewer are not judged. Forecasts of one crossing overlap: how it looks where as many as the reach has
#: steps are one case is told beside it.
LEAST_CASES = 50
POOLED = "all of them"
HEAD = (
    *("rate", "Brier", "skill", "by each tank's rate", "worst tenth (of 50 reaches)"),
    *("crossings", "foretold", "lead", "false/week"),
)


def run_crossings(series: Float64) -> Rows:
    """A row a threshold over all tanks, and one of all; `series` as of `plant.run_ahead`."""
    features = (Feature("pressure"), Feature("temperature"))
    fleet = Fleet("tanks", ("p/{t}",), "{t}", features, SECOND_NS, horizons=(1, 900), thresholds=MARKS)
    tick = np.arange(len(series))
    at = (BEGINS_S + tick) * SECOND_NS
    courses = [Course(f"{n}", at, tick, np.ascontiguousarray(series[:, n])) for n in range(series.shape[1])]
    told = foretell(fleet, courses, None)
    whole = crossing_scores(fleet, courses, told)
    each = [crossing_scores(fleet, [course], [one]) for course, one in zip(courses, told, strict=True)]
    about = {"set": "plant", "protocol": "crossings", "start": "cold", "learning": "loop"}
    rows = [
        {**about, **crossing_row(one), "model": name_of(one.threshold), "skill_by_tank": skill_of([e[k] for e in each])}
        for k, one in enumerate(whole)
    ]
    for row in rows:
        for tenth in row["reliability"]:
            tenth["spans"] = tenth["cases"] / row["within"]
    return [*rows, {**about, **_pooled(rows, whole, [one for tank in each for one in tank])}]


def name_of(mark: Threshold) -> str:
    """As the table has it."""
    return f"{mark.feature} {mark.side} {mark.value:g} within {mark.within // 60} min"


def skill_of(scores: Sequence[CrossingScore]) -> float:
    """Brier skill of several against the rate that each of them has."""
    lost = sum(one.brier * one.count for one in scores if one.count)
    alike = sum(one.rate * (1.0 - one.rate) * one.count for one in scores if one.count)
    return float(1.0 - lost / alike) if alike else float("nan")


def _pooled(rows: Rows, whole: Sequence[CrossingScore], each: Sequence[CrossingScore]) -> dict[str, Any]:
    """All thresholds together, against the rate of each."""
    count = sum(one.count for one in whole)
    deciles = []
    for place in range(10):
        parts = [d for row in rows for d in [row["reliability"][place]] if d["cases"]]
        cases = sum(d["cases"] for d in parts)
        mean = {key: sum(d[key] * d["cases"] for d in parts) / max(1, cases) for key in ("foretold", "happened")}
        deciles.append({"cases": cases, "spans": sum(d["spans"] for d in parts), **(mean if cases else {})})
    return {
        "model": POOLED, "horizon": 0, "count": count, "rate": sum(one.rate * one.count for one in whole) / count,
        "brier": sum(one.brier * one.count for one in whole) / count, "brier_skill": skill_of(whole),
        "skill_by_tank": skill_of(each), "reliability": deciles,
        "crossings": sum(one.crossings for one in whole), "foretold": sum(one.foretold for one in whole),
        "lead_s": None, "false_alarms": sum(one.false_alarms for one in whole),
    }  # fmt: skip


def worst_tenth(row: dict[str, Any], counted: str = "cases") -> float:
    """How far from what was said it came, in the tenth of probabilities in which that is most; `counted` or `spans`."""
    off = [abs(d["foretold"] - d["happened"]) for d in row["reliability"] if d[counted] >= LEAST_CASES]
    return max(off, default=0.0)


def _own(rows: Rows) -> Rows:
    return [row for row in rows if row["protocol"] == "crossings"]


def crossing_verdicts(rows: Rows) -> Iterator[tuple[bool, str]]:
    """Skill and reliability of each threshold against what is asked, in words."""
    for row in _own(rows):
        skill, off = row["brier_skill"], worst_tenth(row)
        text = f"plant, {row['model']}: skill {skill:.2f}, at least {LEAST_SKILL} asked; worst tenth off by {off:.1%}"
        yield skill >= LEAST_SKILL and off <= MOST_OFF, f"{text}, {MOST_OFF:.0%} at most"


def _cells(row: dict[str, Any]) -> Iterator[str]:
    lead = row["lead_s"]
    yield from (f"{row[key]:.3f}" for key in ("rate", "brier"))
    yield from ("–" if row[key] != row[key] else f"{row[key]:.2f}" for key in ("brier_skill", "skill_by_tank"))
    yield f"{worst_tenth(row):.1%} ({worst_tenth(row, 'spans'):.1%})"
    yield from (f"{row[key]:,}" for key in ("crossings", "foretold"))
    yield "–" if lead is None else f"{lead / 60:.0f} min"
    yield f"{row['false_alarms']:.1f}"


def show_crossings(console: Console, rows: Rows) -> None:
    """A line a threshold."""
    table = Table("crossings", *HEAD)
    for row in _own(rows):
        table.add_row(row["model"], *_cells(row))
    console.print(table)


def crossing_lines(rows: Rows) -> list[str]:
    """The table of docs/accuracy.md."""
    lines = [f"| {row['model']} | {' | '.join(_cells(row))} |" for row in _own(rows)]
    return [f"| crossings | {' | '.join(HEAD)} |", "|---|" + "---|" * len(HEAD), *lines] if lines else []
