"""`python -m accuracy [--set ETTh2] …`: run what is missing, print the table, write build/accuracy.json."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from rich.console import Console

from accuracy.anomalies import SETS as LABELLED
from accuracy.anomalies import run_sets
from accuracy.gaps import PROTOCOL as GAPS
from accuracy.gaps import run_gaps, show_gaps
from accuracy.horizons import PROTOCOLS, horizon_verdicts, run_alone, run_protocols, show_protocols
from accuracy.places import PLACE, find_set, keep_rows
from accuracy.plant import SET as PLANT
from accuracy.plant import run_plant
from accuracy.published import BOUNDS
from accuracy.runs import RUNS, Rows
from accuracy.table import show_commands, show_set, verdicts

SETS = ("ETTh1", "ETTh2")
#: The long ones first, so that the processors are done at about the same time.
ALL_RUNS = {"protocols": run_protocols, **RUNS, "alone": run_alone, "gaps": run_gaps}


def main() -> int:
    """0 if every bound holds."""
    asked = _arguments()
    console = Console(width=None if sys.stdout.isatty() else 120)
    labelled = [name for name in asked.set or () if name in LABELLED]
    run_sets(labelled, asked.out, console)
    holds = PLANT not in (asked.set or ()) or run_plant(asked.out, asked.jobs, console)
    paths = [find_set(name) for name in asked.set or SETS if name not in (*LABELLED, PLANT)]
    if not paths:
        return 0 if holds else 1
    kept: Rows = []
    begun = time.monotonic()
    with ProcessPoolExecutor(asked.jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        pending = {
            pool.submit(ALL_RUNS[run], path, asked.seed): (path.stem, run) for path in paths for run in asked.runs
        }
        for done in as_completed(pending):
            name, run = pending[done]
            kept = keep_rows(done.result(), asked.out)
            console.print(f"{name}: {run} done after {time.monotonic() - begun:.0f} s", highlight=False)
    for path in paths:
        own = [row for row in kept if row["set"] == path.stem]
        show_set(console, path.stem, [row for row in own if row["protocol"] not in (*PROTOCOLS, GAPS)])
        show_protocols(console, path.stem, own)
        show_gaps(console, path.stem, own)
    show_commands(console, paths)
    console.print(f"written: {asked.out}")
    found = [v for path in paths if path.stem in BOUNDS for v in verdicts(path.stem, kept)]
    for verdict in found:
        console.print(verdict.text, style="green" if verdict.holds else "bold red")
    beyond = [verdict for path in paths for verdict in horizon_verdicts(path.stem, kept)]
    for kept_to, text in beyond:
        console.print(text, style="green" if kept_to else "bold red")
    return 0 if holds and all(verdict.holds for verdict in found) and all(one for one, _ in beyond) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="accuracy", description=__doc__)
    parser.add_argument("--set", action="append", help="ETTh1, ETTh2, the path of a CSV; "
                        "plant (simulated); skab, nab, touchstone; may be given again")  # fmt: skip
    parser.add_argument("--runs", nargs="*", choices=tuple(ALL_RUNS), default=list(ALL_RUNS), help="only these")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="runs at the same time")
    parser.add_argument("--out", type=Path, default=PLACE)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
