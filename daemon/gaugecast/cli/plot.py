"""Two lines in a terminal, of Braille's dots: two columns and four rows of them a character."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.text import Text

from gaugecast.cli.figures import show_value

HEIGHT = 8  # lines
_LEAST_WIDTH, _MARGIN = 20, 12  # characters; the margin has the figures of the axis
#: Bits of the dots of a character, by column and row.
_BITS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_BLANK = 0x2800

Line = Sequence[float | None]


def plot_lines(observed: Line, expected: Line, *, width: int, height: int = HEIGHT) -> Text:
    """`observed` in blue over `expected` in cyan, on one scale, the newest at the right; pure.

    Args:
        observed, expected: As long as each other; `None` leaves a gap.
        width: Columns of the terminal.
    """
    known = [v for v in (*observed, *expected) if v is not None and math.isfinite(v)]
    if not known:
        return Text("          nothing was observed yet", style="dim")
    low, high = min(known), max(known)
    size = max(abs(low), abs(high))
    columns = max(_LEAST_WIDTH, width - _MARGIN - 1)
    cells = [_dots(line, low, high, columns, height) for line in (observed, expected)]
    text = Text()
    for row in range(height):
        figure = {0: show_value(high, size), height - 1: show_value(low, size)}.get(row, "")
        text.append(f"{figure:>{_MARGIN - 1}} ", style="dim")
        for over, under in zip(cells[0][row], cells[1][row], strict=True):
            text.append(chr(_BLANK | over | under), style="blue" if over else "cyan")
        text.append("\n" if row < height - 1 else "")
    return text


def _dots(line: Line, low: float, high: float, columns: int, height: int) -> list[list[int]]:
    """The bits of each character; a step that falls between two dots' columns is joined to the one before."""
    cells = [[0] * columns for _ in range(height)]
    span, across, down = high / 2 - low / 2, columns * 2 - 1, height * 4 - 1  # halves: their difference is finite
    middle = span == 0
    before: tuple[int, int] | None = None
    for i, value in enumerate(line):
        if value is None or not math.isfinite(value):
            before = None
            continue
        x = round(i * across / max(1, len(line) - 1))
        y = down // 2 if middle else round((high / 2 - value / 2) / span * down)
        for px, py in _between(before, (x, y)):
            cells[py // 4][px // 2] |= _BITS[px % 2][py % 4]
        before = (x, y)
    return cells


def _between(start: tuple[int, int] | None, end: tuple[int, int]) -> list[tuple[int, int]]:
    """Dots from one to the other, both included; of a first one that alone."""
    if start is None:
        return [end]
    steps = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
    return [
        (round(start[0] + (end[0] - start[0]) * i / steps), round(start[1] + (end[1] - start[1]) * i / steps))
        for i in range(steps + 1)
    ]
