"""`python -m cluster`: a real cluster is hurt in every way that we know, then judged; mutants; build/cluster.json."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import cluster.guard  # noqa: F401  # before ray
from cluster.live import Findings, Site, run
from cluster.mutants import MUTANTS
from cluster.story import run as run_story
from cluster.world import Violation
from mutants import applied

_TRIED = 60
#: Forecasts between two troubles.
_BREATH = 800


def hurt(one: Site) -> None:
    """Everything, once or twice."""
    for what in (
        lambda: one.kill_part("partition-0"),
        lambda: one.kill_part("ingest-0"),
        lambda: one.kill_node(),
        lambda: one.add_node(),
        lambda: one.stop_raylet(17.0),
        lambda: one.add_node(),
        lambda: one.write_with_old_token(1),
        lambda: one.restart_postgres(3.0),
        lambda: one.kill_part("partition-2"),
        lambda: one.kill_part("ingest-0"),
    ):
        what()
        one.wait_forecasts(_BREATH)


def mutants_red() -> list[str]:
    """Those of the five that a story shows."""
    found = []
    for name in MUTANTS:
        with applied(name, MUTANTS):
            if any(_is_red(seed) for seed in range(_TRIED)):
                found.append(name)
    return found


def _is_red(seed: int) -> bool:
    try:
        run_story(seed, overlap=True)
        run_story(seed)
    except Violation:
        return True
    return False


def main() -> int:
    """0 if every promise was kept and every mutant was seen."""
    parser = argparse.ArgumentParser(prog="cluster", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/cluster.json"))
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--rate", type=float, default=400.0, help="readings a second")
    parser.add_argument("--patience-ms", type=int, default=600, help="more, where others use the machine, too")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gaugecast-cluster-") as folder:
        place = Path(folder)
        place.chmod(0o755)
        findings: Findings = run(
            place, hurt, partitions=asked.partitions, rate=asked.rate, patience_ms=asked.patience_ms
        )
    red = mutants_red()
    told = {**asdict(findings), "mutants_red": len(red), "mutants": len(MUTANTS)}
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(told, indent=2) + "\n")
    print(json.dumps(told, indent=2))
    return int(findings.red or not findings.fenced or len(red) < len(MUTANTS))


if __name__ == "__main__":
    sys.exit(main())
