"""What a benchmark found, printed and kept in `build/bench.json`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

PLACE = Path("build/bench.json")


@dataclass(frozen=True, slots=True)
class Result:
    """One figure. `peer` and `ratio` (ours / peer) are `None` where there is only a bound to hold."""

    name: str
    ours: float
    unit: str
    peer: float | None = None
    ratio: float | None = None
    bound: str = ""
    note: str = ""


def keep(results: list[Result]) -> None:
    """Merge into the file by name, and print."""
    PLACE.parent.mkdir(exist_ok=True)
    kept = {row["name"]: row for row in json.loads(PLACE.read_text())} if PLACE.exists() else {}
    kept.update({result.name: asdict(result) for result in results})
    PLACE.write_text(json.dumps(list(kept.values()), indent=1) + "\n")
    table = Table("figure", "ours", "peer", "ratio", "unit", "bound", "note", title="gaugecast bench")
    for r in results:
        peer = "" if r.peer is None else f"{r.peer:,.0f}"
        ratio = "" if r.ratio is None else f"{r.ratio:.2f}"
        table.add_row(r.name, f"{r.ours:,.4g}", peer, ratio, r.unit, r.bound, r.note)
    Console(width=140).print(table)
