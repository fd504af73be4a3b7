"""The table for people and the file for machines."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from chaos.judge import MOST_DUPLICATES, Findings

_ROWS = (
    ("kills", "kill -9 of the daemon"),
    ("readings", "readings offered, QoS 1"),
    ("lost", "readings never stepped, or forecasts never received"),
    ("twice", "steps too many"),
    ("differing", "unlike an uninterrupted run: bodies, ledger rows, state columns"),
    ("unaccounted", "readings that the counts do not explain"),
    ("disordered", "first copies out of order"),
    ("mishaps", "processes that ended otherwise than asked"),
    ("duplicates_per_kill", f"most identical copies after one kill (bound {MOST_DUPLICATES})"),
    ("duplicates_mean", "mean of them"),
)
_MOST_NOTES = 12


def show_run(console: Console, title: str, findings: Findings) -> None:
    """The findings of one run."""
    table = Table("", "", "count", title=title)
    for name, meaning in _ROWS:
        table.add_row(name, meaning, f"{getattr(findings, name):,}")
    console.print(table)
    for note in findings.notes[:_MOST_NOTES]:
        console.print(f"  [red]{note}[/red]", highlight=False)


def show_mutants(console: Console, mutants: Mapping[str, Findings]) -> None:
    """What was found of each mutant."""
    table = Table("mutant", "seen", "kills", "lost", "twice", "differing", "unaccounted", "mishaps", title="mutants")
    for name, found in mutants.items():
        counts = (found.kills, found.lost, found.twice, found.differing, found.unaccounted, found.mishaps)
        table.add_row(name, "[green]red[/green]" if found.red else "[red]NOT SEEN[/red]", *map(str, counts))
    console.print(table)


def show_verdict(console: Console, findings: Findings, mutants: Mapping[str, Findings], seconds: float) -> int:
    """One line, and the exit code."""
    unseen = [name for name, found in mutants.items() if not found.red]
    told = f"{findings.kills} kills, {findings.readings:,} readings, {len(mutants)} mutants, {seconds:.0f} s"
    if findings.red or unseen:
        reasons = ["a promise was broken"] * findings.red + [f"mutant {name} was not seen" for name in unseen]
        console.print(f"[bold red]RED[/bold red] {'; '.join(reasons)} ({told})", highlight=False)
        return 1
    console.print(
        f"[bold green]GREEN[/bold green] nothing lost, nothing twice, all equal to the bit ({told})", highlight=False
    )
    return 0


def to_json(findings: Findings, mutants: Mapping[str, Findings], seconds: float) -> dict[str, object]:
    """What goes into build/chaos.json."""
    return {
        **findings.to_dict(),
        "mutants_red": sum(found.red for found in mutants.values()),
        "mutants": len(mutants),
        "mutant_runs": {name: found.to_dict() | {"red": found.red} for name, found in mutants.items()},
        "seconds": round(seconds, 1),
    }
