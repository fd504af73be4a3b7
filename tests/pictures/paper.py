"""How the pictures look, and how they are written: small, the same bytes each time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

OBSERVED, EXPECTED, BAD, GOOD, INK, DIM = "#1d4ed8", "#d9640b", "#b42318", "#0f766e", "#14181f", "#5d6675"
STYLE = {
    "svg.fonttype": "none", "svg.hashsalt": "gaugecast", "font.family": "sans-serif", "font.size": 9,
    "axes.edgecolor": "#c9ced6", "axes.labelcolor": DIM, "axes.spines.top": False, "axes.spines.right": False,
    "axes.titlesize": 10, "axes.titleweight": "bold", "axes.titlelocation": "left",
    "axes.grid": True, "axes.axisbelow": True,
    "grid.color": "#eceff3", "xtick.color": DIM, "ytick.color": DIM, "text.color": INK, "legend.frameon": False,
    "legend.fontsize": 8, "lines.linewidth": 1.4, "path.simplify_threshold": 0.5,
}  # fmt: skip


@contextmanager
def picture(place: Path, rows: int = 1, columns: int = 1, **layout: Any) -> Iterator[Any]:
    """Axes to draw on, written to `place` as SVG at the end."""
    size = layout.pop("size", (7.4, 2.4 * rows))
    with mpl.rc_context(STYLE):
        figure, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", **layout)
        yield axes
        figure.savefig(place, format="svg", metadata={"Date": None, "Creator": None})
        plt.close(figure)


def blank(axes: Any) -> None:
    """Nothing but what is drawn."""
    axes.set_axis_off()


def headroom(axes: Any) -> None:
    """Room for a legend above the curves."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.3 * (high - low))
