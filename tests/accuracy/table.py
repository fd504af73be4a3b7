"""The table of one set: ours, the simple forecasters, what is published; and whether the bounds hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from accuracy.published import BOUNDS, PUBLISHED
from accuracy.runs import Rows, split_of

#: (model, start, learning) and what it is called, in the table's order.
NAMES = {
    ("lstm", "warm-up", "lockstep"): "gaugecast, stateful LSTM-64, online after warm-up",
    ("lstm", "cold", "lockstep"): "gaugecast, cold start: no warm-up at all",
    ("lstm", "cold", "beside"): "gaugecast, cold start, learner beside the loop, over a broker",
    ("lstm", "warm-up", "off"): "gaugecast, frozen after warm-up",
    ("windowed", "warm-up", "lockstep"): "LSTM-64 without state, windows of 24, online after warm-up",
    ("rls", "", "lockstep"): "recursive least squares, AR(6) + day + week lags",
    ("persistence", "", "off"): "persistence",
    ("seasonal", "", "off"): "seasonal naive, 24 h",
}


class Verdict(NamedTuple):
    """Whether one bound holds, in words."""

    holds: bool
    text: str


def show_set(console: Console, name: str, rows: Rows) -> None:
    """All figures of one set one step ahead, then by feature."""
    if not rows:
        return
    first = {(r["model"], r["start"], r["learning"]): r for r in rows if r["horizon"] == 1}
    table = Table("one step ahead", "MSE", "MAE", "skill")
    for key, title in NAMES.items():
        if key in first:
            row = first[key]
            table.add_row(title, f"{row['mse']:.4f}", f"{row['mae']:.4f}", _percent(row["skill"]))
    for paper in PUBLISHED.get(name, ()):
        mae = "–" if paper.mae is None else f"{paper.mae:.3f}"
        table.add_row(f"published: {paper.method} ({paper.source})", f"{paper.mse:.3f}", mae, "–", style="dim")
    console.print(f"[bold]{name}[/bold]: {rows[0]['protocol']}", highlight=False)
    console.print(table)
    _show_features(console, first)


def show_commands(console: Console, paths: Iterable[Path]) -> None:
    """How to repeat the rows one by one."""
    for path in paths:
        split = split_of(path.stem)
        test = "" if split.test is None else f" --test-rows {split.test:g}"
        rows = f"--train-rows {split.train:g} --validation-rows {split.validation:g}{test}"
        for options in ("--warm-up", "", "--warm-up --learning off"):
            console.print(f"gaugecast backtest {path.name} {rows} {options}".rstrip(), highlight=False, style="dim")


def verdicts(name: str, rows: Rows) -> list[Verdict]:
    """The bounds of this set that can be judged by these rows."""
    wanted = dict(zip(("warm-up", "cold"), BOUNDS[name], strict=True))
    found = [
        (r["start"], r["mse"])
        for r in rows
        if r["set"] == name and (r["model"], r["learning"], r["horizon"]) == ("lstm", "lockstep", 1)
    ]
    return [
        Verdict(mse <= wanted[start], f"{name}, online, {start}: MSE {mse:.4f}, bound {wanted[start]:.3f}")
        for start, mse in found
        if start in wanted
    ]


def _show_features(console: Console, first: dict[tuple[str, str, str], dict[str, Any]]) -> None:
    shown: Sequence[tuple[str, str, str]] = [key for key in NAMES if first.get(key, {}).get("per_feature")]
    table = Table("MSE by feature", *(" ".join(part for part in key if part) for key in shown))
    per_feature = [first[key]["per_feature"] for key in shown]
    for feature in per_feature[0] if per_feature else ():
        table.add_row(feature, *(f"{one[feature]['mse']:.4f}" for one in per_feature))
    console.print(table)


def _percent(skill: float | None) -> str:
    return "–" if skill is None else f"{100 * skill:.1f} %"
