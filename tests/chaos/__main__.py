"""`python -m chaos`: kills, mutants, a table, build/chaos.json."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from chaos.arrays import run_arrays
from chaos.judge import Findings
from chaos.mutation import run_mutant
from chaos.report import show_mutants, show_run, show_verdict, to_json
from chaos.run import run_chaos
from chaos.scenario import MUTANTS, Scenario
from chaos.session import run_session_loss

#: On a terminal its width; in a log wide enough for the table.
_WIDTH = 110
_LONG_RUN = 100


def main() -> int:
    """0 if the daemon kept every promise and every mutant was seen."""
    asked = _arguments()
    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        directory = Path(asked.keep or folder)
        scenario = Scenario(asked.kills, seed=asked.seed, rate=asked.rate)
        findings = run_chaos(scenario, directory / "real", told=_teller(console, asked.verbose))
        session = run_session_loss(directory / "session", seed=asked.seed, told=_teller(console, asked.verbose))
        findings.include(session, "broker without our session: ")
        few = max(6, asked.kills // 3)
        arrays = run_arrays(
            directory / "arrays", kills=few, messages=few // 3, seed=asked.seed, told=_teller(console, asked.verbose)
        )
        findings.include(arrays, "arrays of 2,000 readings: ")
        show_run(console, f"gaugecast, {asked.rate:g} messages a second, seed {asked.seed}", findings)
        mutants = _run_mutants(asked.mutants, directory, console, asked)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(to_json(findings, mutants, time.monotonic() - begun), indent=2) + "\n")
    return show_verdict(console, findings, mutants, time.monotonic() - begun)


def _run_mutants(
    names: Sequence[str], directory: Path, console: Console, asked: argparse.Namespace
) -> dict[str, Findings]:
    found: dict[str, Findings] = {}
    for name in names:
        found[name] = run_mutant(name, directory, seed=asked.seed, told=_teller(console, asked.verbose))
    if found:
        show_mutants(console, found)
    return found


def _teller(console: Console, verbose: bool) -> Callable[[str], None]:
    return (lambda line: console.print(line, style="dim", highlight=False)) if verbose else (lambda _: None)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="chaos", description=sys.modules["chaos"].__doc__)
    parser.add_argument("--kills", type=int, default=int(os.environ.get("KILLS") or 200))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=1500.0, help="messages a second")
    parser.add_argument(
        "--mutants", nargs="*", help="those that must be seen; none: skip; default: all, in short runs 4"
    )
    parser.add_argument("--out", type=Path, default=Path("build/chaos.json"))
    parser.add_argument("--keep", type=Path, default=None, help="keep everything in this new directory")
    parser.add_argument("--verbose", action="store_true", help="a line for each life")
    asked = parser.parse_args()
    if asked.mutants is None:
        asked.mutants = list(MUTANTS if asked.kills >= _LONG_RUN else MUTANTS[:4])
    return asked


if __name__ == "__main__":
    sys.exit(main())
