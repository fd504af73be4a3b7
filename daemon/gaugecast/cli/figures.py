"""How numbers look on a terminal: digits that fit their size, ages, rates, skill in colour, sparklines."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gaugecast.status import FleetCounts

if TYPE_CHECKING:  # NumPy and all that forecasts; whoever only asks a daemon needs none of it
    from gaugecast.pipeline.batch_result import Totals

#: Columns that every terminal has.
LEAST_WIDTH = 80
_LONGEST_NAME = 24
NOTHING = "–"  # not known
_BLOCKS = "▁▂▃▄▅▆▇█"


def show_value(value: float | None, scale: float | None, *, signed: bool = False) -> str:
    """A number with as many decimals as suit one of the size of `scale`, so that a row's figures line up."""
    if value is None or not math.isfinite(value):
        return NOTHING
    size = abs(scale) if scale is not None and math.isfinite(scale) else abs(value)
    if size >= 1e7 or 0 < size < 1e-4:
        return f"{value:{'+' if signed else ''}.2e}"
    decimals = 3 if size == 0 else min(6, max(0, 3 - math.floor(math.log10(size))))
    text = f"{value:{'+' if signed else ''}.{min(decimals, 4)}f}"
    return text.replace("-", "−")


def show_name(text: str) -> str:
    """A name from outside, with `·` for whatever could move the cursor or break the line."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "·" for c in text)


def show_bytes_of(payload: bytes) -> str:
    r"""Bytes from outside as one line of text; what is no text or could move the cursor as `\xff`, `\n`."""
    text = payload.decode(errors="backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def show_skill(skill: float | None) -> Text:
    """`62 %`: green where the model earns its keep, yellow where it hardly does, red where persistence is better."""
    if skill is None or not math.isfinite(skill):
        return Text(NOTHING, style="dim")
    percent = round(max(skill, -9.99) * 100)  # as whole as it is shown: no `−0 %`, and 0 is not red
    style = "green" if percent >= 20 else "yellow" if percent >= 0 else "red"
    return Text(f"{percent} %".replace("-", "−"), style=style)


def show_rate(per_second: float | None) -> str:
    """`240`, `0.2`, `12,000`."""
    if per_second is None:
        return NOTHING
    return f"{per_second:,.0f}" if per_second >= 10 else f"{per_second:.1f}"


def show_count(count: int, noun: str) -> str:
    """`1 reconnect`, `2 reconnects`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def show_age(seconds: float) -> str:
    """`12 s`, `3 min 5 s`, `4 h 10 min`, `2 d 3 h`."""
    total = max(0, int(seconds))
    for size, unit, part, part_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if total >= size:
            rest = total % size // part
            return f"{total // size} {unit} {rest} {part_unit}" if rest else f"{total // size} {unit}"
    return f"{total} s"


def show_passed_over(counts: FleetCounts | Totals) -> str:
    """`12 late (45 s on average), 3 twice, 5 in a period that had its step (…)`; empty where all came in time, once."""
    told = []
    if counts.late:
        mean_s = counts.late_ns / 1e9 / counts.late
        age = show_age(mean_s) if mean_s >= 10 else f"{mean_s:.2g} s"
        told.append(f"{counts.late:,} late" + (f" ({age} on average)" if counts.late_ns else ""))
    if counts.duplicate:
        told.append(f"{counts.duplicate:,} twice")
    if counts.same_period:
        told.append(f"{counts.same_period:,} in a period that had its step (`aggregate` uses them)")
    return ", ".join(told)


def show_bytes(size: int) -> str:
    """`512 B`, `14.2 MB`; powers of ten, as disks are sold."""
    amount, unit = float(size), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if amount < 1000 or unit == "TB":
            break
        amount /= 1000
    return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"


def sparkline(values: Sequence[float | None], lowest: float, highest: float) -> str:
    """One block a value between `lowest` and `highest`; a blank for `None`, the middle for a flat line."""
    return "".join(" " if v is None or not math.isfinite(v) else _block(v, lowest, highest) for v in values)


def _block(value: float, lowest: float, highest: float) -> str:
    if highest <= lowest:
        return _BLOCKS[3]
    share = (value - lowest) / (highest - lowest)
    return _BLOCKS[min(7, max(0, int(share * 8)))]


def wide_console(*, stderr: bool = False) -> Console:
    """The terminal, taken as 80 columns wide at least: figures cut short cannot be read."""
    return Console(soft_wrap=True, width=max(Console().width, LEAST_WIDTH), stderr=stderr)


def keep_figures(rows: Sequence[dict[str, Any]], file: Path, say: Callable[[str], object]) -> None:
    """Write rows of figures as JSON into a file, made with its folders, and say so; `-` is standard output."""
    text = json.dumps(rows, indent=1)
    if str(file) == "-":
        typer.echo(text)
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text + "\n", encoding="utf-8")
    say(f"figures: {file}")


def figure_grid(first: str, *heads: str, title: str | None = None) -> Table:
    """A table of figures, which are never cut: what is too long in the first column is folded."""
    grid = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), title=title)
    grid.add_column(first, overflow="fold")
    for head in heads:
        grid.add_column(head, justify="right", no_wrap=True, overflow="fold")
    return grid


def add_names(table: Table, title: str, names: Sequence[str], *, most: int = _LONGEST_NAME, style: str = "") -> None:
    """A column of names, folded where they are longer than `most`; whatever else can be folded is, before they are."""
    width = max((cell_len(show_name(name)) for name in (title, *names)), default=0)
    table.add_column(title, width=min(width, most), overflow="fold", style=style)
