"""`python -m chaos`: kills, mutants, a table, build/chaos.json."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from chaos.report import show_run, show_verdict, to_json
from chaos.run import run_chaos
from chaos.scenario import Scenario


def main() -> int:
    """0 if the daemon kept every promise and every mutant was seen."""
    asked = _arguments()
    console = Console()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        scenario = Scenario(asked.kills, seed=asked.seed, rate=asked.rate)
        findings = run_chaos(scenario, Path(asked.keep or folder) / "real", told=_teller(console, asked.verbose))
        show_run(console, "gaugecast", findings)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(to_json(findings, {}, time.monotonic() - begun), indent=2) + "\n")
    return show_verdict(console, findings, {})


def _teller(console: Console, verbose: bool) -> Callable[[str], None]:
    return (lambda line: console.print(line, style="dim")) if verbose else (lambda _: None)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="chaos", description=sys.modules["chaos"].__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=1500.0, help="messages a second")
    parser.add_argument("--out", type=Path, default=Path("build/chaos.json"))
    parser.add_argument("--keep", type=Path, default=None, help="keep everything in this new directory")
    parser.add_argument("--verbose", action="store_true", help="a line for each life")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
