"""`python -m bench.page`: writes docs/performance.md from its template and from `build/bench.json`, on the machine that
measured. A whole run of `make bench` ends with it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench import machine, results

TEMPLATE = Path(__file__).with_name("performance.template.md")
PAGE = Path("docs/performance.md")
_MARK = re.compile(r"^<!-- (\w+)(?: (\w+))? -->\n", re.MULTILINE)
_COLUMNS = ("figure", "ours", "lowest–highest", "peer", "ratio", "unit", "bound", "")


def write(place: Path = PAGE) -> None:
    """Write the page, of all rows that there are."""
    rows = results.read()
    place.write_text(render(TEMPLATE.read_text(), rows, machine.facts()))
    print(f"wrote {place}")


def render(template: str, rows: Sequence[results.Row], facts: Mapping[str, str]) -> str:
    """The template with its marks replaced: `<!-- machine -->`, and `<!-- table GROUP -->` for each group."""

    def fill(mark: re.Match[str]) -> str:
        if mark[1] == "machine":
            return "".join(f"| {name} | {figure} |\n" for name, figure in facts.items())
        return table([row for row in rows if row["group"] == mark[2]])

    return _MARK.sub(fill, template)


def table(rows: Sequence[results.Row]) -> str:
    """A group's rows, what was seen with each, and what else the machine did."""
    if not rows:
        return "Not measured.\n"
    lines = ["| " + " | ".join(_COLUMNS) + " |", "|" + "---|" * len(_COLUMNS)]
    lines += ["| " + " | ".join([f"`{row['name']}`", *results.cells(row)]) + " |" for row in rows]
    notes = dict.fromkeys(row["note"] for row in rows if row["note"])
    told = [f"- {_names(rows, note)}: {note}" for note in notes]
    loads = ", ".join(dict.fromkeys(row["load"] for row in rows if row["load"]))
    return "\n".join([*lines, "", *told, *([f"- the machine: {loads}"] if loads else [])]) + "\n"


def _names(rows: Sequence[results.Row], note: str) -> str:
    return ", ".join(f"`{row['name']}`" for row in rows if row["note"] == note)


if __name__ == "__main__":
    write()
