"""The first steps after gaps that are cut into a series: how far a state is worth keeping through them, and how.

The network is trained on the train rows and then frozen, so that nothing but the gap tells one way from another. Every
`EVERY` rows of the scored part some rows are left out; what is forecast at the first readings behind them is held
against what the uncut series says came next.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
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
EVERY = 160
#: So many scored rows are looked at, with so many before them for the state to settle.
LOOKED_AT, SETTLE = 4800, 720
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
    begin = max(0, report.scored.start - SETTLE)
    part = slice(begin, begin + SETTLE + LOOKED_AT)
    inputs = [one for batch in batches for one in batch][part]
    course = report.courses[0].observed[part] / report.deviation
    begins = {length: range(SETTLE, len(inputs) - length - max(AFTER) - 1, EVERY) for length in LENGTHS}
    gone = {str(n): {row for at in starts for row in range(at, at + n)} for n, starts in begins.items()}
    said = {way: next_steps(one, model, inputs, gone={**gone, "": set()}) for way, one in ways_of(fleet).items()}
    rows: Rows = []
    for length, starts in begins.items():
        made = {way: by_stream[str(length)] / report.deviation for way, by_stream in said.items()}
        made |= {"none": said["bridge"][""] / report.deviation, "persistence": course}
        for way, forecast in made.items():
            for after in AFTER:
                origins = np.array(starts) + length + after - 1
                rows.append(_row(path.stem, way, length, after, course[origins + 1] - forecast[origins]))
    return rows


def ways_of(fleet: Fleet) -> dict[str, Fleet]:
    """The fleet with each of its answers to a gap of any of the lengths."""
    longest = max(LENGTHS)
    return {
        "hold": replace(fleet, bridge=0, hold_ns=(longest + 1) * fleet.period_ns),
        "bridge": replace(fleet, bridge=longest),
        "reset": replace(fleet, bridge=0),
    }


def next_steps(
    fleet: Fleet, model: Model, inputs: Sequence[Input], *, gone: Mapping[str, Container[int]]
) -> dict[str, Float64]:
    """What is published of the next row at each input (N, G), NaN where it is gone.

    Args:
        fleet: Of one stream.
        model: Its weights, which stay.
        inputs: Its readings (N).
        gone: By name, rows that are left out: each is a stream of its own.
    """
    solo = SoloPipeline([(fleet, model)], Loop())
    said = {name: np.full((len(inputs), len(fleet.forecast_places)), np.nan) for name in gone}
    names = {f"gap {name}": name for name in gone}
    for place, one in enumerate(inputs):
        batch = [one._replace(stream=stream) for stream, name in names.items() if place not in gone[name]]
        outputs = solo.advance(batch).outputs
        for stream, forecast in zip(outputs.stream, outputs.forecast, strict=True):
            said[names[stream]][place] = np.frombuffer(forecast, "<f8")[: len(fleet.forecast_places)]  # the last counts
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
