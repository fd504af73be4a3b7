"""Anomalies on labelled sets: `make accuracy SET=skab`, `nab` or `touchstone`; through the pipeline, as shipped."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from accuracy.places import data_folder, keep_rows
from accuracy.runs import Rows
from gaugecast.history import NO_TIME, FileColumns
from gaugecast.learn.autoencoder.rows import read_rows
from gaugecast.learn.evaluate.boards import change_point_score, labelled, nab_score, read_windows
from gaugecast.learn.evaluate.figures import AlarmFigures, figures_of, together
from gaugecast.learn.evaluate.run import Watched, watch_files
from gaugecast.watching import AnomalySettings

#: What rows of anomalies say in place of a protocol of forecasts.
PROTOCOL = "anomalies"
FIGURES = ("f1", "far", "mar", "nab", "roc_auc", "pr_auc", "vus_pr")


class LabelledSet(NamedTuple):
    """A public set.

    Attributes:
        pattern: Of its files below the folder of data; each is a stream, or where `apart` a plant of its own.
        healthy: First rows that its protocol gives as healthy.
        time: Its column of times; "none" = a row is a tick, in whatever order they have times.
    """

    pattern: str
    label: str
    healthy: int = 0
    apart: bool = False
    changes: str = ""
    windows: str = ""
    time: str = ""


SETS = {
    "skab": LabelledSet("SKAB/valve1/*.csv", "anomaly", healthy=400, changes="changepoint"),
    "nab": LabelledSet("NAB/realKnownCause/*.csv", "", windows="NAB/labels/combined_windows.json"),
    "touchstone": LabelledSet("touchstone/*.parquet", "is_anomaly", apart=True, time=NO_TIME),
}


def run_set(name: str) -> Rows:
    """A row a file, and one of all.

    Raises:
        FileNotFoundError: The set is not there.
    """
    of, began = SETS[name], time.process_time()
    folder = data_folder()
    files = sorted(folder.glob(of.pattern), key=lambda path: (len(path.stem), path.stem))
    if not files:
        raise FileNotFoundError(
            f"{folder / of.pattern}: files of the set {name} expected; docs/accuracy.md says whence"
        )
    settings = AnomalySettings(healthy=of.healthy)
    watched: list[Watched] = []
    for group in [[file] for file in files] if of.apart else [files]:
        ignore = [of.changes] if of.changes else ["timestamp"] if of.time == NO_TIME else []
        watched += watch_files(group, FileColumns(of.time, "", ()), settings, label=of.label, ignore=ignore)[1]
    nab = math.nan
    if of.windows:
        windows = read_windows(folder / of.windows, files)
        watched = labelled(watched, windows)
        found = nab_score(watched, windows, hold=settings.hold)
        nab = found.fixed
    if of.changes:
        changes = [read_rows(file, FileColumns("", "", ()), label=of.changes).labels for file in files]
        nab = change_point_score(watched, [one for one in changes if one is not None], of.healthy)
    parts = [figures_of(one, of.healthy) for one in watched]
    rows = [_row(name, one) for one in parts]
    seconds, count = time.process_time() - began, sum(len(one.at) for one in watched)
    total = {**_row(name, together(parts)), "nab": None if math.isnan(nab) else nab, "rows": count, "seconds": seconds}
    if of.windows:
        total |= {"nab_best": found.best, "best_tolerance": found.tolerance}
    return [*rows, total]


def _row(name: str, one: AlarmFigures) -> dict[str, Any]:
    key = {"set": name, "protocol": PROTOCOL, "model": one.name, "start": "", "learning": "off", "horizon": 0}
    return {**key, "nab": None, **one.as_row()}


def show_rows(console: Console, rows: Rows) -> None:
    """All figures of one set."""
    table = Table(rows[0]["set"], *FIGURES, "events")
    for row in rows:
        table.add_row(row["model"], *(_cell(row[name]) for name in FIGURES), str(row["events"]))
    console.print(table)


def _cell(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}" if abs(value) > 2 else f"{value:.3f}"


def run_sets(names: list[str], out: Path, console: Console) -> None:
    """Run, show and keep sets."""
    for name in names:
        rows = run_set(name)
        keep_rows(rows, out)
        show_rows(console, rows)
        total = rows[-1]
        speed = total["seconds"] / max(1, total["rows"]) * 10_000
        console.print(
            f"{name}: {total['rows']:,} rows in {total['seconds']:.1f} s of processor time, {speed:.2f} s for 10,000"
        )
        if "nab_best" in total:
            console.print(f"best tolerance {total['best_tolerance']:g}: NAB {total['nab_best']:.1f}")


def anomaly_lines(rows: Rows) -> list[str]:
    """The table of docs/accuracy.md: a line a set, all files together; none without figures."""
    found = {row["set"]: row for row in rows if row["protocol"] == PROTOCOL and row["model"] == "all"}
    if not found:
        return []
    lines = [
        "| | F1 | false alarms, % | missed, % | NAB | ROC-AUC | PR-AUC | VUS-PR |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in (name for name in SETS if name in found):
        row = found[name]
        shares = [f"{100 * row[key]:.1f}" if row[key] is not None else "–" for key in ("far", "mar")]
        cells = [_cell(row["f1"]), *shares, *(_cell(row[key]) for key in FIGURES[3:])]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines
