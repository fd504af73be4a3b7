"""`python -m cluster`: a real cluster is hurt in every way that we know, then judged; mutants; build/cluster.json."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cluster.guard  # noqa: F401  # before ray
from cluster.costs import measure
from cluster.lessons import learn
from cluster.live import Site, run
from cluster.mutants import MUTANTS
from cluster.story import run as run_story
from cluster.world import Violation
from mutants import applied

_TRIED = 60
#: Forecasts between two troubles.
_BREATH = 800


def hurt(one: Site) -> None:
    """Everything, once or twice."""
    for kind, what in (
        ("partition killed", lambda: one.kill_part("partition-0")),
        ("ingest killed", lambda: one.kill_part("ingest-0")),
        ("node killed", one.kill_node),
        ("node joins, rebalance", one.add_node),
        ("raylet stopped", lambda: one.stop_raylet(17.0)),
        ("node joins, rebalance", one.add_node),
        ("old token", lambda: one.write_with_old_token(1)),
        ("PostgreSQL restarted", lambda: one.restart_postgres(3.0)),
        ("partition killed", lambda: one.kill_part("partition-2")),
        ("ingest killed", lambda: one.kill_part("ingest-0")),
    ):
        one.hurt(kind, what)
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


def _hurt(asked: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    with _folder() as place:
        found = run(Path(place), hurt, partitions=asked.partitions, rate=asked.rate, patience_ms=asked.patience_ms)
    return asdict(found), found.red or not found.fenced


def _mutants(_: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    red = mutants_red()
    return {"mutants_red": len(red), "mutants": len(MUTANTS)}, len(red) < len(MUTANTS)


def _costs(_: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    with _folder() as place:
        found = measure(Path(place))
    return {"costs": asdict(found)}, found.partition_mb > 250


def _lessons(_: argparse.Namespace) -> tuple[dict[str, Any], bool]:
    with _folder() as place:
        found = learn(Path(place))
    return {"learning": asdict(found)}, found.red


def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="gaugecast-cluster-", ignore_cleanup_errors=True)


_PARTS: dict[str, Callable[[argparse.Namespace], tuple[dict[str, Any], bool]]] = {
    "hurt": _hurt,
    "mutants": _mutants,
    "costs": _costs,
    "learning": _lessons,
}


def main() -> int:
    """0 if every promise was kept and every mutant was seen."""
    parser = argparse.ArgumentParser(prog="cluster", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/cluster.json"))
    parser.add_argument("--only", nargs="+", choices=list(_PARTS), default=list(_PARTS), help="not all parts")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--rate", type=float, default=400.0, help="readings a second")
    parser.add_argument("--patience-ms", type=int, default=600, help="more, where others use the machine, too")
    asked = parser.parse_args()
    began, red, told = time.monotonic(), False, dict[str, Any]()
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    for name in asked.only:
        figures, broken = _PARTS[name](asked)
        told |= figures | {"seconds": round(time.monotonic() - began, 1)}
        red |= broken
        asked.out.write_text(json.dumps(told, indent=2) + "\n")  # what is known is kept, whatever the next part does
    print(json.dumps(told, indent=2))
    return int(red)


if __name__ == "__main__":
    sys.exit(main())
