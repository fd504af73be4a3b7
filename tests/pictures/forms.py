"""The four forms: which readings go in, and which forecasts come out, on one tank's readings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pictures.paper import DIM, EXPECTED, GOOD, OBSERVED, blank, picture
from pictures.run import run_tanks
from pictures.warnings import TANK, values

STEPS = 7
#: Name, the option, steps with an input, steps with an output.
FORMS = (
    ("one-to-one", "--look-back 1", (3,), (3,)),
    ("one-to-many", "--look-back 1 --horizon 4 --decoder repeat", (3,), (3, 4, 5, 6)),
    ("many-to-one", "--look-back 4", (0, 1, 2, 3), (3,)),
    ("many-to-many", "(default: the state is carried on)", (0, 1, 2, 3, 4, 5), (0, 1, 2, 3, 4, 5)),
)


def draw(folder: Path) -> None:
    """Four panels with the very values of a run."""
    seen = values(run_tanks(tanks=1, steps=300, plain=True).forecasts[TANK], "observed")[-STEPS - 1 :]
    with picture(folder / "forms.svg", 2, 2, size=(7.4, 4.6)) as axes:
        for panel, form in zip(axes.flat, FORMS, strict=True):
            draw_form(panel, seen, *form)


def draw_form(
    axes: Any, seen: list[float], name: str, option: str, inputs: tuple[int, ...], outputs: tuple[int, ...]
) -> None:
    """Readings below, cells between, forecasts above; an arrow where something is handed on."""
    blank(axes)
    axes.set(xlim=(-0.6, STEPS - 0.4), ylim=(-0.75, 3.6))
    axes.set_title(name)
    axes.text(-0.5, 3.15, option, fontsize=8, color=DIM, family="monospace")
    cells = range(min(inputs), max(outputs) + 1)
    for at in cells:
        tile(axes, at, 1.0, "LSTM", GOOD)
        if at > cells[0]:
            arrow(axes, (at - 1 + 0.38, 1.0), (at - 0.38, 1.0))
    for at in inputs:
        tile(axes, at, -0.3, f"{seen[at]:.2f}", OBSERVED)
        arrow(axes, (at, 0.0), (at, 0.7))
    for at in outputs:
        tile(axes, at, 2.3, f"{seen[at + 1]:.2f}", EXPECTED)
        arrow(axes, (at, 1.3), (at, 2.0))


def tile(axes: Any, x: float, y: float, text: str, color: str) -> None:
    """A small box with a value."""
    axes.text(x, y, text, ha="center", va="center", fontsize=7.5, color=color,
              bbox={"boxstyle": "round,pad=0.3", "facecolor": "white", "edgecolor": color})  # fmt: skip


def arrow(axes: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    """From here to there."""
    axes.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": DIM, "linewidth": 1})
