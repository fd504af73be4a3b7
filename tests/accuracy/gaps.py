"""The first steps after gaps that are cut into a series: how far a state is worth keeping through them, and how.

The network is trained on the train rows and then frozen, so that nothing but the gap tells one way from another. Every
`EVERY` rows of the scored part some rows are left out; what is forecast at the first readings behind them is held
against what the uncut series says came next.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from accuracy.runs import Rows, load, split_of
from gaugecast.config.schema import Loop
from gaugecast.fleet import Fleet
from gaugecast.learn.backtest.run import courses_of, report_on
from gaugecast.learn.backtest.warmup import trained_on
from gaugecast.model import Model
from gaugecast.pipeline.solo import SoloPipeline
from gaugecast.records import Float64, Input

#: Rows that are missing, and rows from one gap to the next.
LENGTHS = (3, 12, 48)
EVERY = 240
#: Readings since the gap, the first behind it being 1, whose forecasts of the next row are scored.
AFTER = (1, 2, 4, 8, 24)
PROTOCOL = "gaps"
WAYS = {
    "none": "no gap",
    "hold": "`hold`: stepped with the last value",
    "bridge": "`bridge`: rolled through in closed loop",
    "reset": "reset: begun anew",
    "persistence": "persistence",
}


def run_gaps(path: Path, seed: int) -> Rows:
    """A row a length, way and number of readings since the gap."""
    split = split_of(path.stem)
    fleet, batches = load(path, split)
    model, _ = trained_on(fleet, batches, split, model=None, units=(64,), seed=seed, goes_on=False)
    report = report_on(fleet, courses_of(fleet, batches), split)
    inputs = [one for batch in batches for one in batch]
    course = report.courses[0].observed / report.deviation
    whole = _next_steps(fleet, model, inputs) / report.deviation
    rows: Rows = []
    for length in LENGTHS:
        begins = range(report.scored.start, len(inputs) - length - max(AFTER) - 1, EVERY)
        gone = {row for begin in begins for row in range(begin, begin + length)}
        made = {"none": whole, "persistence": course}
        for way, cut in _ways(fleet, length).items():
            made[way] = np.full_like(course, np.nan)
            kept = [i for i in range(len(inputs)) if i not in gone]
            made[way][kept] = _next_steps(cut, model, [inputs[i] for i in kept]) / report.deviation
        for way, forecast in made.items():
            for after in AFTER:
                origins = np.array([begin + length + after - 1 for begin in begins])
                error = course[origins + 1] - forecast[origins]
                rows.append(_row(path.stem, way, length, after, error))
    return rows


def _ways(fleet: Fleet, length: int) -> dict[str, Fleet]:
    return {
        "hold": replace(fleet, bridge=0, hold_ns=(length + 1) * fleet.period_ns),
        "bridge": replace(fleet, bridge=length),
        "reset": replace(fleet, bridge=0),
    }


def _next_steps(fleet: Fleet, model: Model, inputs: Sequence[Input]) -> Float64:
    """What is published of the next row at each input (N, G)."""
    solo = SoloPipeline([(fleet, model)], Loop())
    said = np.full((len(inputs), len(fleet.forecast_places)), np.nan)
    for place, one in enumerate(inputs):
        outputs = solo.advance([one]).outputs
        if len(outputs):  # with `hold` the last of several is that of the reading itself
            said[place] = np.frombuffer(outputs.forecast[-1], "<f8")[: said.shape[1]]
    return said


def _row(name: str, way: str, length: int, after: int, error: Float64) -> dict[str, object]:
    return {
        "set": name, "protocol": PROTOCOL, "model": way, "start": f"{length} rows", "learning": "off", "horizon": after,
        "mse": float(np.nanmean(np.square(error))), "mae": float(np.nanmean(np.abs(error))),
        "count": int(np.isfinite(error).sum()),
    }  # fmt: skip


def _lines(rows: Rows) -> Iterator[tuple[str, int, str, list[float]]]:
    """Set, rows missing, way, and the errors in the order of `AFTER`."""
    found = {(r["set"], r["start"], r["model"], r["horizon"]): r["mse"] for r in rows if r["protocol"] == PROTOCOL}
    for name in dict.fromkeys(key[0] for key in found):
        for length in LENGTHS:
            for way in WAYS:
                errors = [found.get((name, f"{length} rows", way, after)) for after in AFTER]
                if None not in errors:
                    yield name, length, way, [float(one) for one in errors if one is not None]


def show_gaps(console: Console, name: str, rows: Rows) -> None:
    """A row a length and way."""
    table = Table("MSE after gaps", "way", *(f"reading {after}" for after in AFTER))
    for found, length, way, errors in _lines(rows):
        if found == name:
            table.add_row(f"{length} rows", way, *(f"{one:.4f}" for one in errors))
    if table.row_count:
        console.print(table)


def gap_lines(rows: Rows) -> list[str]:
    """The tables of docs/accuracy.md."""
    lines: list[str] = []
    told: tuple[str, int] | None = None
    for name, length, way, errors in _lines(rows):
        if (name, length) != told:
            lines += [
                "",
                f"| {name}, {length} rows missing | {' | '.join(map(str, AFTER))} |",
                "|---|" + "---|" * len(AFTER),
            ]
            told = name, length
        lines.append(f"| {WAYS[way]} | {' | '.join(f'{one:.4f}' for one in errors)} |")
    return lines[1:]
